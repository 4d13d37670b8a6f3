"""Fleet: which parameters the trucks' sensors have when, and what one of them measures."""

import polars as pl
import streamlit as st

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.released import Value
from dashboards.show import figure, figures, nothing, table
from dashboards.text import number


def show(view: View) -> None:
    """Draw the page."""
    low, high = view.query("span").row(0)
    with filters.row():
        first, last = filters.dates(low, high)
        truck = filters.one_or_all("Truck", "truck", view.query("trucks")["truck_id"].to_list())
    chosen: dict[str, Value] = {"low": first, "high": last, "truck": truck}
    _figures(view, chosen)
    _appearing(view, chosen)
    _life(view, chosen, filters.step(first, last))
    table("All parameters, newest first", view.query("catalogue"), "Of all trucks.", height=300)
    _one_parameter(view, chosen)


def _figures(view: View, chosen: dict[str, Value]) -> None:
    totals = view.query("totals", **chosen).row(0, named=True)
    figures(
        [
            ("Parameters", number(totals["parameters"]), "in these days"),
            ("New parameters", number(totals["new_parameters"]), "first seen in these days"),
            ("Of several types", number(totals["parameters_of_several_types"]), "of all time"),
            ("Trucks", number(totals["trucks"]), "in these days"),
            ("Readings", number(totals["readings"]), "in these days"),
        ]
    )


def _appearing(view: View, chosen: dict[str, Value]) -> None:
    days = view.query("days", **chosen)
    left, right = st.columns(2)
    with left:
        figure(
            "Parameters appearing",
            days.select("day", "new_parameters"),
            charts.columns(days, "day", "new_parameters"),
            "By the day of their first reading.",
        )
    with right:
        figure(
            "Parameters in use",
            days.drop("new_parameters"),
            charts.lines(days, "day", "parameters"),
            "Parameters with a reading on the day.",
        )


def _life(view: View, chosen: dict[str, Value], step: str) -> None:
    life = view.query("life", step=step, **chosen).rename({"step": step})
    drawn = life.with_columns(pl.col(step).cast(pl.String))
    figure(
        "Parameters over time",
        life,
        charts.heat(
            drawn, step, "parameter", "readings", height=140 + 17 * life["parameter"].n_unique()
        ),
        "Where there is no colour, no truck sent it. At most the 50 newest parameters.",
    )


def _one_parameter(view: View, chosen: dict[str, Value]) -> None:
    parameter = filters.one(
        "Parameter", "parameter", view.query("parameters")["parameter"].to_list()
    )
    band = view.query("band", parameter=parameter, **chosen)
    texts = view.query("texts", parameter=parameter, **chosen)
    if band.is_empty() and texts.is_empty():
        nothing("This parameter has no readings in these days.")
    if not band.is_empty():
        figure(
            "The parameter's band",
            band,
            charts.band(band, "day", "minimum", "average", "maximum"),
            "The average of each day, between its minimum and its maximum, in the sensor's units.",
        )
    if not texts.is_empty():
        table(
            "The parameter's values that are no numbers",
            texts,
            "The 50 most frequent.",
        )
