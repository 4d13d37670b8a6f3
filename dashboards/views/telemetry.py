"""Telemetry: who plays, who comes back, where players stop, and what it earns."""

from datetime import date

import polars as pl

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.show import figure, figures, nothing, side_by_side
from dashboards.text import number, percent


def show(view: View) -> None:
    """Draw the page."""
    low, high = view.query("span").row(0)
    if low is None:
        nothing("There are no game events yet.")
        return
    first, last = filters.dates(low, high)
    engagement = view.query("engagement", low=first, high=last)
    _figures(engagement)
    figure(
        "Active players per day",
        engagement,
        charts.lines(engagement, "event_date", "daily_active_players"),
    )
    _retention(view, first, last)
    with side_by_side() as (left, right):
        with left:
            funnel = view.query("funnel")
            figure(
                "Level funnel",
                funnel,
                charts.columns(funnel, "level", "players_started"),
                "Players who started each level, of all time.",
            )
        with right:
            revenue = view.query("revenue", low=first, high=last)
            figure(
                "Revenue per day",
                revenue,
                charts.lines(revenue, "event_date", "revenue", color="currency"),
                "Each currency by itself; none is converted.",
            )


def _figures(engagement: pl.DataFrame) -> None:
    active = engagement["daily_active_players"].mean()
    figures(
        [
            ("Active players a day", number(active if isinstance(active, float) else None), ""),
            ("New players", number(engagement["new_players"].sum()), ""),
            ("Back after 1 day", percent(_share(engagement, "day_1_retention")), "of new players"),
            ("Back after 7 days", percent(_share(engagement, "day_7_retention")), "of new players"),
        ]
    )


def _share(engagement: pl.DataFrame, name: str) -> float | None:
    """Return a retention over all new players of the days that can tell."""
    known = engagement.drop_nulls(name)
    new = int(known["new_players"].sum())
    return float((known["new_players"] * known[name]).sum()) / new if new else None


def _retention(view: View, first: date, last: date) -> None:
    cohorts = view.query("retention", low=first, high=last)
    figure(
        "Retention",
        cohorts,
        charts.heat(cohorts, "days_later", "new_on", "retention", height=360),
        "Share of the players who were new on a day that came back so many days later.",
    )
