"""Data quality: what was rejected and why, down to the row; tests over time; what was replayed."""

import streamlit as st

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.released import Value
from dashboards.show import figure, figures, nothing, pairs, table
from dashboards.text import moment, number, percent


def show(view: View) -> None:
    """Draw the page."""
    chosen = _filters(view)
    _figures(view, chosen)
    by_source = view.query("by_source", **chosen)
    by_day = view.query("by_day", **chosen)
    left, right = st.columns(2)
    with left:
        figure(
            "Rejected rows by source", by_source, charts.bars(by_source, "rows_rejected", "source")
        )
    with right:
        figure(
            "Rejected rows by day of loading",
            by_day,
            charts.columns(by_day, "loaded_on", "rows_rejected"),
        )
    reasons = view.query("reasons", **chosen)
    table("Reasons", reasons, "A row that breaks two rules counts for both.", height=300)
    _rows(view, chosen, sorted(set(reasons["reason"])))
    table("Files rejected as a whole", view.query("files", **chosen))
    table("Replayed after a fix", view.query("replays", **chosen))
    _tests(view)


def _filters(view: View) -> dict[str, Value]:
    low, high = view.query("span").row(0)
    with filters.row():
        first, last = filters.dates(low, high)
        sources = filters.some("Source", "source", view.query("sources")["source"].to_list())
    return {"low": first, "high": last, "sources": sources}


def _figures(view: View, chosen: dict[str, Value]) -> None:
    counts = view.query("counts", **chosen).row(0, named=True)
    read, rejected = counts["rows_read"], counts["rows_rejected"]
    figures(
        [
            ("Rows read", number(read), ""),
            ("Rows rejected", number(rejected), percent(rejected / read if read else None, 2)),
            ("Files rejected", number(counts["files_rejected"]), ""),
            ("Rows loaded by replays", number(counts["rows_replayed"]), ""),
        ]
    )


def _rows(view: View, chosen: dict[str, Value], reasons: list[str]) -> None:
    """Show the rejected rows of a reason, and one of them as it was delivered."""
    reason = filters.one_or_all("Reason", "reason", reasons)
    rows = view.query("rejected_rows", **chosen, reason=reason)
    table("Rejected rows", rows, "The newest thousand of those chosen above.", height=300)
    with st.container(border=True):
        st.markdown("**One rejected row**")
        if rows.is_empty():
            nothing()
            return
        names = [
            f"{source} · {file} · row {number}"
            for source, file, number in rows.select("source", "file_name", "row_number").iter_rows()
        ]
        picked = filters.one("Row", "row", list(dict.fromkeys(names)))
        row = rows.row(names.index(picked) if picked in names else 0, named=True)
        pairs(
            [
                ("Why", row["reasons"]),
                ("File", f"{row['source']}/{row['file_name']}, record {row['row_number']}"),
                ("Rejected at", moment(row["rejected_at"])),
                ("Replayed at", moment(row["replayed_at"])),
            ]
        )
        st.code(row["raw_row"] or "", language=None, wrap_lines=True)


def _tests(view: View) -> None:
    over_time = view.query("tests_over_time")
    figure(
        "Test results of the last builds",
        over_time,
        charts.columns(over_time.drop("started_at"), "build_id", "tests", color="outcome"),
    )
    table("What failed or warned in the last builds", view.query("failures"))
