"""What a select does with its rows, held against a key: may rows with other keys be left out?"""

from collections.abc import Iterable, Sequence

from sqlglot import exp

from boathouse.build.pushdown.clauses import (
    check_functions,
    grouped_by,
    is_aggregate,
    makes_groups,
    nodes,
    partition,
    shown,
    subqueries,
)
from boathouse.build.pushdown.equalities import Equalities
from boathouse.build.pushdown.expressions import Unproven, window_name
from boathouse.build.pushdown.scopes import Reader
from boathouse.build.pushdown.sources import Env, Scope
from boathouse.build.pushdown.terms import Term, is_function_of

Named = Sequence[tuple[str, Term]]  # the key's columns, and their terms over a select's sources


def check(
    select: exp.Expr, env: Env, scope: Scope, key: Named, equal: Equalities, reader: Reader
) -> None:
    """Return if rows with other keys play no part in the rows with a key.

    Raises:
        Unproven: they may; a clause about the relations that are read.
    """
    check_functions(select, scope)
    _check_windows(select, scope, key, equal)
    _check_distinct(select, scope, key)
    if makes_groups(select, scope.text):
        by = grouped_by(select, scope.text)
        _check_each(key, _terms(by, scope), "it is grouped by", by)
    _check_outer_aggregates(select, env, scope, reader)


def _check_windows(select: exp.Expr, scope: Scope, key: Named, equal: Equalities) -> None:
    for node in nodes(select):
        if not isinstance(node, exp.Window) or isinstance(node.this, exp.Identifier):
            continue
        by = partition(node, select)
        terms = _terms(by, scope)
        for name, term in key:
            if not any(is_function_of(each, terms) for each in (term, *equal.equal_to(term))):
                per = ", ".join(shown(each) for each in by)
                rows = f"per {per}" if per else "over all rows"
                function = window_name(scope.text, node)
                raise Unproven(f"{function} is computed {rows} before {name} is chosen")


def _check_distinct(select: exp.Expr, scope: Scope, key: Named) -> None:
    distinct = select.args.get("distinct")
    on = None if distinct is None else distinct.args.get("on")
    if on is None:
        return
    given = list(on.expressions) if isinstance(on, exp.Tuple) else [on]
    terms: set[Term] = set()
    for each in given:
        found = _terms([each], scope)
        is_bare = isinstance(each, exp.Column) and not each.table
        if is_bare and each.name.lower() in scope.aliases:
            # Here, unlike elsewhere, DuckDB prefers the alias.
            found &= _terms([scope.aliases[each.name.lower()]], scope)
        terms |= found
    _check_each(key, terms, "one row is kept per", given)


def _check_each(key: Named, given: set[Term], what: str, by: Sequence[exp.Expr]) -> None:
    for name, term in key:
        if not is_function_of(term, given):
            groups = ", ".join(shown(each) for each in by) or "nothing"
            raise Unproven(f"{what} {groups}, not by {name}")


def _terms(given: Iterable[exp.Expr], scope: Scope) -> set[Term]:
    """Return the terms of those that can be understood."""
    terms: set[Term] = set()
    for node in given:
        try:
            terms.add(scope.build(node))
        except Unproven:
            continue
    return terms


def _check_outer_aggregates(select: exp.Expr, env: Env, scope: Scope, reader: Reader) -> None:
    """Refuse an aggregate in a subquery over columns of the rows around it.

    It belongs to the select around it, and makes one row of all of that one's.
    """
    for subquery, clause in subqueries(select):
        for node in () if clause in ("where", "on") else subquery.walk():
            if not is_aggregate(node, env.text):
                continue
            columns = list(node.find_all(exp.Column))
            own = node.find_ancestor(exp.Select)
            inner = _direct(subquery, own, env, scope, reader)
            if columns and (inner is None or not any(_is_own(each, inner) for each in columns)):
                raise Unproven("an aggregate in a subquery may be one over the rows around it")


def _direct(
    subquery: exp.Expr, own: exp.Expr | None, env: Env, scope: Scope, reader: Reader
) -> Scope | None:
    """Return the scope of a subquery's select, if that is the one that is meant."""
    query = subquery
    while isinstance(query, exp.Subquery):
        env = reader.inside(query, env)
        query = query.this
    if query is not own or not isinstance(query, exp.Select):
        return None
    return reader.scope(query, reader.inside(query, env), outer=scope)


def _is_own(column: exp.Column, scope: Scope) -> bool:
    """Return whether a column is surely of what the subquery itself reads."""
    parts = [part.name.lower() for part in column.parts]
    if len(parts) > 1 and any(source.alias == parts[0] for _, source in scope.seen()):
        return True
    return any(parts[0] in (source.columns or ()) for _, source in scope.seen())
