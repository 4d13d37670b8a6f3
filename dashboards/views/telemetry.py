"""Telemetry: how many people play, how many come back, how far they get, and what they pay."""

from datetime import date

import polars as pl
import streamlit as st

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.released import Value
from dashboards.show import figure, figures, table
from dashboards.text import number, percent

STEPS = {"day": "1d", "week": "1w", "month": "1mo"}  # as Polars writes them


def show(view: View) -> None:
    """Draw the page."""
    low, high = view.query("span").row(0)
    with filters.row():
        first, last = filters.dates(low, high)
        currencies = filters.some(
            "Currency", "currency", view.query("currencies")["currency"].to_list()
        )
    chosen: dict[str, Value] = {"low": first, "high": last}
    _figures(view, chosen)
    _active_players(view, chosen)
    _retention(view, first, last)
    _levels(view)
    _revenue(view, chosen | {"currencies": currencies})


def _figures(view: View, chosen: dict[str, Value]) -> None:
    totals = view.query("totals", **chosen).row(0, named=True)
    figures(
        [
            (
                "Active players",
                number(totals["last_active_players"]),
                f"last day; {number(totals['average_active_players'], 1)} on average",
            ),
            ("New players", number(totals["new_players"]), ""),
            ("Back on day 1", percent(totals["day_1_retention"]), "of new players"),
            ("Back on day 7", percent(totals["day_7_retention"]), "of new players"),
            ("Events", number(totals["events"]), ""),
        ]
    )


def _active_players(view: View, chosen: dict[str, Value]) -> None:
    days = view.query("active_players", **chosen)
    kinds = days.unpivot(
        ["new_players", "returning_players"],
        index="event_date",
        variable_name="players",
        value_name="active_players",
    ).with_columns(pl.col("players").str.strip_suffix("_players"))
    figure(
        "Active players per day",
        days,
        charts.columns(kinds, "event_date", "active_players", color="players"),
        "Players who did anything on the day: new ones, and those who came back.",
    )


def _retention(view: View, first: date, last: date) -> None:
    step = filters.step(first, last)
    row = f"first_{step}"
    retention = (
        view.query("retention")
        .filter(pl.col("first_day").is_between(first, last))
        .group_by(pl.col("first_day").dt.truncate(STEPS[step]).alias(row), "days_later")
        .agg(pl.col("new_players").sum(), pl.col("players_back").sum())
        .with_columns(retention=pl.col("players_back") / pl.col("new_players"))
        .sort(row, "days_later")
    )
    drawn = retention.with_columns(pl.col(row).cast(pl.String))
    figure(
        "Retention",
        retention,
        charts.heat(drawn, "days_later", row, "retention", height=140 + 17 * drawn[row].n_unique()),
        "The share of new players who played again exactly so many days later.",
    )


def _levels(view: View) -> None:
    levels = view.query("levels")
    steps = levels.unpivot(
        ["players_started", "players_completed"],
        index="level",
        variable_name="step",
        value_name="players",
    ).with_columns(pl.col("step").str.strip_prefix("players_"))
    left, right = st.columns(2)
    with left:
        figure(
            "Level funnel",
            levels,
            charts.columns(steps, "level", "players", color="step", side_by_side=True),
            "Players who ever started and ever completed a level, of all time.",
        )
    with right:
        figure(
            "Attempts completed by level",
            levels,
            charts.columns(levels, "level", "completion_rate"),
            "The share of attempts that ended with the level completed, of all time.",
        )


def _revenue(view: View, chosen: dict[str, Value]) -> None:
    revenue = view.query("revenue", **chosen)
    left, right = st.columns(2)
    with left:
        figure(
            "Revenue per day",
            revenue,
            charts.lines(revenue, "event_date", "revenue", color="currency"),
            "Each currency in its own units; nothing is converted.",
        )
    with right:
        table("Revenue by currency", view.query("revenue_by_currency", **chosen))
