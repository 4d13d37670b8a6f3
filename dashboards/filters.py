"""Filters that live in the URL: a link opens the same view, a wrong value in it is ignored.

Each filter's key is its name in the URL, and the options come from the release. Options are
shown by widgets that take text as it is, never as Markdown.
"""

from collections.abc import Sequence
from datetime import date

import streamlit as st

MOST_STEPS = 31
RANGE_WIDTH = 270  # pixels that two days need; on a phone other filters then go below


def dates(low: date | None, high: date | None, key: str = "dates") -> tuple[date, date]:
    """Ask for a range of days, both included; all of them unless told otherwise."""
    low, high = low or date.today(), high or date.today()
    chosen = st.date_input(
        "Days (UTC)",
        (low, high),
        min_value=low,
        max_value=high,
        format="YYYY-MM-DD",
        key=key,
        bind="query-params",
        width=RANGE_WIDTH,
    )
    picked = chosen if isinstance(chosen, tuple) else (chosen,)
    # While somebody picks a range, Streamlit hands over its first day alone.
    return (picked[0], picked[-1]) if picked else (low, high)


def one_day(title: str, key: str, low: date | None, high: date | None) -> date:
    """Ask for one day, the last of all unless told otherwise."""
    low, high = low or date.today(), high or date.today()
    chosen = st.date_input(
        title,
        high,
        min_value=low,
        max_value=high,
        format="YYYY-MM-DD",
        key=key,
        bind="query-params",
    )
    return chosen or high


def step(first: date, last: date) -> str:
    """Return the step in which a picture of so many days stays readable: day, week or month."""
    days = (last - first).days + 1
    if days <= MOST_STEPS:
        return "day"
    return "week" if days <= 7 * MOST_STEPS else "month"


def some(title: str, key: str, options: Sequence[str]) -> list[str]:
    """Ask for any number of values; none chosen means all."""
    return st.multiselect(title, options, placeholder="All", key=key, bind="query-params")


def one(title: str, key: str, options: Sequence[str]) -> str | None:
    """Ask for one value, the first unless told otherwise; None when there is none to choose."""
    return st.selectbox(title, options, key=key, bind="query-params", disabled=not options)


def one_or_all(title: str, key: str, options: Sequence[str]) -> str | None:
    """Ask for one value or none; None means all."""
    return st.selectbox(title, options, index=None, placeholder="All", key=key, bind="query-params")


def row() -> st.delta_generator.DeltaGenerator:
    """Return a container in which filters stand side by side, and below each other on a phone."""
    return st.container(horizontal=True, gap="small", vertical_alignment="bottom")
