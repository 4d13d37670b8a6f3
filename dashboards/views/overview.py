"""Overview: the release, how fresh everything is, what was loaded, and every domain at a glance."""

import polars as pl
import streamlit as st

from dashboards import charts
from dashboards.frame import View, judge_freshness
from dashboards.show import figure, pairs, table
from dashboards.text import moment, number, plain

DAYS_DRAWN = 60
# domain: what its key figure counts, and the mart that it is counted in
FIGURES = {
    "sessions": ("Sessions started", "rpt_sessions_by_country_hour"),
    "students": ("Student records", "fct_student_performance"),
    "purchases": ("Purchases", "rpt_purchases_daily"),
    "courier": ("Conversations", "fct_customer_courier_conversations"),
    "music": ("Song plays", "fct_songplays"),
    "vehicles": ("Vehicle events", "fct_vehicle_daily_summary"),
    "actions": ("Actions", "fct_action_windows"),
    "fleet": ("Fleet readings", "rpt_fleet_parameter_daily"),
    "telemetry": ("Game events", "rpt_engagement_daily"),
}


def show(view: View) -> None:
    """Draw the page."""
    _domains(view)
    _freshness(view)
    left, right = st.columns(2)
    loads = view.query("loads")
    with left:
        figure(
            "Rows loaded per day",
            loads.select("loaded_on", "rows_loaded", "files_loaded"),
            charts.columns(loads, "loaded_on", "rows_loaded"),
        )
    with right:
        figure(
            "Rows rejected per day",
            loads.select("loaded_on", "rows_rejected", "files_rejected"),
            charts.columns(loads, "loaded_on", "rows_rejected"),
        )
    left, right = st.columns(2)
    with left:
        _release(view)
    with right:
        _tests(view)


def _domains(view: View) -> None:
    """Show each domain's total, and its last days as a small line."""
    with st.container(horizontal=True, gap="small"):
        for domain, (what, mart) in FIGURES.items():
            if mart not in view.release.tables:
                continue
            days = view.query(domain)
            if days.is_empty():
                continue
            newest = days.row(-1, named=True)
            st.metric(
                plain(what),
                number(days["amount"].sum()),
                f"{number(newest['amount'])} on {newest['day']:%Y-%m-%d}",
                delta_color="off",
                delta_arrow="off",
                chart_data=days["amount"].tail(DAYS_DRAWN).to_list(),
                chart_type="area",
                border=True,
                width="stretch",
            )


def _freshness(view: View) -> None:
    sources = judge_freshness(view.release.query("frame/freshness", domain=None))
    shown = sources.select(
        "source",
        "domain",
        "state",
        pl.col("last_loaded_at"),
        pl.col("age_hours").round(1),
        "warn_after_hours",
        "error_after_hours",
        "last_event_at",
        "row_count",
        "rejected_rows",
    )
    table(
        "Freshness of every source",
        shown,
        "Late means that nothing was loaded for longer than the source's own policy allows.",
        height=min(38 + 35 * shown.height, 500),
    )


def _release(view: View) -> None:
    with st.container(border=True):
        st.markdown("**What this release is made from**")
        about = view.query("release").row(0, named=True)
        pairs(
            [
                ("Release", about["release_id"]),
                ("Released at", moment(about["released_at"])),
                ("Lake snapshot", about["lake_snapshot"]),
                ("Snapshot taken at", moment(about["lake_snapshot_time"])),
                ("Last build", f"{about['build_id']}, by {about['command'] or 'an older build'}"),
                ("Boathouse", about["boathouse_version"]),
                ("DuckDB", about["duckdb_version"]),
            ]
        )


def _tests(view: View) -> None:
    counts = view.release.query("frame/tests")
    figure("Tests of this release", counts, charts.bars(counts, "tests", "status", color="status"))
    notable = view.query("failed_tests")
    if not notable.is_empty():
        table("Tests that did not simply pass", notable)
