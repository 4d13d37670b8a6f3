"""What a page is made of: figures, tables, key figures and empty states, each with its download.

Titles and notes are the pages' own Markdown, never data; values and frames are shown as they are.
"""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import altair as alt
import polars as pl
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.elements.lib.column_types import ColumnConfig

from dashboards.text import label, plain

MOST_ROWS_DRAWN = 1_000  # of a table; beyond it the browser becomes slow and nobody reads on


def figure(
    title: str, frame: pl.DataFrame, chart: alt.Chart | alt.LayerChart, note: str = ""
) -> None:
    """Show a chart under its title, with the frame it was drawn from to take away."""
    with st.container(border=True):
        _heading(title, frame, note)
        if frame.is_empty():
            nothing()
        else:
            st.altair_chart(chart, alt=title)


def table(title: str, frame: pl.DataFrame, note: str = "", height: int | None = None) -> None:
    """Show a frame as a table under its title; text in it is shown as it is."""
    with st.container(border=True):
        _heading(title, frame, note)
        if frame.is_empty():
            nothing()
        else:
            grid(title, frame, height)


def grid(title: str, frame: pl.DataFrame, height: int | None = None) -> None:
    """Show a frame as a bare table."""
    st.dataframe(
        frame.head(MOST_ROWS_DRAWN),
        hide_index=True,
        height=height or "auto",
        column_config={name: _column(name, frame.schema[name]) for name in frame.columns},
        placeholder="–",
        alt=title,
    )


def _column(name: str, data_type: pl.DataType) -> ColumnConfig:
    title = label(name, data_type)
    config = st.column_config
    if isinstance(data_type, pl.Datetime):
        return config.DatetimeColumn(title, format="YYYY-MM-DD HH:mm:ss", timezone="UTC")
    if data_type == pl.Date:
        return config.DateColumn(title, format="YYYY-MM-DD")
    if data_type.is_numeric():
        is_share = name.endswith(("_rate", "_share", "retention"))
        is_key = name.endswith(("_id", "year", "version", "rank"))
        return config.NumberColumn(
            title, format="percent" if is_share else "%d" if is_key else "localized"
        )
    if data_type == pl.Boolean:
        return config.CheckboxColumn(title)
    if isinstance(data_type, pl.List):
        return config.ListColumn(title)
    return config.TextColumn(title)


def figures(values: Sequence[tuple[str, str, str]]) -> None:
    """Show key figures side by side: what, the value as text, and a word on it."""
    with st.container(horizontal=True, gap="small"):
        for what, value, note in values:
            st.metric(
                plain(what),
                plain(value),
                plain(note) if note else None,
                delta_color="off",
                delta_arrow="off",
                border=True,
                width="stretch",
                height="stretch",
            )


@contextmanager
def side_by_side() -> Iterator[tuple[DeltaGenerator, DeltaGenerator]]:
    """Give two halves of the page, which a phone shows below each other."""
    left, right = st.columns(2)
    yield left, right


def nothing(what: str = "Nothing here with these filters.") -> None:
    """Say that there is nothing to show, and why."""
    st.caption(what)


def pairs(values: Iterable[tuple[str, object]]) -> None:
    """Show facts of one thing, its text as it is."""
    frame = pl.DataFrame(
        [(name, str(value)) for name, value in values], schema=["what", "value"], orient="row"
    )
    st.dataframe(
        frame, hide_index=True, column_config={"what": "Fact", "value": "Value"}, height="content"
    )


def _heading(title: str, frame: pl.DataFrame, note: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{plain(title)}**", width="stretch")
        if not frame.is_empty():
            downloads(title, frame)
    if note:
        st.caption(note)


def downloads(title: str, frame: pl.DataFrame) -> None:
    """Offer all rows of a frame as CSV and as Parquet."""
    stem = "_".join("".join(c if c.isalnum() else " " for c in title.lower()).split())
    with st.popover(
        "", icon=":material/download:", type="tertiary", help=f"Download: {plain(title)}"
    ):
        st.download_button(
            "CSV",
            lambda: as_csv(frame),
            f"{stem}.csv",
            "text/csv",
            key=f"csv:{stem}",
            on_click="ignore",
            width="stretch",
        )
        st.download_button(
            "Parquet",
            lambda: as_parquet(frame),
            f"{stem}.parquet",
            "application/vnd.apache.parquet",
            key=f"parquet:{stem}",
            on_click="ignore",
            width="stretch",
        )


def as_csv(frame: pl.DataFrame) -> bytes:
    """Return a frame as CSV; lists become JSON, as CSV has none."""
    lists = [name for name, kind in frame.schema.items() if kind.is_nested()]
    flat = frame.with_columns(
        pl.col(name).map_elements(_as_json, return_dtype=pl.String) for name in lists
    )
    return flat.write_csv().encode()


def _as_json(value: object) -> str:
    return json.dumps(value.to_list() if isinstance(value, pl.Series) else value, default=str)


def as_parquet(frame: pl.DataFrame) -> bytes:
    """Return a frame as a Parquet file."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
