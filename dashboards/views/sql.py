"""SQL: any query on the released warehouse, in a process that cannot do anything else."""

import time

import altair as alt
import polars as pl
import streamlit as st

from dashboards import charts, filters
from dashboards.console.runner import ConsoleError, Limits, Result, run
from dashboards.frame import View
from dashboards.show import MOST_ROWS_DRAWN, figure, grid, table
from dashboards.text import plain

EXAMPLE = """select country, year, sessions_started, sessions_completed
from marts.rpt_sessions_by_country
order by sessions_started desc
limit 10"""
HISTORY_KEPT = 50
CHARTS = ("Bars", "Columns", "Line")


def show(view: View) -> None:
    """Draw the page."""
    left, right = st.columns([2, 1])
    with right:
        _tables(view)
    with left:
        _history()
        sql = st.text_area("Query", EXAMPLE, height=190, key="query", bind="query-params")
        limits = Limits()
        if st.button("Run", type="primary", icon=":material/play_arrow:"):
            _run(view, sql or "", limits)
        st.caption(
            f"One query that reads: {limits.seconds} s, {limits.memory_mib:,} MiB, "
            f"{limits.rows:,} rows, {limits.bytes // 2**20} MiB of result at most."
        )
    if "answer" in st.session_state:
        _answer(view)


def _run(view: View, sql: str, limits: Limits) -> None:
    """Run the query and keep its answer for the runs of the page that follow."""
    _remember(sql)
    macros = frozenset(view.query("macros")["name"])
    place = st.empty()
    with place.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Cancel",
            icon=":material/stop:",
            on_click=_keep,
            args=(view, ConsoleError("Cancelled.")),
        )
        told = st.empty()
    started = time.monotonic()

    def tell() -> None:
        # Streamlit lets go of a script that draws: after “Cancel”, this does not return.
        told.text(f"Running for {time.monotonic() - started:.0f} s …")

    tell()
    try:
        answer: Result | ConsoleError = run(view.release.path, sql, macros, limits, on_wait=tell)
    except ConsoleError as error:
        answer = error
    place.empty()
    _keep(view, answer)


def _keep(view: View, answer: Result | ConsoleError) -> None:
    st.session_state["answer"] = (view.release.release_id, answer)


def _remember(sql: str) -> None:
    history: list[str] = st.session_state.setdefault("history", [])
    if sql.strip():
        st.session_state["history"] = [sql, *(each for each in history if each != sql)]
        del st.session_state["history"][HISTORY_KEPT:]


def _answer(view: View) -> None:
    release_id, answer = st.session_state["answer"]
    if isinstance(answer, ConsoleError):
        st.error(plain(answer.message) + (f"\n\n{plain(answer.hint)}" if answer.hint else ""))
        return
    note = f"{answer.frame.height:,} rows in {answer.seconds:.1f} s, from release {release_id}."
    if answer.is_cut:
        note += " There are more: this is where the limit cut them off."
    if answer.frame.height > MOST_ROWS_DRAWN:
        note += f" Shown are {MOST_ROWS_DRAWN:,}; the download has all."
    if release_id != view.release.release_id:
        note += " There is a newer release by now: run it again."
    table("Result", answer.frame, note)
    _chart(answer.frame)


def _chart(frame: pl.DataFrame) -> None:
    """Offer a simple chart of the result."""
    numbers = [name for name, kind in frame.schema.items() if kind.is_numeric()]
    if not numbers or frame.width < 2 or frame.height < 2:
        return
    with st.expander("Chart", icon=":material/bar_chart:"):
        with filters.row():
            kind = st.selectbox("Kind", CHARTS, key="chart")
            others = [name for name in frame.columns if name != numbers[-1]]
            along = st.selectbox("Along", others, key="along")
            values = [name for name in numbers if name != along] or numbers
            value = st.selectbox("Amount", values, index=len(values) - 1, key="amount")
        figure("Chart of the result", *_drawn(frame, along, value, kind))


def _drawn(
    frame: pl.DataFrame, along: str, value: str, kind: str
) -> tuple[pl.DataFrame, alt.Chart]:
    # Vega reads dots and brackets in a column's name as paths.
    shown = frame.select(pl.col(along).alias("along"), pl.col(value).alias("amount"))
    shown = shown.drop_nulls().head(MOST_ROWS_DRAWN)
    if kind == "Bars":
        return shown, charts.bars(shown, "amount", "along")
    draw = charts.columns if kind == "Columns" else charts.lines
    return shown, draw(shown, "along", "amount")


def _tables(view: View) -> None:
    columns = view.query("columns")
    with st.container(border=True):
        st.markdown("**Tables**")
        names = columns["table_name"].unique(maintain_order=True).to_list()
        chosen = filters.one("Table", "table", names)
        described = columns.filter(pl.col("table_name") == chosen).select(
            "column_name", "data_type", "description"
        )
        if about := columns.filter(pl.col("table_name") == chosen)["about"].first():
            st.text(about)
        grid("Columns", described, height=230)


def _history() -> None:
    history: list[str] = st.session_state.get("history", [])
    if not history:
        return
    st.selectbox(
        "History",
        history,
        index=None,
        placeholder="Queries you ran before",
        key="past",
        on_change=_take_from_history,
        format_func=lambda sql: " ".join(sql.split())[:120],
    )


def _take_from_history() -> None:
    st.session_state["query"] = st.session_state["past"] or st.session_state["query"]
