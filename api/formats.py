"""Answers in the form that the client asks for with `Accept`."""

import io
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import mimeparse  # type: ignore[import-untyped]  # it has no types
import orjson
import polars as pl

from api.problems import ProblemError

JSON = "application/json"
NDJSON = "application/x-ndjson"
CSV = "text/csv"
ARROW = "application/vnd.apache.arrow.stream"
ALL = [ARROW, CSV, NDJSON, JSON]  # the last wins when a client takes anything
_OPTIONS = orjson.OPT_NAIVE_UTC | orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS
_TIME = "%Y-%m-%dT%H:%M:%S%.6fZ"

CONTENT: dict[str, Any] = {
    NDJSON: {"schema": {"type": "string", "description": "One JSON object a line."}},
    CSV: {"schema": {"type": "string", "description": "With a line of names (RFC 4180)."}},
    ARROW: {"schema": {"type": "string", "format": "binary"}},
}


def choose(accept: str | None) -> str:
    """Return the media type to answer in.

    Raises:
        ProblemError: 406, it is none of those there are.
    """
    if not accept or accept == "*/*" or accept == JSON:
        return JSON
    try:
        best = mimeparse.best_match(ALL, accept)
    except (mimeparse.MimeTypeParseException, ValueError):
        best = ""
    if not best:
        raise ProblemError(406, f"There is {', '.join(reversed(ALL))}. Ask for one with `Accept`.")
    return str(best)


def dump(content: Any) -> bytes:
    """Return JSON; times are UTC and say so."""
    return orjson.dumps(content, default=_number, option=_OPTIONS)


def _number(value: Any) -> orjson.Fragment:
    """Return a decimal with all of its digits."""
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value))
    raise TypeError


def render(frame: pl.DataFrame, media_type: str, more: Mapping[str, Any]) -> bytes:
    """Return rows in one of the forms; `more` joins the items of JSON, which alone has a place."""
    if media_type == JSON:
        return dump({"items": frame.rows(named=True), "count": frame.height, **more})
    if media_type == NDJSON:
        return b"".join(dump(row) + b"\n" for row in frame.iter_rows(named=True))
    written = io.BytesIO()
    if media_type == CSV:
        frame.write_csv(written, datetime_format=_TIME)
    else:
        times = frame.with_columns(pl.col(pl.Datetime).dt.replace_time_zone("UTC"))
        times.write_ipc_stream(written, compat_level=pl.CompatLevel.oldest())
    return written.getvalue()
