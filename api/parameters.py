"""Typed parameters, as pydantic and the OpenAPI description know them."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from api.paging import MAX_LENGTH
from api.release import Column, Mart

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


_INTEGER = _written_as(r"-?[0-9]{1,20}", "a whole number")
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

_TYPES: dict[str, tuple[Any, Any]] = {  # DuckDB's name → the type and an example
    "BIGINT": (Annotated[int, _INTEGER, Field(ge=-(2**63), le=2**63 - 1)], 12),
    "INTEGER": (Annotated[int, _INTEGER, Field(ge=-(2**31), le=2**31 - 1)], 12),
    "DOUBLE": (Annotated[float, _DECIMAL, Field(allow_inf_nan=False)], 1.5),
    "BOOLEAN": (Truth, True),
    "DATE": (Day, date(2026, 3, 10)),
    "TIMESTAMP": (Moment, "2026-03-10T12:00:00Z"),
    "VARCHAR": (Text, "text"),
}
_ANSWERED: dict[str, Any] = {
    "BIGINT": int, "INTEGER": int, "DOUBLE": float, "BOOLEAN": bool, "DATE": date,
    "TIMESTAMP": datetime, "VARCHAR": str,
}  # fmt: skip
_DECIMAL_TYPE = (Annotated[Decimal, _DECIMAL, Field(allow_inf_nan=False)], 1.5)
_TIMES = ("DATE", "TIMESTAMP")
_NUMBERS = ("BIGINT", "INTEGER", "DOUBLE")


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


def row_model(mart: Mart) -> type[BaseModel]:
    """Return what a row of a mart looks like in an answer."""
    fields: dict[str, Any] = {
        column.name: (
            _ANSWERED.get(column.type, float) | None,
            Field(description=column.description, examples=[_type(column)[1]]),
        )
        for column in mart.columns
    }
    return create_model(mart.name, __doc__=mart.description, **fields)


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
    if column.type in _TIMES:
        fields[f"{column.name}_from"] = field(f"From this on. {described}")
        fields[f"{column.name}_before"] = field(f"Before this. {described}")
    elif column.type in _NUMBERS or column.type.startswith("DECIMAL"):
        fields[f"{column.name}_min"] = field(f"This or more. {described}")
        fields[f"{column.name}_max"] = field(f"This or less. {described}")
    return fields


def _type(column: Column) -> tuple[Any, Any]:
    return _DECIMAL_TYPE if column.type.startswith("DECIMAL") else _TYPES[column.type]
