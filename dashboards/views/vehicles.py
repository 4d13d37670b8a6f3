"""Vehicles: the fleet's state, emergency calls, and one vehicle's day."""

import polars as pl

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.show import figure, figures, side_by_side, table
from dashboards.text import day, moment, number


def show(view: View) -> None:
    """Draw the page."""
    low, high = view.query("span").row(0)
    first, last = filters.dates(low, high)
    vehicles = view.query("vehicles")
    by_day = view.query("by_day", low=first, high=last)
    status = view.query("status")
    figures(
        [
            ("Vehicles", number(vehicles.height), ""),
            ("Events", number(by_day["events"].sum()), "on the days chosen"),
            ("Emergency calls", number(by_day["emergency_calls"].sum()), "on the days chosen"),
            ("Last heard of", moment(vehicles.select(pl.col("last_event_at").max()).item()), ""),
        ]
    )
    with side_by_side() as (left, right):
        with left:
            figure("Fleet status", status, charts.bars(status, "vehicles", "fleet_status"))
        with right:
            figure(
                "Emergency calls per day",
                by_day.select("day", "emergency_calls", "vehicles"),
                charts.columns(by_day, "day", "emergency_calls"),
            )
    emergencies = view.query("emergencies", low=first, high=last)
    table("Emergency calls", emergencies, "The newest 200.", height=260)
    _one_vehicle(view, vehicles)
    table("All vehicles", vehicles, height=300)


def _one_vehicle(view: View, vehicles: pl.DataFrame) -> None:
    with filters.row():
        names = [str(each) for each in vehicles["vehicle_id"]]
        vehicle = filters.one("Vehicle", "vehicle", names)
        days = view.query("days_of_vehicle", vehicle=vehicle)
        chosen = filters.one("Day (UTC)", "day", [day(each) for each in days["day"]])
    events = view.query("one_day", vehicle=vehicle, day=chosen)
    figure(
        "One vehicle's day", events, charts.dots(events, "event_time", "event_type"), "Every event."
    )
    table("Events of that day", events, height=260)
