"""Courier: how fast people answer each other, in which cities, and where conversations end."""

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.released import Value
from dashboards.show import figure, figures, side_by_side, table
from dashboards.text import duration, number, percent


def show(view: View) -> None:
    """Draw the page."""
    low, high = view.query("span").row(0)
    with filters.row():
        first, last = filters.dates(low, high)
        cities = filters.some("City", "city", view.query("cities")["city_code"].to_list())
    chosen: dict[str, Value] = {"low": first, "high": last, "cities": cities}
    totals = view.query("totals", **chosen).row(0, named=True)
    count = totals["conversations"]
    figures(
        [
            ("Conversations", number(count), ""),
            ("Answered", percent(totals["answered"] / count if count else None), ""),
            ("Median response", duration(totals["median_seconds"]), ""),
            ("90% answered within", duration(totals["p90_seconds"]), "of those answered"),
            ("Started by the courier", number(totals["started_by_courier"]), ""),
        ]
    )
    by_city = view.query("by_city", **chosen)
    stages = view.query("stages", **chosen)
    by_day = view.query("by_day", **chosen)
    with side_by_side() as (left, right):
        with left:
            figure(
                "Median response by city",
                by_city,
                charts.bars(by_city, "median_response_minutes", "city_code"),
                "From the first message to the other side's first.",
            )
        with right:
            figure(
                "Stage of the order at the last message",
                stages,
                charts.bars(stages, "conversations", "last_stage"),
                "Where conversations end.",
            )
    figure(
        "Conversations per day",
        by_day,
        charts.columns(by_day, "day", "conversations", color="first_message_by"),
    )
    table("Slowest answers", view.query("slowest", **chosen), height=300)
