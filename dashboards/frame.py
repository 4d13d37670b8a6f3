"""The frame around every page: its title and badges, and what it says when there is no data.

A page's run takes one release at its beginning and asks only that one, so that nothing on it
comes from another. A small fragment looks every few seconds whether readers see another release
by now, and then runs the page again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import polars as pl
import streamlit as st

from boathouse import held
from boathouse.errors import BoathouseError
from boathouse.held import HeldBack
from boathouse.release.reading import NoReleaseError
from boathouse.settings import current_settings
from dashboards.released import Release, Value, Warehouse, warehouse
from dashboards.text import ago, moment, now, plain

LOOK_AGAIN_SECONDS = 5


@dataclass(frozen=True)
class View:
    """What a page may use."""

    page: str
    release: Release
    warehouse: Warehouse

    def query(self, name: str, **parameters: Value) -> pl.DataFrame:
        """Return the rows of one of the page's own queries, `queries/<page>/<name>.sql`."""
        return self.release.query(f"{self.page}/{name}", **parameters)


@dataclass(frozen=True)
class Page:
    """A page: its place in the URL and the menu, and what it needs to be shown."""

    name: str
    title: str
    icon: str
    about: str
    show: Callable[[View], None]
    needs: tuple[str, ...] = ()  # marts
    domain: str | None = None  # None: it is about all of them


def show(page: Page) -> None:
    """Show a page, or say why it cannot be shown and what to do."""
    st.title(page.title, anchor=False)
    st.caption(page.about)
    settings = current_settings()
    place = warehouse(settings, str(settings.home_folder))
    held_back = held.read(settings)
    _look_again(place, (_mark(place), held_back))
    _held_back(held_back)
    try:
        release = place.current()
        _badges(release, page.domain)
        if missing := [mart for mart in page.needs if mart not in release.tables]:
            _lacks(missing)
        else:
            page.show(View(page.name, release, place))
    except NoReleaseError as error:
        st.info(f"{plain(error.message)}\n\n{plain(error.hint)}", icon=":material/hourglass_empty:")
    except BoathouseError as error:
        st.error(f"{plain(error.message)}\n\n{plain(error.hint)}", icon=":material/error:")


def _lacks(missing: list[str]) -> None:
    st.info(
        f"This release has no {plain(', '.join(missing))} yet.\n\n"
        "Run `make warehouse`: it loads what waits in the landing folder and builds what is "
        "missing.",
        icon=":material/hourglass_empty:",
    )


def _mark(place: Warehouse) -> tuple[int, ...] | None:
    try:
        return place.mark()
    except NoReleaseError:
        return None


@st.fragment(run_every=LOOK_AGAIN_SECONDS)
def _look_again(place: Warehouse, shown: tuple[tuple[int, ...] | None, HeldBack | None]) -> None:
    if (_mark(place), held.read(place.settings)) != shown:
        st.rerun()


def _badges(release: Release, domain: str | None) -> None:
    """Show which release this is, how fresh its sources are, and what its tests said."""
    sources = release.query("frame/freshness", domain=domain)
    with st.container(horizontal=True, gap="small"):
        st.badge(
            f"Release {release.release_id} · {plain(moment(release.released_at))}",
            icon=":material/inventory_2:",
            color="gray",
        )
        _fresh(sources)
        _tested(release.query("frame/tests"))


def _held_back(by: HeldBack | None) -> None:
    """Say why readers see older data than there is."""
    if by is None:
        return
    since = datetime.fromisoformat(by.since).replace(tzinfo=None)
    reasons = "\n".join(f"- {plain(reason)}" for reason in by.reasons)
    with st.expander(
        f":orange[Newer data is held back since {plain(moment(since))}]",
        icon=":material/front_hand:",
    ):
        st.markdown(f"It is in no release until this is mended:\n\n{reasons}")


def _fresh(sources: pl.DataFrame) -> None:
    states = judge_freshness(sources)["state"].to_list()
    late = sum(state in ("late", "too late") for state in states)
    loaded: datetime | None = sources.select(pl.col("last_loaded_at").max()).item()
    when = f" · loaded {ago(loaded)}" if loaded else ""
    if late:
        st.badge(
            f"{late} of {len(states)} sources late{plain(when)}",
            icon=":material/schedule:",
            color="orange",
        )
    elif loaded is None:
        st.badge("Nothing loaded yet", icon=":material/schedule:", color="gray")
    else:
        st.badge(f"Fresh{plain(when)}", icon=":material/schedule:", color="green")


def _tested(tests: pl.DataFrame) -> None:
    counts = dict(tests.iter_rows())
    bad = sum(counts.get(state, 0) for state in ("failed", "not run"))
    if bad:
        st.badge(f"{bad:,} tests not passed", icon=":material/close:", color="red")
    elif warned := counts.get("warned", 0):
        st.badge(f"{warned:,} tests warn", icon=":material/warning:", color="orange")
    else:
        st.badge(
            f"{counts.get('passed', 0):,} tests passed", icon=":material/check:", color="green"
        )


def judge_freshness(sources: pl.DataFrame) -> pl.DataFrame:
    """Return sources with their age in hours now and their state against their own policy.

    The state is `fresh`, `late`, `too late` (beyond the policy's error), `never loaded`, or
    `no policy`.
    """
    age = (pl.lit(now()) - pl.col("last_loaded_at")).dt.total_seconds() / 3600
    return sources.with_columns(age_hours=age).with_columns(
        state=pl.when(pl.col("last_loaded_at").is_null())
        .then(pl.lit("never loaded"))
        .when(pl.col("age_hours") > pl.col("error_after_hours"))
        .then(pl.lit("too late"))
        .when(pl.col("age_hours") > pl.col("warn_after_hours"))
        .then(pl.lit("late"))
        .when(pl.col("warn_after_hours").is_null() & pl.col("error_after_hours").is_null())
        .then(pl.lit("no policy"))
        .otherwise(pl.lit("fresh"))
    )
