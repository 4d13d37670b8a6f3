"""Sessions: how many, in which countries, at which hours, by whom, and how many are completed."""

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.show import figure, figures, side_by_side, table
from dashboards.text import number, percent


def show(view: View) -> None:
    """Draw the page."""
    low, high = view.query("span").row(0)
    with filters.row():
        first, last = filters.dates(low, high)
        countries = filters.some("Country", "country", view.query("options")["country"].to_list())
    _figures(view, countries)
    by_country = view.query("completed_by_country", countries=countries)
    by_day = view.query("by_day", countries=countries, low=first, high=last)
    with side_by_side() as (left, right):
        with left:
            figure(
                "Completed sessions, top ten countries",
                by_country,
                charts.bars(by_country, "sessions_completed", "country"),
                "Of all time.",
            )
        with right:
            figure(
                "Share of sessions completed",
                by_country,
                charts.bars(by_country, "completion_rate", "country"),
                "Of these countries, of all time.",
            )
    figure("Sessions started per day", by_day, charts.columns(by_day, "day", "sessions_started"))
    heat = view.query("heat", countries=countries, low=first, high=last)
    figure(
        "Sessions started by weekday and hour",
        heat,
        charts.heat(heat, "hour_of_day", "weekday", "sessions_started"),
        "Hours are UTC.",
    )
    players = view.query("players", countries=countries)
    table("Players with most completed sessions", players, "Of all time.")
    table("Country with most sessions started, per year", view.query("started_by_year"))


def _figures(view: View, countries: list[str]) -> None:
    totals = view.query("totals", countries=countries).row(0, named=True)
    started, completed = totals["sessions_started"] or 0, totals["sessions_completed"] or 0
    figures(
        [
            ("Sessions started", number(started), "of all time"),
            ("Sessions completed", number(completed), "of all time"),
            ("Completed", percent(completed / started if started else None), ""),
            ("Ends without a start", number(totals["ends_without_start"] or 0), ""),
        ]
    )
