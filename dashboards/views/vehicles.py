"""Vehicles: the state of the fleet, its emergency calls, and one vehicle's day."""

from datetime import date

import streamlit as st

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.released import Value
from dashboards.show import figure, figures, nothing, table
from dashboards.text import day, moment, number, plain


def show(view: View) -> None:
    """Draw the page."""
    low, high = view.query("span").row(0)
    with filters.row():
        first, last = filters.dates(low, high)
        statuses = filters.some("Status", "status", view.query("statuses")["status"].to_list())
    chosen: dict[str, Value] = {"low": first, "high": last}
    totals = view.query("totals", **chosen).row(0, named=True)
    figures(
        [
            ("Vehicles", number(totals["vehicles"]), ""),
            ("Vehicles with events", number(totals["active_vehicles"]), "in these days"),
            ("Events", number(totals["events"] or 0), "in these days"),
            ("Emergency calls", number(totals["emergency_calls"] or 0), "in these days"),
        ]
    )
    _fleet(view, statuses)
    _emergency_calls(view, chosen)
    _one_day(view, low, high)


def _fleet(view: View, statuses: list[str]) -> None:
    counts = view.query("fleet_status", statuses=statuses)
    figure(
        "Fleet status",
        counts,
        charts.bars(counts, "vehicles", "status"),
        "By each vehicle's latest report.",
    )
    table(
        "Vehicles by latest report",
        view.query("fleet", statuses=statuses),
        "At most a thousand of those with the chosen statuses.",
        height=300,
    )


def _emergency_calls(view: View, chosen: dict[str, Value]) -> None:
    days = view.query("emergency_days", **chosen)
    vehicles = view.query("emergency_vehicles", **chosen)
    left, right = st.columns(2)
    with left:
        figure("Emergency calls per day", days, charts.columns(days, "day", "emergency_calls"))
    with right:
        figure(
            "Vehicles with most emergency calls",
            vehicles,
            charts.bars(vehicles, "emergency_calls", "vehicle_id"),
        )
    table(
        "Latest emergency calls",
        view.query("emergency_calls", **chosen),
        "At most 200 of the chosen days.",
        height=300,
    )


def _one_day(view: View, low: date | None, high: date | None) -> None:
    with filters.row():
        vehicle = filters.one("Vehicle", "vehicle", view.query("vehicles")["vehicle_id"].to_list())
        chosen_day = filters.one_day("Day (UTC)", "day", low, high)
    chosen: dict[str, Value] = {"vehicle": vehicle, "day": chosen_day}
    summary = view.query("day_summary", **chosen)
    if summary.is_empty():
        last_day: date | None = view.query("last_day", vehicle=vehicle).item()
        nothing(
            "This vehicle has sent no events."
            if last_day is None
            else f"No events of this vehicle on that day; the last are of {plain(day(last_day))}."
        )
        return
    about = summary.row(0, named=True)
    figures(
        [
            ("Events of the day", number(about["events"]), ""),
            ("Emergency calls of the day", number(about["emergency_calls"]), ""),
            ("Last event", about["last_event_type"], moment(about["last_event_time"])),
        ]
    )
    picture = view.query("day_picture", **chosen)
    figure(
        "The vehicle's day",
        picture,
        charts.points(picture, "time_of_day", "event_type", color="emergency"),
        "Each point is one kind of event within five minutes.",
    )
    table(
        "Events of the vehicle's day",
        view.query("day_events", **chosen),
        "The newest 500 at most.",
        height=300,
    )
