"""Sessions: how many, in which countries, at which hours, by whom, and how many are completed."""

from typing import Any

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.released import Value
from dashboards.show import figure, figures, side_by_side, table
from dashboards.text import number, percent


def show(view: View) -> None:
    """Draw the page."""
    low, high = view.query("span").row(0)
    with filters.row():
        first, last = filters.dates(low, high)
        countries = filters.some("Country", "country", view.query("options")["country"].to_list())
    chosen: dict[str, Value] = {"countries": countries, "low": first, "high": last}
    _figures(view.query("totals", **chosen).row(0, named=True))
    by_country = view.query("completed_by_country", **chosen)
    by_day = view.query("by_day", **chosen)
    with side_by_side() as (left, right):
        with left:
            figure(
                "Completed sessions, top ten countries",
                by_country,
                charts.bars(by_country, "sessions_completed", "country"),
            )
        with right:
            figure(
                "Share completed, the same countries",
                by_country,
                charts.bars(by_country, "completion_rate", "country"),
            )
    figure("Sessions started per day", by_day, charts.columns(by_day, "day", "sessions_started"))
    heat = view.query("heat", **chosen)
    figure(
        "Sessions started by weekday and hour",
        heat,
        charts.heat(heat, "hour_of_day", "weekday", "sessions_started"),
        "Hours are UTC.",
    )
    players = view.query("players", countries=countries)
    table("Players with most completed sessions", players, "Of all time.")
    table("Country with most sessions started, per year", view.query("started_by_year"))


def _figures(totals: dict[str, Any]) -> None:
    started, completed = totals["sessions_started"], totals["sessions_completed"]
    figures(
        [
            ("Sessions started", number(started), "on these days"),
            ("Sessions completed", number(completed), "of those"),
            ("Completed", percent(completed / started if started else None), ""),
            ("Ends without a start", number(totals["ends_without_start"]), "of all time"),
        ]
    )
