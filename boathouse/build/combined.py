"""What has to be so for a model's combined rows to stand for all rows behind them.

A row of its table is read again as a row that says what all its inputs' rows said. So each row of
the input must say its part alone, and what is combined must reach the table as it is.
"""

from collections.abc import Mapping

from sqlglot import exp

from boathouse.build.combining import COMBINED, Combination
from boathouse.build.history import Name
from boathouse.build.pushdown import PushdownError, trace
from boathouse.build.pushdown.reading import DIALECT, read
from boathouse.errors import BuildError

INPUT = "boathouse_input"  # in a model's SQL, the rows that are combined
_CLAUSES = ("where", "group", "having", "qualify", "distinct", "limit", "offset", "sample")
_INTEGERS = (exp.DataType.Type.BIGINT, exp.DataType.Type.INT128)

Columns = Mapping[Name, Mapping[str, str]]
Views = Mapping[Name, str]


def reading(block: str, rows: str) -> str:
    """Return a model's block of SQL, reading these rows: a relation or a query in parentheses."""
    return block.replace(INPUT, rows)


def with_column(block: str, column: str) -> str:
    """Return a block of SQL that selects one column more of its input.

    Raises:
        PushdownError: the block is no select.
    """
    query = read(block).query
    if not isinstance(query, exp.Select) or query.args.get("distinct") or query.args.get("group"):
        raise PushdownError("The rows that are combined are not those of one plain select.")
    return query.select(exp.column(column), append=True, copy=True).sql(DIALECT)


def columns_read(block: str) -> set[str] | None:
    """Return the columns, in lower case, that a block of SQL names; None when it takes all."""
    query = read(block).query
    if query.find(exp.Star):
        return None
    return {column.name.lower() for column in query.find_all(exp.Column)}


def one_by_one(block: str, rows: str, column: str, views: Views, columns: Columns) -> Name | None:
    """Return the only relation that a block reads, if rows that share `column` are told alone.

    That is: what the block makes of rows with one value of the column is the same whichever
    other rows there are; None when that is not so, or not proven.
    """
    try:
        traced = trace(
            reading(with_column(block, column), rows), [column], views=views, columns=columns
        )
    except PushdownError:
        return None
    relations = {scan.relation for scan in traced.scans}
    are_its_own = all(
        scan.keys is not None and _column(scan.keys[0]) == column for scan in traced.scans
    )
    return relations.pop() if len(relations) == 1 and are_its_own else None


def check_passed_on(
    model: str, sql: str, combination: Combination, views: Views, columns: Columns
) -> None:
    """Do nothing when a model's rows are its combined rows, and maybe columns beside them.

    Raises:
        BuildError: says which column becomes another, or which rows are left out.
        PushdownError: the SQL cannot be read.
    """
    query = read(sql).query.copy()
    for subquery in list(query.find_all(exp.Subquery)):
        if subquery.alias_or_name == COMBINED:
            subquery.replace(exp.to_table(COMBINED))
    uses = [table for table in query.find_all(exp.Table) if table.name == COMBINED]
    fault = "reads its combined rows more than once" if len(uses) > 1 else _lost_rows(query, {})
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
