"""Purchases: the table as of a day, one purchase's history, and what changed on each day."""

from datetime import date

import polars as pl
import streamlit as st

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.show import figure, figures, nothing, side_by_side, table
from dashboards.text import day, number


def show(view: View) -> None:
    """Draw the page."""
    totals = view.query("totals").row(0, named=True)
    figures(
        [
            ("Current purchases", number(totals["purchases"]), ""),
            ("Buyers", number(totals["buyers"]), ""),
            ("Changed since they were made", number(totals["changed"]), "more than one version"),
        ]
    )
    low, high = view.query("span").row(0)
    if low is None:
        nothing("There are no purchases yet.")
        return
    _as_of(view, low, high)
    _history(view)
    _daily(view, low, high)


def _as_of(view: View, low: date, high: date) -> None:
    chosen = high
    if low < high:
        chosen = st.slider(
            "Show the table as of",
            low,
            high,
            high,
            format="YYYY-MM-DD",
            key="day",
            bind="query-params",
        )
    count = view.query("as_of_count", day=chosen).item()
    table(
        f"Purchases as of {day(chosen)}",
        view.query("as_of", day=chosen),
        f"{number(count)} purchases were valid on that day; shown are the newest 500.",
        height=300,
    )


def _history(view: View) -> None:
    suggested = view.query("most_changed").item()
    chosen = st.number_input(
        "Purchase", min_value=0, value=suggested, step=1, key="purchase", bind="query-params"
    )
    history = view.query("history", purchase=int(chosen or 0))
    drawn = history.select(
        pl.col("version").cast(pl.String), "valid_from", "shown_until", "product_id", "user_id"
    )
    figure(
        "History of the purchase",
        history.drop("shown_until"),
        charts.spans(drawn, "valid_from", "shown_until", "version"),
        "Each bar is a version and the days on which it was valid.",
    )
    table("Versions of the purchase", history.drop("shown_until"))


def _daily(view: View, low: date, high: date) -> None:
    first, last = filters.dates(low, high)
    daily = view.query("daily", low=first, high=last)
    changes = view.query("changes", low=first, high=last)
    with side_by_side() as (left, right):
        with left:
            figure("Purchases per day", daily, charts.columns(daily, "purchased_on", "purchases"))
        with right:
            figure(
                "Changes per day", changes, charts.columns(changes, "day", "changes", color="kind")
            )
