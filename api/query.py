"""SQL for pages of a mart. Names come from the release itself; values are always bound."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import polars as pl

from api.problems import ProblemError
from api.release import Mart, Served
from boathouse.sql import identifier

BOUNDS = {"_from": ">=", "_before": "<", "_min": ">=", "_max": "<="}


def page(
    release: Served,
    mart: Mart,
    where: Mapping[str, Any],
    *,
    as_of: date | None,
    after: Sequence[Any],
    limit: int,
) -> pl.DataFrame:
    """Return rows of a mart in its order.

    Args:
        release: Where to look.
        mart: Of which mart.
        where: Values of columns, or of their bounds, as in `country` or `session_date_from`.
        as_of: The day to show it as of; None for now.
        after: The order's columns of the last row before, as texts; empty for the first page.
        limit: Most rows to return.

    Raises:
        ProblemError: a value of `after` is none of its column's type.
    """
    bound: dict[str, Any] = {"limit": limit}
    tests = []
    for number, (name, value) in enumerate(where.items()):
        column, operator = _column(mart, name)
        tests.append(f"{identifier(column)} {operator} $w{number}")
        bound[f"w{number}"] = naive(value)
    if after:
        tests.append(_after(mart, after, bound))
    order = ", ".join(
        f"{identifier(column)} {'desc' if is_down else 'asc'} nulls last"
        for column, is_down in mart.order
    )
    sql = (
        f"select {_columns(mart)} from {_relation(mart, as_of, bound)} "
        f"where {' and '.join(tests) or 'true'} order by {order} limit $limit"
    )
    cursor = release.con.cursor()
    try:
        return cursor.execute(sql, bound).pl()
    except duckdb.ConversionException:
        raise ProblemError(
            400, "This cursor has been changed. Ask again without `cursor`."
        ) from None
    finally:
        cursor.close()


def _column(mart: Mart, name: str) -> tuple[str, str]:
    """Return the column and the comparison that a parameter stands for."""
    names = {column.name for column in mart.columns}
    if name in names:
        return name, "="
    for suffix, operator in BOUNDS.items():
        column = name.removesuffix(suffix)
        if column != name and column in names:
            return column, operator
    raise AssertionError(f"{mart.name} has no parameter {name}")


def _relation(mart: Mart, as_of: date | None, bound: dict[str, Any]) -> str:
    if as_of is None or mart.as_of is None:
        return mart.relation
    bound["as_of"] = as_of
    renamed = dict(mart.as_of.columns)
    columns = ", ".join(
        f"cast({identifier(renamed.get(each.name, each.name))} as {each.type}) "
        f"as {identifier(each.name)}"
        for each in mart.columns
    )
    return f"(select {columns} from marts.{identifier(mart.as_of.macro)}($as_of))"


def _columns(mart: Mart) -> str:
    return ", ".join(identifier(column.name) for column in mart.columns)


def _after(mart: Mart, after: Sequence[Any], bound: dict[str, Any]) -> str:
    """Return SQL for the rows after one; null comes last in either direction."""
    choices: list[str] = []
    same: list[str] = []
    for number, ((column, down), value) in enumerate(zip(mart.order, after, strict=True)):
        name, given = identifier(column), f"cast($a{number} as {mart.type_of(column)})"
        bound[f"a{number}"] = value
        if value is not None:
            beyond = f"({name} {'<' if down else '>'} {given} or {name} is null)"
            choices.append(" and ".join([*same, beyond]))
        same.append(f"{name} is not distinct from {given}")
    return f"({' or '.join(f'({each})' for each in choices) or 'false'})"


def place(mart: Mart, row: Mapping[str, Any]) -> list[Any]:
    """Return the order's columns of a row as texts, for a cursor."""
    return [None if row[column] is None else str(row[column]) for column, _ in mart.order]


def naive(value: Any) -> Any:
    """Return a time as the warehouse keeps it: UTC, without saying so."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value
