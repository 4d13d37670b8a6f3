"""Pushes "only rows with these keys" from a query's output down to the relations it reads.

The claim at each step: whatever set of keys is asked for, the output rows with these keys stay as
they are when each relation below keeps at least the rows whose own keys are among them. What is
not known to let this through does not.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from boathouse.build.pushdown import functions
from boathouse.build.pushdown.equalities import Equalities, without
from boathouse.build.pushdown.expressions import Unproven, called, own_nodes, window_name
from boathouse.build.pushdown.reading import QUERIES, Text
from boathouse.build.pushdown.scopes import Outputs, Reader, conjuncts, extra
from boathouse.build.pushdown.sources import (
    OUTPUT,
    Env,
    Fact,
    Joined,
    Leaf,
    Place,
    Relation,
    Scope,
    Source,
    Tree,
    members,
    outer_term,
)
from boathouse.build.pushdown.terms import (
    Call,
    Ref,
    Term,
    constant,
    is_function_of,
    is_same_type,
    refs,
    safe_sql,
    substitute,
)

_SELECT_PARTS = frozenset(
    ["expressions", "from_", "joins", "where", "group", "having", "qualify", "windows", "order"]
    + ["distinct", "with_"]
)
_SET_PARTS = frozenset(["this", "expression", "distinct", "by_name", "with_", "order"])
_SUBQUERY_PARTS = frozenset(["this", "alias", "with_", "joins"])
_CLAUSES = {"limit": "a limit", "offset": "an offset", "sample": "a sample", "pivots": "a pivot"}


@dataclass(frozen=True)
class Found:
    """One use of a base relation: where it is written, and the terms for its keys or a reason."""

    place: Place
    relation: Relation
    keys: tuple[Term, ...] | None
    reason: str


class Tracer:
    """Follows a key through one query; `found` is what it came to."""

    def __init__(self, reader: Reader, key: Sequence[str]) -> None:
        self.found: list[Found] = []
        self._reader = reader
        self._key = key
        self._shown = " and ".join(key)

    # Queries

    def push(self, query: exp.Expr, env: Env, key: Sequence[Term]) -> None:
        """Follow the key, as terms over the query's output columns, into a query."""
        inside = self._reader.inside(query, env)
        if isinstance(query, exp.Subquery):
            odd = extra(query, _SUBQUERY_PARTS)
            if odd:
                self.refuse(query, env, _with_clause(odd))
            else:
                self.push(query.this, inside, key)
        elif isinstance(query, exp.Select):
            self._push_select(query, inside, key)
        elif isinstance(query, exp.SetOperation):
            self._push_set(query, inside, key)
        else:
            self.refuse(query, env, "it is read in a way that is not understood")

    def _push_set(self, query: exp.Expr, env: Env, key: Sequence[Term]) -> None:
        odd = extra(query, _SET_PARTS)
        order = query.args.get("order")
        if odd or (order is not None and order.find(*QUERIES)):
            self.refuse(query, env, _with_clause(odd or "order"))
            return
        sides = [query.args["this"], query.args["expression"]]
        outputs = [self._reader.outputs(side, env) for side in sides]
        whole = self._reader.outputs(query, env)
        for side, own in zip(sides, outputs, strict=True):
            other = sides[1 - sides.index(side)]
            try:
                terms = [
                    self._through_set(term, query, whole, own, (side, other), env) for term in key
                ]
            except Unproven as why:
                self.refuse(side, env, f"{self._shown} {why}")
            else:
                self.push(side, env, terms)

    def _through_set(
        self,
        term: Term,
        query: exp.Expr,
        whole: Outputs,
        own: Outputs,
        sides: tuple[exp.Expr, exp.Expr],
        env: Env,
    ) -> Term:
        """Return the term over the columns of one side.

        What is computed from a column after the two sides were given one type can be computed
        before it only if they had the same.
        """
        if own.width is None or whole.width is None:
            raise Unproven("comes through a union of columns that are not known")
        by_name = bool(query.args.get("by_name"))

        def of_side(ref: Ref) -> Term:
            place = int(ref.column.removeprefix("#"))
            if not by_name:
                return ref
            name = whole.names[place]
            if name is None:
                raise Unproven("comes through a union by name of columns without one")
            return (
                Ref(OUTPUT, f"#{own.names.index(name)}") if name in own.names else constant("null")
            )

        if isinstance(term, Call) and refs(term):
            for ref in refs(term):
                place = int(ref.column.removeprefix("#"))
                types = [self._reader.output_type(side, env, place) for side in sides]
                if by_name or not is_same_type(*types):
                    raise Unproven(
                        "is computed after a union of columns that are not known to be of one type"
                    )
        return substitute(term, of_side)

    # Selects

    def _push_select(self, select: exp.Expr, env: Env, key: Sequence[Term]) -> None:
        odd = extra(select, _SELECT_PARTS)
        if odd:
            self._refuse_select(select, env, _with_clause(odd))
            return
        scope = self._reader.scope(select, env)
        outputs = self._reader.outputs(select, env)
        where = self._where(select, scope)
        try:
            terms = [
                self._of_sources(name, term, outputs, scope)
                for name, term in zip(self._key, key, strict=True)
            ]
            _check_functions(select, env.text)
            facts = [*where, *_lasting(scope.tree)]
            self._check_windows(select, scope, terms, Equalities(facts))
            self._check_groups(select, scope, terms)
            self._check_outer_aggregates(select, env, scope)
        except Unproven as why:
            self._refuse_select(select, env, str(why))
            return
        if scope.tree is not None:
            self._descend(scope, env, scope.tree, terms, where, self._not_null(select, scope))
        for subquery, is_where in self._subqueries(select):
            self._push_subquery(
                subquery, env, scope, terms, [*where, *_lasting(scope.tree)], is_where
            )

    def _of_sources(self, name: str, term: Term, outputs: Outputs, scope: Scope) -> Term:
        """Return a key over a select's output as a term over its sources."""

        def value(ref: Ref) -> Term:
            if ref.column.startswith("#"):
                return self._reader.value(outputs.values[int(ref.column[1:])], scope)
            if outputs.open_source is None:
                raise Unproven("comes through a star over a relation whose columns are not known")
            return Ref(outputs.open_source, ref.column)

        try:
            return substitute(term, value)
        except Unproven as why:
            raise Unproven(f"{name} {why}") from None

    def _where(self, select: exp.Expr, scope: Scope) -> list[Fact]:
        where = select.args.get("where")
        conditions = conjuncts(where.this) if where is not None else ()
        return [
            fact
            for condition in conditions
            for fact in self._reader.facts(condition, scope, aliases=True)
        ]

    def _not_null(self, select: exp.Expr, scope: Scope) -> set[Ref]:
        """Return the columns that are not null in any row that the `where` lets through."""
        where = select.args.get("where")
        found: set[Ref] = set()
        for condition in conjuncts(where.this) if where is not None else ():
            sides: list[exp.Expr] = []
            if isinstance(condition, exp.EQ | exp.NEQ | exp.GT | exp.GTE | exp.LT | exp.LTE):
                sides = [condition.args["this"], condition.args["expression"]]
            elif isinstance(condition, exp.Between | exp.In):
                sides = [condition.this]
            elif isinstance(condition, exp.Not) and isinstance(condition.this, exp.Is):
                is_null = isinstance(condition.this.args["expression"], exp.Null)
                sides = [condition.this.this] if is_null else []
            for side in sides:
                if isinstance(side, exp.Column):
                    try:
                        term = scope.column(side)
                    except Unproven:
                        continue
                    if isinstance(term, Ref):
                        found.add(term)
        return found

    def _check_windows(
        self, select: exp.Expr, scope: Scope, key: Sequence[Term], equal: Equalities
    ) -> None:
        named = {each.name.lower(): each for each in select.args.get("windows") or ()}
        for node in _clause_nodes(select):
            if not isinstance(node, exp.Window) or isinstance(node.this, exp.Identifier):
                continue
            by = _partition(node, named)
            terms = _built_all(by, scope)
            for name, term in zip(self._key, key, strict=True):
                if not any(is_function_of(each, terms) for each in (term, *equal.equal_to(term))):
                    shown = ", ".join(_short(each) for each in by) or "nothing"
                    function = window_name(scope.text, node)
                    raise Unproven(
                        f"it is ranked or summed up by {function} per {shown} before {name} is chosen"
                    )

    def _check_groups(self, select: exp.Expr, scope: Scope, key: Sequence[Term]) -> None:
        distinct = select.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is not None:
            on = distinct.args["on"]
            given = list(on.expressions) if isinstance(on, exp.Tuple) else [on]
            terms = set()
            for each in given:
                term = _built_all([each], scope)
                if (
                    isinstance(each, exp.Column)
                    and not each.table
                    and each.name.lower() in scope.aliases
                ):
                    # Here, unlike elsewhere, DuckDB prefers the alias.
                    term &= _built_all([scope.aliases[each.name.lower()]], scope)
                terms |= term
            self._check_each(key, terms, "one row is kept per", given)
        group = select.args.get("group")
        aggregate = next(
            (node for node in _clause_nodes(select) if _is_aggregate(node, scope.text)), None
        )
        if group is None and aggregate is None and select.args.get("having") is None:
            return
        by = [] if group is None else self._grouped_by(select, group, scope)
        self._check_each(key, _built_all(by, scope), "it is grouped by", by)

    def _check_each(
        self, key: Sequence[Term], given: set[Term], what: str, shown: Sequence[exp.Expr]
    ) -> None:
        for name, term in zip(self._key, key, strict=True):
            if not is_function_of(term, given):
                groups = ", ".join(_short(each) for each in shown) or "nothing"
                raise Unproven(f"{what} {groups}, not by {name}")

    @staticmethod
    def _grouped_by(select: exp.Expr, group: exp.Expr, scope: Scope) -> list[exp.Expr]:
        odd = extra(group, frozenset(["expressions", "all"]))
        if odd:
            raise Unproven(f"it is grouped in several ways at once ({odd.replace('_', ' ')})")
        if group.args.get("all"):
            given = [item for item in select.expressions if not _has_aggregate(item, scope.text)]
        else:
            given = list(group.expressions)
        by: list[exp.Expr] = []
        for each in given:
            if isinstance(each, exp.Literal) and not each.is_string and not group.args.get("all"):
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

    def _check_outer_aggregates(self, select: exp.Expr, env: Env, scope: Scope) -> None:
        """Refuse an aggregate in a subquery over columns of the rows around it: it makes one of all."""
        for subquery, is_where in self._subqueries(select):
            for node in () if is_where else subquery.walk():
                if not _is_aggregate(node, env.text):
                    continue
                columns = list(node.find_all(exp.Column))
                own = node.find_ancestor(exp.Select)
                if columns and (own is None or not any(_is_own(each, own) for each in columns)):
                    raise Unproven("an aggregate in a subquery may be one over the rows around it")

    # Joins

    def _descend(
        self,
        scope: Scope,
        env: Env,
        tree: Tree,
        key: Sequence[Term],
        above: Sequence[Fact],
        not_null: set[Ref],
    ) -> None:
        """Follow the key into a tree of joins.

        `above` and `not_null` hold on every row of the tree that can matter; other rows may come
        and go.
        """
        if isinstance(tree, Leaf):
            self._push_source(scope, env, tree.source, key)
            return
        if tree.refused:
            self._refuse_tree(scope, env, tree, tree.refused)
            return
        left, right = tree.left, tree.right
        kind = _effective_kind(tree, above, not_null)
        if kind == "right":
            left, right, kind = right, left, "left"
        beside = [*tree.on, *_lasting(left), *_lasting(right)]
        if kind == "inner":
            facts = [*above, *beside]
            matched = not_null | _strict(tree.on)
            for side in (left, right):
                terms = self._translated(key, side, Equalities(facts))
                if terms is None:
                    self._refuse_tree(scope, env, side, self._untied(scope, side, key))
                else:
                    self._descend(scope, env, side, terms, facts, matched)
        elif kind == "full":
            both = [
                self._of_side(key, side, other, beside)
                for side, other in ((left, right), (right, left))
            ]
            if None in both:
                reason = f"in a full join, {self._shown} is not what both sides are joined by"
                self._refuse_tree(scope, env, tree, reason)
                return
            for side, terms in zip((left, right), both, strict=True):
                self._descend(scope, env, side, terms or [], _lasting(side), set())
        else:
            self._push_optional(scope, env, left, right, key, above, not_null, tree.on)

    def _push_optional(
        self,
        scope: Scope,
        env: Env,
        kept: Tree,
        optional: Tree,
        key: Sequence[Term],
        above: Sequence[Fact],
        not_null: set[Ref],
        on: Sequence[Fact],
    ) -> None:
        """Follow the key into a join that keeps one side's rows, or picks among them."""
        beside = [*on, *_lasting(kept), *_lasting(optional)]
        terms = self._translated(key, kept, Equalities([*above, *_lasting(kept)]))
        terms = terms or self._of_side(key, kept, optional, [*above, *beside])
        if terms is None:
            reason = f"{self._shown} comes from the side of an outer join that may be missing"
            self._refuse_tree(scope, env, kept, reason)
            self._refuse_tree(scope, env, optional, reason)
            return
        self._descend(scope, env, kept, terms, above, not_null)
        other = self._translated(terms, optional, Equalities(beside))
        if other is None:
            self._refuse_tree(scope, env, optional, self._untied(scope, optional, terms))
        else:
            self._descend(scope, env, optional, other, beside, _strict(on))

    @staticmethod
    def _translated(key: Sequence[Term], side: Tree, equal: Equalities) -> list[Term] | None:
        inside = members(side)
        found = [
            equal.translated(equal.simplified(term), lambda ref: ref.source in inside)
            for term in key
        ]
        return None if None in found else [term for term in found if term is not None]

    @staticmethod
    def _of_side(
        key: Sequence[Term], side: Tree, other: Tree, facts: Sequence[Fact]
    ) -> list[Term] | None:
        """Return the key as one side has it in each of its rows, matched or not; None without."""
        inside, missing = members(side), members(other)
        equal = Equalities(facts)
        lasting = Equalities(_lasting(side))
        found: list[Term] = []
        for term in key:
            try:
                alone = without(term, lambda ref: ref.source in missing)
            except Unproven:
                return None
            mine = lasting.translated(alone, lambda ref: ref.source in inside) if alone else None
            if mine is None or not equal.is_equal(equal.simplified(term), mine):
                return None
            found.append(mine)
        return found

    def _untied(self, scope: Scope, side: Tree, key: Sequence[Term]) -> str:
        inside = members(side)
        missing = [
            name
            for name, term in zip(self._key, key, strict=True)
            if not all(ref.source in inside for ref in refs(term))
        ]
        return f"no equality of a join ties it to {' and '.join(missing or self._key)}"

    # Sources

    def _push_source(self, scope: Scope, env: Env, number: int, key: Sequence[Term]) -> None:
        source = scope.sources[number]
        if source.refused:
            self._refuse_source(source, env, source.refused)
        elif source.relation:
            self._push_relation(source, key)
        elif (
            source.query is not None
            and source.env is not None
            and isinstance(source.query, QUERIES)
        ):
            outputs = self._reader.outputs(source.query, source.env)
            try:
                terms = [
                    substitute(term, lambda ref: _of_output(ref, source, outputs)) for term in key
                ]
            except Unproven as why:
                self._refuse_source(source, env, f"{self._shown} {why}")
                return
            if isinstance(source.query, exp.Values):
                self._refuse_source(source, env, "it is read in a list of values")
            else:
                self.push(source.query, source.env, terms)
        else:
            self._refuse_source(source, env, "it is read in what a table function is given")

    def _push_relation(self, source: Source, key: Sequence[Term]) -> None:
        own = [
            substitute(term, lambda ref: Ref(0, self._reader.own_name(source, ref.column)))
            for term in key
        ]
        known = set(source.inner)
        missing = {
            ref.column for term in own for ref in refs(term) if known and ref.column not in known
        }
        if missing:
            reason = f"it is not known to have the column {', '.join(sorted(missing))}"
            self.found.append(Found(source.place, source.relation, None, reason))
        else:
            self.found.append(Found(source.place, source.relation, tuple(own), ""))

    # Subqueries in expressions

    @staticmethod
    def _subqueries(select: exp.Expr) -> Iterable[tuple[exp.Expr, bool]]:
        """Return the subqueries in a select's expressions, and whether each is in its `where`."""
        where = select.args.get("where")
        for clause in _clauses(select):
            for node in own_nodes(clause):
                if isinstance(node, QUERIES):
                    yield node, clause is where
        for join in _joins(select):
            for node in own_nodes(join.args.get("on")):
                if isinstance(node, QUERIES):
                    yield node, True

    def _push_subquery(
        self,
        subquery: exp.Expr,
        env: Env,
        scope: Scope,
        key: Sequence[Term],
        facts: Sequence[Fact],
        is_where: bool,  # noqa: ARG002
    ) -> None:
        del scope, key, facts
        reason = f"it is read in a subquery that is not known to be tied to {self._shown}"
        self.refuse(subquery, env, reason)

    # Refusals

    def refuse(self, node: exp.Expr, env: Env, reason: str) -> None:
        """Note for every relation that is read under a node why it has no keys."""
        inside = self._reader.inside(node, env) if isinstance(node, QUERIES) else env
        if isinstance(node, exp.Table):
            source = self._reader.table(node, inside)
            self._refuse_named(source, inside, reason)
        for child in node.iter_expressions():
            if not isinstance(child, exp.With):
                self.refuse(child, inside, reason)

    def _refuse_named(self, source: Source, env: Env, reason: str) -> None:
        if source.relation:
            self.found.append(Found(source.place, source.relation, None, source.refused or reason))
        elif isinstance(source.query, exp.Table):
            if source.refused:
                name = source.query.this
                spelled = name.name if isinstance(name, exp.Anonymous) else name.key
                self.found.append(Found((*env.place, -1), (spelled.lower(),), None, source.refused))
        elif source.query is not None and source.env is not None:
            self.refuse(source.query, source.env, source.refused or reason)

    def _refuse_source(self, source: Source, env: Env, reason: str) -> None:
        if source.node is not None or source.relation or isinstance(source.query, exp.Table):
            self._refuse_named(source, env, reason)
            if isinstance(source.query, exp.Table):
                for child in source.query.iter_expressions():
                    self.refuse(child, env, reason)
        elif source.query is not None:
            self.refuse(source.query, source.env or env, reason)

    def _refuse_tree(self, scope: Scope, env: Env, tree: Tree, reason: str) -> None:
        for number in sorted(members(tree)):
            self._refuse_source(scope.sources[number], env, scope.sources[number].refused or reason)

    def _refuse_select(self, select: exp.Expr, env: Env, reason: str) -> None:
        for child in select.iter_expressions():
            if not isinstance(child, exp.With):
                self.refuse(child, env, reason)


def _of_output(ref: Ref, source: Source, outputs: Outputs) -> Term:
    if source.columns is not None:
        return Ref(OUTPUT, f"#{source.columns.index(ref.column)}")
    return outputs.reference(ref.column)


def _with_clause(name: str) -> str:
    return f"it is read by a query with {_CLAUSES.get(name, name.strip('_').replace('_', ' '))}"


def _joins(select: exp.Expr) -> Iterable[exp.Expr]:
    """Return the joins of a select, also those in parentheses, but none of another query."""
    source = select.args.get("from_")
    pending = [select] if source is None else [select, source.this]
    while pending:
        holder = pending.pop()
        joins = holder.args.get("joins") or ()
        yield from joins
        pending += [join.this for join in joins]
        if isinstance(holder, exp.Subquery) and isinstance(holder.this, exp.Table):
            pending += [] if holder.args.get("alias") else [holder.this]


def _clauses(select: exp.Expr) -> list[exp.Expr]:
    given: list[exp.Expr] = []
    for name in (
        "expressions",
        "where",
        "group",
        "having",
        "qualify",
        "windows",
        "order",
        "distinct",
    ):
        value = select.args.get(name)
        given += value if isinstance(value, list) else [value] if value is not None else []
    return [each for each in given if isinstance(each, exp.Expr)]


def _clause_nodes(select: exp.Expr) -> Iterable[exp.Expr]:
    for clause in _clauses(select):
        for node in own_nodes(clause):
            if not isinstance(node, QUERIES):
                yield node


def _peeled(window: exp.Expr) -> exp.Expr:
    inner: exp.Expr = window.this
    while isinstance(inner, exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.WithinGroup):
        inner = inner.this
    return inner


def _is_aggregate(node: exp.Expr, text: Text) -> bool:
    """Return whether a node makes one value of many rows, other than over a window."""
    if not isinstance(node, exp.AggFunc) and called(text, node) not in functions.AGGREGATES:
        return False
    above = node.parent
    while isinstance(above, exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.WithinGroup):
        above = above.parent
    return not (isinstance(above, exp.Window) and _peeled(above) is node)


def _has_aggregate(item: exp.Expr, text: Text) -> bool:
    return any(_is_aggregate(node, text) for node in own_nodes(item))


_OWN_SYNTAX = (
    *(exp.Cast, exp.TryCast, exp.Case, exp.If, exp.And, exp.Or, exp.Extract, exp.Trim),
    *(exp.Substring, exp.JSONExtract, exp.JSONExtractScalar, exp.Exists, exp.CurrentDate),
    *(exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp, exp.Array),
    *(exp.Struct, exp.Unnest, exp.Explode, exp.AggFunc, exp.Columns, exp.RegexpLike),
)


def _check_functions(select: exp.Expr, text: Text) -> None:
    """Refuse a select that calls what may be a macro: its body could look at any row."""
    for node in _clause_nodes(select):
        name = called(text, node)
        if name is None:
            if isinstance(node, exp.Func) and not isinstance(node, _OWN_SYNTAX):
                raise Unproven(f"its query uses {node.key}, which is not understood")
        elif not (
            name in functions.SCALARS
            or name in functions.AGGREGATES
            or name in functions.VOLATILE
            or name in functions.MULTIPLYING
            or name in ("age", "error", "columns", "any", "all", "some", "exists")
        ):
            raise Unproven(f"its query calls {name}(), which is not a known function of DuckDB")


def _partition(window: exp.Expr, named: Mapping[str, exp.Expr]) -> list[exp.Expr]:
    by = list(window.args.get("partition_by") or ())
    base = window.args.get("alias")
    if base is not None and base.name.lower() in named:
        by += _partition(
            named[base.name.lower()], {k: v for k, v in named.items() if v is not window}
        )
    return by


def _built_all(nodes: Iterable[exp.Expr], scope: Scope) -> set[Term]:
    """Return the terms of those that can be understood."""
    terms: set[Term] = set()
    for node in nodes:
        try:
            terms.add(scope.build(node))
        except Unproven:
            continue
    return terms


def _short(node: exp.Expr) -> str:
    if isinstance(node, exp.Column | exp.Alias):
        return node.output_name.lower()
    shown = " ".join(node.sql(dialect="duckdb").split())
    return shown if len(shown) <= 40 else f"{shown[:39]}…"


def _is_own(column: exp.Expr, select: exp.Expr) -> bool:
    """Return whether a column is surely one of what the select itself reads."""
    source = select.args.get("from_")
    named = [] if source is None else [source.this, *(each.this for each in _joins(select))]
    table = column.text("table").lower()
    return bool(table) and table in {each.alias_or_name.lower() for each in named}


def _lasting(tree: Tree | None) -> list[Fact]:
    """Return the equalities that hold on every row of a tree."""
    if tree is None or isinstance(tree, Leaf) or tree.refused:
        return []
    if tree.kind == "inner":
        return [*tree.on, *_lasting(tree.left), *_lasting(tree.right)]
    if tree.kind in ("left", "semi", "anti"):
        return _lasting(tree.left)
    return _lasting(tree.right) if tree.kind == "right" else []


def _strict(facts: Iterable[Fact]) -> set[Ref]:
    """Return columns that the facts say are not null."""
    return {
        term
        for fact in facts
        for term in (fact.left, fact.right)
        if fact.is_strict and isinstance(term, Ref)
    }


def _effective_kind(tree: Joined, above: Iterable[Fact], not_null: set[Ref]) -> str:
    """Return the kind of join that is left when rows without a partner are dropped above."""
    sure = {ref.source for ref in not_null | _strict(above)}
    has_left, has_right = bool(sure & members(tree.left)), bool(sure & members(tree.right))
    if tree.kind == "left":
        return "inner" if has_right else "left"
    if tree.kind == "right":
        return "inner" if has_left else "right"
    if tree.kind == "full":
        if has_left and has_right:
            return "inner"
        return "left" if has_left else "right" if has_right else "full"
    return tree.kind


def without_missing(found: list[Found], expected: list[Found], reason: str) -> list[Found]:
    """Return what was found if each use was found once; otherwise that none is proven."""
    if Counter(each.place for each in found) == Counter(each.place for each in expected):
        return found
    return [Found(each.place, each.relation, None, each.reason or reason) for each in expected]


def keys_sql(found: Found) -> tuple[str, ...] | None:
    """Return the keys as SQL over the relation's own columns."""
    return None if found.keys is None else tuple(safe_sql(term) for term in found.keys)


_unused: Callable[..., object] = outer_term
