"""The parts of a select that are not its sources: what they call, rank by, group by, look up."""

from collections.abc import Iterator, Mapping

from sqlglot import exp

from boathouse.build.pushdown import functions
from boathouse.build.pushdown.expressions import Unproven, called, own_nodes
from boathouse.build.pushdown.reading import QUERIES, Text
from boathouse.build.pushdown.sources import Scope

_NAMES = ("expressions", "where", "group", "having", "qualify", "windows", "order", "distinct")
_AROUND = (exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)
# What the parser writes as a function of its own, without the place of a name.
_OWN_SYNTAX = (
    *(exp.Cast, exp.TryCast, exp.Case, exp.If, exp.And, exp.Or, exp.Extract, exp.Trim),
    *(exp.Substring, exp.JSONExtract, exp.JSONExtractScalar, exp.Exists, exp.CurrentDate),
    *(exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp, exp.Array),
    *(exp.Ceil, exp.Chr, exp.Floor, exp.JSONObject, exp.Map, exp.Overlay, exp.StrPosition),
    *(exp.Struct, exp.Unnest, exp.Explode, exp.AggFunc, exp.Columns, exp.RegexpLike),
)
_OWN_NAMES = frozenset(["age", "error", "columns", "any", "all", "some", "exists"])


def clauses(select: exp.Expr) -> Iterator[exp.Expr]:
    """Return the clauses of a select in which it computes something."""
    for name in _NAMES:
        value = select.args.get(name)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, exp.Expr):
                yield each


def nodes(select: exp.Expr) -> Iterator[exp.Expr]:
    """Return all that is in these clauses, but for the inside of subqueries."""
    for clause in clauses(select):
        yield from (node for node in own_nodes(clause) if not isinstance(node, QUERIES))


def joins(select: exp.Expr) -> Iterator[exp.Expr]:
    """Return the joins of a select, also those in parentheses, but none of another query."""
    source = select.args.get("from_")
    pending = [select] if source is None else [select, source.this]
    while pending:
        holder = pending.pop()
        own = holder.args.get("joins") or ()
        yield from own
        pending += [join.this for join in own]
        if isinstance(holder, exp.Subquery) and isinstance(holder.this, exp.Table):
            pending += [] if holder.args.get("alias") else [holder.this]


def subqueries(select: exp.Expr) -> Iterator[tuple[exp.Expr, str]]:
    """Return the subqueries in a select's expressions, each with the name of its clause."""
    where = select.args.get("where")
    for clause in clauses(select):
        for node in own_nodes(clause):
            if isinstance(node, QUERIES):
                yield node, "where" if clause is where else "other"
    for join in joins(select):
        for node in own_nodes(join.args.get("on")):
            if isinstance(node, QUERIES):
                yield node, "on"


def is_aggregate(node: exp.Expr, text: Text) -> bool:
    """Return whether a node makes one value of many rows, other than over a window."""
    if not isinstance(node, exp.AggFunc) and called(text, node) not in functions.AGGREGATES:
        return False
    above = node.parent
    while isinstance(above, _AROUND):
        above = above.parent
    if not isinstance(above, exp.Window):
        return True
    inner: exp.Expr = above.this
    while isinstance(inner, _AROUND):
        inner = inner.this
    return inner is not node


def check_functions(select: exp.Expr, scope: Scope) -> None:
    """Refuse a select that calls what may be a macro, whose body could look at any row.

    Raises:
        Unproven: it does.
    """
    for node in nodes(select):
        name = called(scope.text, node)
        if name is None:
            if isinstance(node, exp.Func) and not isinstance(node, _OWN_SYNTAX):
                raise Unproven(f"its query uses {node.key}, which is not understood")
        elif name not in functions.KNOWN and name not in _OWN_NAMES:
            raise Unproven(f"its query calls {name}(), which is not a known function of DuckDB")
        if isinstance(node, exp.Dot) and isinstance(node.args["expression"], exp.Func):
            if isinstance(node.this, exp.Identifier):
                scope.column(exp.Column(this=node.this.copy()))
            elif isinstance(node.this, exp.Dot):
                raise Unproven("its query calls a function by its schema")


def partition(window: exp.Expr, select: exp.Expr) -> list[exp.Expr]:
    """Return what a window is partitioned by, also by way of named windows."""
    named = {each.name.lower(): each for each in select.args.get("windows") or ()}
    return _partition(window, named)


def _partition(window: exp.Expr, named: Mapping[str, exp.Expr]) -> list[exp.Expr]:
    by = list(window.args.get("partition_by") or ())
    base = window.args.get("alias")
    name = base.name.lower() if base is not None else ""
    if name in named:
        others = {other: each for other, each in named.items() if other != name}
        by += _partition(named[name], others)
    return by


def grouped_by(select: exp.Expr, text: Text) -> list[exp.Expr]:
    """Return what a select is grouped by; nothing when all its rows are one group.

    Raises:
        Unproven: it is grouped in a way that is not understood.
    """
    group = select.args.get("group")
    if group is None:
        return []
    # A key that is a constant, or grouped by as well, is null in the rows of a sum of groups.
    is_several = group.find(exp.Rollup, exp.Cube, exp.GroupingSets) is not None
    if is_several or any(v and k not in ("expressions", "all") for k, v in group.args.items()):
        raise Unproven("it is grouped in several ways at once")
    if group.args.get("all"):
        return [item for item in select.expressions if not _has_aggregate(item, text)]
    by: list[exp.Expr] = []
    for each in group.expressions:
        if isinstance(each, exp.Literal) and not each.is_string:
            place = int(each.this) - 1 if each.this.isdigit() else -1
            is_plain = not any(item.find(exp.Star) for item in select.expressions[: place + 1])
            if not 0 <= place < len(select.expressions) or not is_plain:
                raise Unproven("it is grouped by a column's number that is not understood")
            by.append(select.expressions[place])
        elif each.find(exp.Star, exp.Tuple, exp.Columns):
            raise Unproven("it is grouped by columns that are not listed one by one")
        else:
            by.append(each)
    return by


def makes_groups(select: exp.Expr, text: Text) -> bool:
    """Return whether a select makes one row of many."""
    has_clause = any(select.args.get(name) is not None for name in ("group", "having"))
    return has_clause or any(is_aggregate(node, text) for node in nodes(select))


def _has_aggregate(item: exp.Expr, text: Text) -> bool:
    return any(is_aggregate(node, text) for node in own_nodes(item))


def shown(node: exp.Expr) -> str:
    """Return an expression in few words, for a person."""
    if isinstance(node, exp.Column | exp.Alias):
        return node.output_name.lower()
    text = " ".join(node.sql(dialect="duckdb").split())
    return text if len(text) <= 40 else f"{text[:39]}…"
