"""What has to be so for a model's combined rows to stand for all rows behind them.

A row of its table is read again as a row that says what all its inputs' rows said. So each row of
the input must say its part alone, and what is combined must reach the table as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlglot import exp

from boathouse.build.combining import COMBINED, Combination, as_value
from boathouse.build.history import Name
from boathouse.build.pushdown import PushdownError, narrow, trace
from boathouse.build.pushdown.reading import DIALECT, read
from boathouse.errors import BuildError
from boathouse.sql import identifier

INPUT = "boathouse_input"  # in a model's SQL, the rows that are combined
_ROWS: Name = ("rows",)
_CLAUSES = ("where", "group", "having", "qualify", "distinct", "limit", "offset", "sample")
_INTEGERS = (exp.DataType.Type.BIGINT, exp.DataType.Type.INT128)
_FLOATS = ("DOUBLE", "FLOAT")

Columns = Mapping[Name, Mapping[str, str]]
Views = Mapping[Name, str]


@dataclass(frozen=True)
class Block:
    """What a model combines: a relation that it reads, what a row of it says, and the rules."""

    relation: str  # as dbt writes it
    sql: str  # over INPUT
    combination: Combination

    @property
    def name(self) -> Name:
        """Return the name of the relation."""
        return tuple(part.strip('"').lower() for part in self.relation.split("."))

    @property
    def whole(self) -> str:
        """Return SQL that combines all rows of the relation."""
        return self.combination.whole(self._everything)

    @property
    def describe(self) -> str:
        """Return SQL for the names and types of what is combined."""
        return f"describe {self._everything}"

    @property
    def _everything(self) -> str:
        return self.sql.replace(INPUT, self.relation)

    @cached_property
    def needed(self) -> frozenset[str]:
        """Return the columns that are needed of each row that changed.

        Empty when a row of the relation does not say its part alone.
        """
        try:
            columns = _columns_read(self.sql)
        except PushdownError:
            return frozenset()
        known = {_ROWS: dict.fromkeys([*columns, "_row"], "")}
        is_alone = columns and one_by_one(self.sql, "rows", "_row", {}, known) == _ROWS
        return columns if is_alone else frozenset()

    def source(self, views: Views, columns: Columns) -> Name | None:
        """Return the only raw table behind the relation, if its loads are told one by one."""
        found = one_by_one(self.sql, self.relation, "_load_id", views, columns)
        return found if found is not None and found[1:2] == ("raw",) else None

    def added(
        self,
        known: str,
        load_id: int,
        key: Sequence[str],
        lost: str,
        views: Views,
        columns: Columns,
    ) -> str:
        """Return SQL that adds the rows of newer loads to known ones.

        Args:
            known: A query for rows of the model's own table.
            load_id: The newest load that the model has seen.
            key: The columns by which the model's rows are computed again.
            lost: A table of the keys that are to be combined from all rows; empty without any.
            views: As for `pushdown.trace`.
            columns: As for `pushdown.trace`.
        """
        newer = f"(select * from {self.relation} where _load_id > {load_id})"
        new = self.sql.replace(INPUT, newer)
        if not lost:
            return self.combination.added(new, known)
        again = narrow(self._everything, key, lost, views=views, columns=columns)
        is_lost = f"{as_value(key)} in (select {as_value(key)} from {lost})"
        return self.combination.added(
            f"select * from ({new}) as came where not {is_lost}",
            f"select * from ({known}) as known where not {is_lost}",
            f"select * from ({again}) as again where {is_lost}",
        )

    def changed(self, known: str, noted: str) -> str:
        """Return SQL that adds and takes away what came and went, noted as `_change`."""
        columns = ", ".join(map(identifier, sorted(self.needed)))
        changes = (
            f"(select {columns}, sum(_change) as _change from ({noted}) as noted "
            f"group by {columns} having sum(_change) <> 0)"
        )
        changes = _with_column(self.sql, "_change").replace(INPUT, changes)
        return self.combination.changed(changes, known, self._everything)


def one_by_one(block: str, rows: str, column: str, views: Views, columns: Columns) -> Name | None:
    """Return the only relation that a block reads, if rows that share `column` are told alone.

    That is: what the block makes of rows with one value of the column is the same whichever
    other rows there are; None when that is not so, or not proven.
    """
    try:
        sql = _with_column(block, column).replace(INPUT, rows)
        traced = trace(sql, [column], views=views, columns=columns)
    except PushdownError:
        return None
    relations = {scan.relation for scan in traced.scans}
    are_its_own = all(
        scan.keys is not None and _column(scan.keys[0]) == column for scan in traced.scans
    )
    return relations.pop() if len(relations) == 1 and are_its_own else None


def check_combined(
    model: str, key: Sequence[str], sql: str, block: Block, views: Views, columns: Columns
) -> None:
    """Do nothing when a model's rows are its combined rows, and maybe columns beside them.

    Raises:
        BuildError: says which column becomes another, or which rows are left out.
        PushdownError: the SQL cannot be read.
    """
    combination = block.combination
    missing = sorted({name.lower() for name in key} - set(combination.by))
    if missing:
        raise BuildError(
            f"{model} is computed again by {', '.join(key)}, but combines rows that share "
            f"{', '.join(combination.by)}. Add {', '.join(missing)} to `by`."
        )
    query = read(sql).query.copy()
    for subquery in list(query.find_all(exp.Subquery)):
        if subquery.alias_or_name == COMBINED:
            subquery.replace(exp.to_table(COMBINED))
    fault = _lost_rows(query, {})
    if fault:
        raise BuildError(
            f"{model} {fault}: then its table does not know all that it has combined. Select "
            "what is wanted inside of `combined`, or in a model that reads this one."
        )
    known = {**columns, (COMBINED,): dict.fromkeys(combination.columns, "")}
    traced = trace(query.sql(DIALECT), combination.columns, views=views, columns=known)
    keys = next((scan.keys for scan in traced.scans if scan.relation == (COMBINED,)), None)
    for place, name in enumerate(combination.columns):
        if keys is None or _column(keys[place], may_cast=name in combination.sums) != name:
            raise BuildError(
                f"{model} combines {name}, but what it returns as {name} is not that: then its "
                "table does not know what it has combined. Give what it returns another name."
            )


def check_sums(model: str, block: Block, described: Sequence[Sequence[Any]]) -> None:
    """Do nothing when what a model adds up does not hang on the order in which it is added.

    Raises:
        BuildError: names a column of floating-point numbers.
    """
    for name, kind, *_ in described:
        if name.lower() in block.combination.sums and kind in _FLOATS:
            raise BuildError(
                f"{model} adds up {name}, a {kind.lower()}: such sums hang on the order in which "
                "they are added. Cast it to a decimal or an integer in the block."
            )


def _with_column(block: str, column: str) -> str:
    """Return a block of SQL that selects one column more of its input.

    Raises:
        PushdownError: the block is no plain select.
    """
    query = read(block).query
    if not isinstance(query, exp.Select) or query.args.get("distinct") or query.args.get("group"):
        raise PushdownError("The rows that are combined are not those of one plain select.")
    return query.select(exp.column(column), append=True, copy=True).sql(DIALECT)


def _columns_read(block: str) -> frozenset[str]:
    """Return the columns, in lower case, that a block of SQL names; none when it takes all."""
    query = read(block).query
    if query.find(exp.Star):
        return frozenset()
    return frozenset(column.name.lower() for column in query.find_all(exp.Column))


def _lost_rows(query: exp.Expr, outer: Mapping[str, exp.Expr]) -> str:
    """Return what may leave out combined rows on their way to a query's result, if anything."""
    query = query.unnest()
    if not isinstance(query, exp.Select):
        return "puts its combined rows together with others"
    tables = {**outer, **{each.alias: each.this for each in query.ctes}}
    clause = next((each for each in _CLAUSES if query.args.get(each)), None)
    if clause:
        return f"has `{clause}` after it has combined"
    for join in query.args.get("joins") or []:
        if join.side != "LEFT":
            return "joins its combined rows otherwise than by `left join`"
    source = query.args.get("from_") or query.args.get("from")
    if source is None:
        return "does not read its combined rows"
    found = source.this
    if isinstance(found, exp.Subquery):
        return _lost_rows(found, tables)
    if found.name == COMBINED:
        return ""
    if found.name in tables:
        return _lost_rows(tables[found.name], tables)
    return "does not begin with its combined rows"


def _column(key: str, *, may_cast: bool = False) -> str:
    """Return the column that a key is, in lower case; empty when it is something else."""
    (found,) = read(f"select {key}").query.expressions
    while may_cast:
        if isinstance(found, exp.Cast) and found.to.this not in _INTEGERS:
            break
        if not isinstance(found, exp.Cast | exp.Try):
            break
        found = found.this
    return found.name.lower() if isinstance(found, exp.Column) else ""
