"""Actions: what is opened and closed over time, at which hours, and the busiest ten minutes."""

import polars as pl
import streamlit as st

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.released import Value
from dashboards.show import figure, figures, table
from dashboards.text import moment, number

# days that a picture has at most, how wide its bars are, and what that is called
WIDTHS = ((2, 10, "ten minutes"), (31, 60, "an hour"))
WIDEST = (24 * 60, "a day")
KINDS = {"opens": "open", "closes": "close", "other_actions": "other"}


def show(view: View) -> None:
    """Draw the page."""
    low, high = view.query("span").row(0)
    first, last = filters.dates(low, high)
    chosen: dict[str, Value] = {"low": first, "high": last}
    _figures(view, chosen)
    minutes, width = _width((last - first).days + 1)
    _over_time(view, "Actions over time", minutes, chosen, f"Each bar is {width} (UTC).")
    day = filters.one_day("One day (UTC)", "day", low, high)
    _over_time(
        view,
        "The day in ten-minute windows",
        10,
        {"low": day, "high": day},
        "A window includes its start and excludes its end (UTC).",
    )
    heat = view.query("heat", **chosen)
    figure(
        "Actions by weekday and hour",
        heat,
        charts.heat(heat, "hour_of_day", "weekday", "actions"),
        "Hours are UTC.",
    )
    left, right = st.columns(2)
    with left:
        table("Busiest windows of the chosen days", view.query("busiest", **chosen))
    with right:
        table("Windows with most opens, of all time", view.query("most_opens"))


def _figures(view: View, chosen: dict[str, Value]) -> None:
    totals = view.query("totals", **chosen).row(0, named=True)
    figures(
        [
            ("Actions", number(totals["actions"]), ""),
            ("Ten-minute windows with actions", number(totals["windows"]), ""),
            (
                "Opens and closes per window",
                number(totals["average_actions_per_window"], 2),
                "on average",
            ),
            (
                "Most actions in a window",
                number(totals["most_actions"]),
                moment(totals["busiest_window_start"]),
            ),
        ]
    )


def _width(days: int) -> tuple[int, str]:
    """Return how wide a bar is, in minutes and in words, for that many days to be readable."""
    return next(((minutes, text) for most, minutes, text in WIDTHS if days <= most), WIDEST)


def _over_time(view: View, title: str, minutes: int, chosen: dict[str, Value], note: str) -> None:
    wide = view.query("over_time", minutes=minutes, **chosen)
    kinds = wide.unpivot(
        list(KINDS),
        index=["window_start", "window_end"],
        variable_name="action",
        value_name="actions",
    ).filter(pl.col("actions") > 0)
    drawn = kinds.with_columns(pl.col("action").replace(KINDS))
    figure(
        title,
        wide,
        charts.windows(drawn, "window_start", "window_end", "actions", color="action"),
        note,
    )
