"""What Streamlit runs: the menu, and the page that was chosen."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from dashboards.frame import Page, show
from dashboards.pages import PAGES


def _shown(page: Page) -> Callable[[], None]:
    def run() -> None:
        show(page)

    run.__name__ = page.name
    return run


ICON = Path(__file__).with_name("icon.svg")

st.set_page_config(page_title="Boathouse", page_icon=str(ICON), layout="wide")
st.navigation(
    {
        section: [
            st.Page(
                _shown(page),
                title=page.title,
                icon=page.icon,
                url_path=page.name,
                default=page.name == "overview",
            )
            for page in pages
        ]
        for section, pages in PAGES.items()
    }
).run()
