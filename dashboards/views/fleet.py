"""Fleet: which parameters the trucks' sensors send, since when, and how one of them develops."""

import polars as pl

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.show import figure, figures, side_by_side, table
from dashboards.text import number


def show(view: View) -> None:
    """Draw the page."""
    parameters = view.query("parameters")
    drifting = parameters.filter(pl.col("types_seen").str.contains(",", literal=True))
    figures(
        [
            ("Parameters", number(parameters.height), ""),
            ("Readings", number(parameters["readings"].sum()), ""),
            ("Sent as more than one type", number(drifting.height), "parameters"),
        ]
    )
    appearing = view.query("appearing")
    parameter = filters.one("Parameter", "parameter", parameters["parameter"].to_list())
    daily = view.query("band", parameter=parameter)
    with side_by_side() as (left, right):
        with left:
            figure(
                "Parameters appearing over time",
                appearing,
                charts.columns(appearing, "day", "new_parameters"),
                "Parameters seen for the first time on each day.",
            )
        with right:
            figure(
                "The parameter's band",
                daily,
                charts.band(daily, "day", "minimum", "average", "maximum"),
                "Average, between the day's least and greatest value; text has none.",
            )
    table("All parameters", parameters, height=400)
