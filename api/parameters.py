"""Typed parameters, as pydantic and the OpenAPI description know them."""

import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from api.paging import MAX_LENGTH
from api.release import Column, Mart
from boathouse.release.lookups import Lookup
from boathouse.release.lookups.values import FLOATS, TIMES, WHOLE, is_decimal

DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000
LONGEST = 1000  # characters of a text


def _written_as(pattern: str, what: str) -> BeforeValidator:
    """Return a validator that takes one way of writing, where pydantic would take many."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: Any) -> Any:
        if isinstance(value, str) and not compiled.fullmatch(value):
            raise ValueError(f"should be {what}")
        return value

    return BeforeValidator(check)


def _storable(value: str) -> str:
    """Refuse what no text in the warehouse can be."""
    if "\0" in value:
        raise ValueError("should not hold a NUL")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("should be Unicode text") from None
    return value


_INTEGER = _written_as(r"-?[0-9]{1,38}", "a whole number")
_DECIMAL = _written_as(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][-+]?[0-9]{1,3})?", "a number")
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
Text = Annotated[str, Field(max_length=LONGEST), AfterValidator(_storable)]
Day = Annotated[date, _written_as(_DAY, "a date such as 2026-03-10")]
Moment = Annotated[
    datetime,
    _written_as(
        _DAY + r"[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[-+ ][0-9]{2}:[0-9]{2})?",
        "a time such as 2026-03-10T12:00:00Z",
    ),
]
Truth = Annotated[bool, _written_as("true|false", "true or false")]
Limit = Annotated[int, _INTEGER, Field(ge=1, le=MAX_LIMIT)]
CursorText = Annotated[str, Field(max_length=MAX_LENGTH)]

_Clock = Annotated[
    time,
    _written_as(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?", "a time of day such as 12:00:00"),
]
_Uuid = Annotated[
    UUID, _written_as(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", "a UUID with dashes")
]


def _whole(lowest: int, highest: int) -> tuple[Any, Any]:
    return Annotated[int, _INTEGER, Field(ge=lowest, le=highest)], 12


_FLOAT = (Annotated[float, _DECIMAL, Field(allow_inf_nan=False)], 1.5)
_MOMENT = (Moment, "2026-03-10T12:00:00Z")
_TYPES: dict[str, tuple[Any, Any]] = {  # DuckDB's name → the type and an example
    **{name: _whole(-(2**bits), 2**bits - 1) for name, bits in (
        ("TINYINT", 7), ("SMALLINT", 15), ("INTEGER", 31), ("BIGINT", 63),
    )},
    **{name: _whole(0, 2**bits - 1) for name, bits in (
        ("UTINYINT", 8), ("USMALLINT", 16), ("UINTEGER", 32), ("UBIGINT", 64),
    )},
    "HUGEINT": _whole(1 - 10**38, 10**38 - 1),
    **dict.fromkeys(FLOATS, _FLOAT),
    "BOOLEAN": (Truth, True),
    **dict.fromkeys(TIMES, _MOMENT),
    "DATE": (Day, date(2026, 3, 10)),
    "TIME": (_Clock, "12:00:00"),
    "UUID": (_Uuid, "4a0c43c9-c43a-42ff-ba55-67563dfa35d4"),
    "VARCHAR": (Text, "text"),
}  # fmt: skip
_ANSWERED: dict[str, Any] = {
    **dict.fromkeys(WHOLE, int), **dict.fromkeys(TIMES, datetime), "BOOLEAN": bool, "DATE": date,
    "VARCHAR": str, "UUID": UUID, "TIME": time,
}  # fmt: skip
_DECIMAL_TYPE = (Annotated[Decimal, _DECIMAL, Field(allow_inf_nan=False)], 1.5)


class Query(BaseModel):
    """Parameters of a query; one that is not known is an error, not something to pass over."""

    model_config = ConfigDict(extra="forbid")


class Page(Query):
    """How much of a list, and from where."""

    limit: Limit = Field(DEFAULT_LIMIT, description="Most rows to answer with.")
    cursor: CursorText | None = Field(
        None, description="`next` of the answer before: go on from there, in the same release."
    )


def list_query(mart: Mart) -> type[Page]:
    """Return the parameters of a mart's list: its filters and their bounds."""
    fields: dict[str, Any] = {}
    for column in mart.columns:
        if column.name in mart.filters:
            fields |= _filter_fields(column)
    if mart.as_of is not None:
        fields["as_of"] = _as_of("Rows as they were on this day.")
    return create_model(f"{mart.name}_query", __base__=Page, **fields)


def key_query(mart: Mart) -> type[Query]:
    """Return the parameters of a mart's single row."""
    if mart.as_of is None:
        return Query
    as_of: Any = _as_of("The row as it was on this day.")
    return create_model(f"{mart.name}_key_query", __base__=Query, as_of=as_of)


def key_annotations(mart: Mart) -> dict[str, Any]:
    """Return the type of each column of a mart's key, as a part of a path."""
    described = {column.name: column for column in mart.columns}
    return {
        name: Annotated[
            _type(described[name])[0],
            Path(description=described[name].description, examples=[_type(described[name])[1]]),
        ]
        for name in mart.key
    }


def by_annotation(mart: Mart, lookup: Lookup) -> Any:
    """Return the type of what a look-up goes by, as a part of a path."""
    column = next(each for each in mart.columns if each.name == lookup.by)
    kind, example = _type(column)
    return Annotated[kind, Path(description=column.description, examples=[example])]


def row_model(mart: Mart, name: str = "") -> type[BaseModel]:
    """Return what a row of a mart looks like in an answer, by default under the mart's name."""
    fields: dict[str, Any] = {
        column.name: (
            _ANSWERED.get(column.type, float) | None,
            Field(description=column.description, examples=[_type(column)[1]]),
        )
        for column in mart.columns
    }
    return create_model(name or mart.name, __doc__=mart.description, **fields)


def page_model(name: str, row: type[BaseModel]) -> type[BaseModel]:
    """Return what a page of rows looks like."""
    return create_model(
        f"{name}_page",
        items=(list[row], ...),  # type: ignore[valid-type]  # a type that is made here
        count=(int, Field(description="Rows in `items`.")),
        next=(str | None, Field(None, description="`cursor` of the next page, if there is one.")),
    )


def _as_of(text: str) -> tuple[Any, Any]:
    return (Day | None, Field(None, description=text, examples=["2026-03-10"]))


def _filter_fields(column: Column) -> dict[str, Any]:
    kind, example = _type(column)
    described = column.description

    def field(text: str) -> tuple[Any, Any]:
        return (kind | None, Field(None, description=text, examples=[example]))

    fields = {column.name: field(described)}
    if column.type in TIMES:
        fields[f"{column.name}_from"] = field(f"From this on. {described}")
        fields[f"{column.name}_before"] = field(f"Before this. {described}")
    elif column.type in (*WHOLE, *FLOATS) or is_decimal(column.type):
        fields[f"{column.name}_min"] = field(f"This or more. {described}")
        fields[f"{column.name}_max"] = field(f"This or less. {described}")
    return fields


def _type(column: Column) -> tuple[Any, Any]:
    return _DECIMAL_TYPE if is_decimal(column.type) else _TYPES[column.type]
