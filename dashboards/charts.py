"""Pictures: bars, lines, bands and heat maps that look alike on every page.

Times are UTC on every axis. Text in tooltips is Vega's plain text. Nothing here reads data.
"""

from collections.abc import Sequence
from typing import Literal

import altair as alt
import polars as pl

from dashboards.text import label

# Readable on light and on dark ground, and by the colour-blind.
COLOR = "#2a8fb0"
CATEGORIES = (
    "#2a8fb0",
    "#e08a2e",
    "#5a9e57",
    "#b5629b",
    "#8a7cc9",
    "#a3814f",
    "#c75b50",
    "#7f8c92",
)
STATES = {
    "fresh": "#5a9e57",
    "passed": "#5a9e57",
    "loaded": "#5a9e57",
    "late": "#e08a2e",
    "warned": "#e08a2e",
    "failed": "#c75b50",
    "emergency call": "#c75b50",
    "rejected": "#c75b50",
    "never loaded": "#7f8c92",
    "skipped": "#7f8c92",
}
HEIGHT = 260
MOST_POINTS = 200
TIMES = {  # on axes: by what a tick is the beginning of
    "year": "%Y",
    "month": "%b %Y",
    "week": "%b %d",
    "date": "%b %d",
    "hours": "%H:%M",
    "minutes": "%H:%M",
}
FEW_DAYS = 7  # so few that each is named on the axis
_TEXT = "__text"


def bars(
    frame: pl.DataFrame, x: str, y: str, *, limit: int = 20, color: str | None = None
) -> alt.Chart:
    """Return horizontal bars, in the order of the rows: `x` is how much, `y` is of what."""
    shown = frame.head(limit)
    drawn: alt.Chart = (
        _chart(shown)
        .mark_bar(color=COLOR)
        .encode(
            x=alt.X(f"{x}:Q", title=_title(frame, x), axis=_amounts(frame, x)),
            y=alt.Y(f"{y}:N", title=_title(frame, y), sort=None, axis=alt.Axis(labelLimit=180)),
            tooltip=_tooltips(shown),
            **_colored(frame, color, has_legend=color != y),
        )
        .properties(height=alt.Step(22))
    )
    return drawn


def columns(
    frame: pl.DataFrame,
    x: str,
    y: str,
    *,
    color: str | None = None,
    side_by_side: bool = False,
) -> alt.Chart:
    """Return vertical bars; `x` is a day, a time or a category in the order of the rows."""
    position = {"xOffset": alt.XOffset(f"{color}:N")} if side_by_side and color else {}
    drawn: alt.Chart = (
        _chart(frame)
        .mark_bar(color=COLOR)
        .encode(
            x=_along(frame, x, is_bar=True),
            y=alt.Y(f"{y}:Q", title=_title(frame, y), axis=_amounts(frame, y)),
            tooltip=_tooltips(frame),
            **_colored(frame, color),
            **position,
        )
        .properties(height=HEIGHT)
    )
    return drawn


def lines(
    frame: pl.DataFrame, x: str, y: str, *, color: str | None = None, from_zero: bool = True
) -> alt.Chart:
    """Return one line, or one for each value of `color`, over time or numbers."""
    drawn: alt.Chart = (
        _chart(frame)
        .mark_line(color=COLOR, point=_points(frame), strokeWidth=1.8)
        .encode(
            x=_along(frame, x),
            y=alt.Y(
                f"{y}:Q",
                title=_title(frame, y),
                axis=_amounts(frame, y),
                scale=alt.Scale(zero=from_zero),
            ),
            tooltip=_tooltips(frame),
            **_colored(frame, color),
        )
        .properties(height=HEIGHT)
    )
    return drawn


def band(frame: pl.DataFrame, x: str, low: str, middle: str, high: str) -> alt.LayerChart:
    """Return a line of `middle` in the band from `low` to `high`."""
    base = _chart(frame).encode(x=_along(frame, x), tooltip=_tooltips(frame))
    scale = alt.Scale(zero=False)
    area = base.mark_area(opacity=0.22, color=COLOR).encode(
        y=alt.Y(f"{low}:Q", title=_title(frame, middle), scale=scale, axis=_amounts(frame, low)),
        y2=f"{high}:Q",
    )
    line = base.mark_line(color=COLOR, point=_points(frame)).encode(
        y=alt.Y(f"{middle}:Q", scale=scale)
    )
    drawn: alt.LayerChart = (area + line).properties(height=HEIGHT)
    return drawn


def spans(frame: pl.DataFrame, start: str, end: str, y: str) -> alt.Chart:
    """Return one horizontal bar from `start` to `end` for each row."""
    drawn: alt.Chart = (
        _chart(frame)
        .mark_bar(color=COLOR, height=14)
        .encode(
            x=_along(frame, start),
            x2=f"{end}:T",
            y=alt.Y(f"{y}:N", title=_title(frame, y), sort=None),
            tooltip=_tooltips(frame),
        )
        .properties(height=alt.Step(30))
    )
    return drawn


def windows(
    frame: pl.DataFrame, start: str, end: str, y: str, *, color: str | None = None
) -> alt.Chart:
    """Return vertical bars that are as wide as their time from `start` to `end`."""
    drawn: alt.Chart = (
        _chart(frame)
        .mark_bar(color=COLOR, binSpacing=0)
        .encode(
            x=_along(frame, start).bin("binned"),
            x2=f"{end}:T",
            y=alt.Y(f"{y}:Q", title=_title(frame, y), axis=_amounts(frame, y)),
            tooltip=_tooltips(frame),
            **_colored(frame, color),
        )
        .properties(height=HEIGHT)
    )
    return drawn


def points(frame: pl.DataFrame, x: str, y: str, *, color: str | None = None) -> alt.Chart:
    """Return a point for each row, over time, with a line for each value of `y`."""
    drawn: alt.Chart = (
        _chart(frame)
        .mark_circle(size=70, opacity=0.85, color=COLOR)
        .encode(
            x=_along(frame, x),
            y=alt.Y(f"{y}:N", title=_title(frame, y), axis=alt.Axis(labelLimit=120, grid=True)),
            tooltip=_tooltips(frame),
            **_colored(frame, color),
        )
        .properties(height=alt.Step(26))
    )
    return drawn


def heat(frame: pl.DataFrame, x: str, y: str, value: str, *, height: int = 300) -> alt.Chart:
    """Return a heat map, its rows and columns in the order of the frame."""
    drawn: alt.Chart = (
        _chart(frame)
        .mark_rect()
        .encode(
            x=alt.X(
                f"{x}:O",
                title=_title(frame, x),
                sort=_order(frame, x),
                axis=alt.Axis(labelAngle=0),
            ),
            y=alt.Y(
                f"{y}:O",
                title=_title(frame, y),
                sort=None,
                axis=alt.Axis(labelOverlap=False, labelLimit=120),
            ),
            color=alt.Color(
                f"{value}:Q",
                title=_title(frame, value),
                scale=alt.Scale(scheme="tealblues", zero=True),
                legend=alt.Legend(format=_format(frame, value), orient="bottom"),
            ),
            tooltip=_tooltips(frame),
        )
        .properties(height=height)
    )
    return drawn


def _chart(frame: pl.DataFrame) -> alt.Chart:
    """Return a chart of a frame, with its times marked as UTC and also written as text."""
    texts = [
        pl.col(name)
        .dt.strftime("%Y-%m-%d" if kind == pl.Date else "%Y-%m-%d %H:%M UTC")
        .alias(name + _TEXT)
        for name, kind in frame.schema.items()
        if kind.is_temporal()
    ]
    zones = [
        pl.col(name).dt.replace_time_zone("UTC")
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.Datetime) and kind.time_zone is None
    ]
    decimals = [
        pl.col(name).cast(pl.Float64)
        for name, kind in frame.schema.items()
        if isinstance(kind, pl.Decimal)
    ]
    return alt.Chart(frame.with_columns(texts).with_columns(zones + decimals))


def _labels(frame: pl.DataFrame, name: str) -> alt.Axis:
    """Return an axis that names every row while there are few of them."""
    return alt.Axis(labelOverlap=frame[name].n_unique() > FEW_DAYS)


def _order(frame: pl.DataFrame, name: str) -> Literal["ascending"] | None:
    """Return how categories are ordered: numbers by themselves, others as the rows come."""
    return "ascending" if frame.schema[name].is_numeric() else None


def _points(frame: pl.DataFrame) -> alt.OverlayMarkDef | bool:
    """Return a dot for each row while there are few enough to tell them apart."""
    return alt.OverlayMarkDef(size=18) if frame.height <= MOST_POINTS else False


def _along(frame: pl.DataFrame, name: str, *, is_bar: bool = False) -> alt.X:
    kind = frame.schema[name]
    title = _title(frame, name)
    if kind == pl.Date and is_bar and frame[name].n_unique() <= FEW_DAYS:
        return alt.X(f"{name}{_TEXT}:O", title=title, sort=None, axis=alt.Axis(labelOverlap=True))
    if kind == pl.Date and is_bar:
        return alt.X(f"{name}:T", title=title, timeUnit="utcyearmonthdate", axis=_days())
    if kind.is_temporal():
        return alt.X(f"{name}:T", title=title, scale=alt.Scale(type="utc"), axis=_days())
    if kind.is_float() and not is_bar:
        return alt.X(f"{name}:Q", title=title)
    axis = alt.Axis(labelAngle=0)
    return alt.X(f"{name}:O", title=title, sort=_order(frame, name), axis=axis)


def _days() -> alt.Axis:
    return alt.Axis(labelOverlap=True, tickCount=8, labelAngle=0, format=TIMES)


def _amounts(frame: pl.DataFrame, name: str) -> alt.Axis:
    fractional = not frame.schema[name].is_integer()
    return alt.Axis(format="%" if _is_share(name) else ",~f", tickMinStep=0 if fractional else 1)


def _is_share(name: str) -> bool:
    return name.endswith(("_rate", "_share", "retention"))


def _format(frame: pl.DataFrame, name: str) -> str:
    if _is_share(name):
        return ".1%"
    return ",d" if frame.schema[name].is_integer() else ",.2~f"


def _tooltips(frame: pl.DataFrame) -> list[alt.Tooltip]:
    found = []
    for name, kind in frame.schema.items():
        title = _title(frame, name)
        if kind.is_temporal():
            found.append(alt.Tooltip(f"{name}{_TEXT}:N", title=title))
        elif kind.is_numeric() and name != "year":
            found.append(alt.Tooltip(f"{name}:Q", title=title, format=_format(frame, name)))
        elif not kind.is_nested():
            found.append(alt.Tooltip(f"{name}:N", title=title))
    return found


def _title(frame: pl.DataFrame, name: str) -> str:
    return label(name, frame.schema[name])


def _colored(
    frame: pl.DataFrame, name: str | None, *, has_legend: bool = True
) -> dict[str, alt.Color]:
    if name is None:
        return {}
    values = frame[name].unique().sort().to_list()
    scale = alt.Scale(domain=values, range=colors(values))
    legend = alt.Legend(orient="bottom", columns=4, labelLimit=140) if has_legend else None
    return {"color": alt.Color(f"{name}:N", title=_title(frame, name), scale=scale, legend=legend)}


def colors(values: Sequence[object]) -> list[str]:
    """Return a colour for each value: states have theirs, others the next of the palette."""
    others = [value for value in values if value not in STATES]
    return [
        STATES.get(str(value)) or CATEGORIES[others.index(value) % len(CATEGORIES)]
        for value in values
    ]
