"""How values of DuckDB's types are kept in a look-up, and come back as a list of the mart has them.

SQLite knows whole numbers of 64 bits and text, so every value is kept as one of the two: times as
microseconds since 1970 (UTC), all other numbers as the digits that DuckDB writes. What has no form
of its own in the API's answers is text, here as there.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from boathouse.sql import literal

TIMES = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE")
WHOLE = (
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT"),
)
FLOATS = ("FLOAT", "DOUBLE")
TEXTS = ("VARCHAR", "UUID")
_SMALL = frozenset(WHOLE) - {"UBIGINT", "HUGEINT"}
_DECIMAL = re.compile(r"DECIMAL\([0-9]+,([0-9]+)\)")
_EPOCH = datetime(1970, 1, 1)
# Years 1 to 9999: no client of the API can be told of others, nor of infinity.
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
_DAY = 86_400_000_000
_DIGITS = 38


def has_form(kind: str) -> bool:
    """Return whether a type has a form of its own in answers; values of others are text."""
    return kind in (*TIMES, *WHOLE, *FLOATS, *TEXTS, "BOOLEAN", "TIME") or is_decimal(kind)


def is_decimal(kind: str) -> bool:
    """Return whether a type is a decimal, of any width."""
    return _DECIMAL.fullmatch(kind) is not None


def kept(kind: str, name: str, column: str) -> str:
    """Return SQL for what is kept of a column; it fails where a value cannot be kept as it is.

    Args:
        kind: DuckDB's name of the type.
        name: The column, as the failure names it.
        column: The column, as SQL names it.
    """
    if kind in _SMALL or kind == "VARCHAR":
        return column
    if kind == "BOOLEAN":
        return f"cast({column} as tinyint)"
    if kind in TIMES:
        micros = f"epoch_us({column})"
        what = "infinity, or a year that is not from 1 to 9999"
        return _if(column, f"{micros} between {_FIRST} and {_LAST}", micros, f"{name} holds {what}")
    if kind == "TIME":
        micros = f"epoch_us({column})"
        return _if(column, f"{micros} < {_DAY}", micros, f"{name} holds 24:00:00")
    text = f"cast({column} as varchar)"
    if kind == "HUGEINT":
        fits = f"length(ltrim({text}, '-')) <= {_DIGITS}"
        return _if(column, fits, text, f"{name} holds a number of more than {_DIGITS} digits")
    return f"cast(cast({column} as double) as varchar)" if kind == "FLOAT" else text


def _if(column: str, fits: str, value: str, what: str) -> str:
    # Infinity has no microseconds, so that the comparison is null.
    return (
        f"case when {column} is null then null when coalesce({fits}, false) then {value} "
        f"else {failure(what)} end"
    )


def failure(what: str) -> str:
    """Return SQL that fails with a message."""
    return f"error({literal(what)})"


def restored(kind: str) -> Callable[[Any], Any] | None:
    """Return what makes a value of what was kept of it; None where that is the value itself."""
    if is_decimal(kind):
        return Decimal
    return _RESTORED.get(kind)


_RESTORED: dict[str, Callable[[Any], Any]] = {
    "BOOLEAN": bool,
    "UBIGINT": int,
    "HUGEINT": Decimal,
    "FLOAT": float,
    "DOUBLE": float,
    "DATE": lambda micros: date(1970, 1, 1) + timedelta(days=micros // _DAY),
    "TIME": lambda micros: (_EPOCH + timedelta(microseconds=micros)).time(),
    "TIMESTAMP WITH TIME ZONE": lambda micros: (
        _EPOCH.replace(tzinfo=UTC) + timedelta(microseconds=micros)
    ),
    **dict.fromkeys(
        ("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"),
        lambda micros: _EPOCH + timedelta(microseconds=micros),
    ),
}


def sought(kind: str, value: Any) -> Any:
    """Return what is kept of a value of a type, so that it can be looked up.

    Times without an offset are UTC. None when no value of the type is equal to it.
    """
    if kind == "BOOLEAN":
        return int(value)
    if kind in TIMES:
        moment = value if isinstance(value, datetime) else datetime(*value.timetuple()[:3])
        if moment.tzinfo is not None:
            moment = (moment - moment.utcoffset()).replace(tzinfo=None)  # type: ignore[operator]
        return (moment - _EPOCH) // timedelta(microseconds=1)
    if kind == "TIME":
        return (datetime.combine(_EPOCH, value) - _EPOCH) // timedelta(microseconds=1)
    found = _DECIMAL.fullmatch(kind)
    if found is not None:
        digits = f"{value or abs(value):.{found.group(1)}f}"
        return digits if Decimal(digits) == value else None
    return value if kind in _SMALL else str(value)
