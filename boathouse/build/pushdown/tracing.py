"""Pushes "only rows with these keys" from a query's output down to the relations it reads.

The claim at each step: whatever set of keys is asked for, the output rows with these keys stay as
they are when each relation below keeps at least the rows whose own keys are among them. What is
not known to let this through does not.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlglot import exp

from boathouse.build.pushdown.checks import check
from boathouse.build.pushdown.clauses import subqueries
from boathouse.build.pushdown.equalities import Equalities, without
from boathouse.build.pushdown.expressions import Unproven
from boathouse.build.pushdown.reading import QUERIES
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
    compares_whole,
    constant,
    is_same_type,
    refs,
    safe_sql,
    substitute,
)

_SELECT_PARTS = frozenset(
    [
        *("expressions", "from_", "joins", "where", "group", "having", "qualify", "windows"),
        *("order", "distinct", "with_"),
    ]
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
        elif isinstance(term, Ref) and not by_name:
            place = int(term.column.removeprefix("#"))
            types = [self._reader.output_type(side, env, place) for side in sides]
            if None not in types and not compares_whole(*types):
                raise Unproven(f"is made one of columns of types {types[0]} and {types[1]}")
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
        facts = [*where, *_lasting(scope.tree)]
        try:
            terms = [
                self._of_sources(name, term, outputs, scope)
                for name, term in zip(self._key, key, strict=True)
            ]
            named = list(zip(self._key, terms, strict=True))
            check(select, env, scope, named, Equalities(facts), self._reader)
        except Unproven as why:
            self._refuse_select(select, env, str(why))
            return
        if scope.tree is not None:
            self._descend(scope, env, scope.tree, terms, where, self._not_null(select, scope))
        for subquery, clause in subqueries(select):
            self._push_subquery(subquery, clause, env, scope, terms, facts)

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
                    self._refuse_tree(scope, env, side, self._untied(side, key))
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
            self._refuse_tree(scope, env, optional, self._untied(optional, terms))
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

    def _untied(self, side: Tree, key: Sequence[Term]) -> str:
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

    def _push_subquery(
        self,
        subquery: exp.Expr,
        clause: str,
        env: Env,
        scope: Scope,
        key: Sequence[Term],
        facts: Sequence[Fact],
    ) -> None:
        """Follow the key into a subquery whose outcome, for a row, hangs on rows with its key."""
        terms = self._chosen_among(subquery, clause, env, scope, key, Equalities(facts))
        if terms is not None:
            self.push(subquery, env, terms)
        elif clause == "on" or not self._push_correlated(subquery, env, scope, key):
            reason = f"it is read in a subquery that no equality ties to {self._shown}"
            self.refuse(subquery, env, reason)

    def _chosen_among(
        self,
        subquery: exp.Expr,
        clause: str,
        env: Env,
        scope: Scope,
        key: Sequence[Term],
        equal: Equalities,
    ) -> list[Term] | None:
        """Return the key over the output of the subquery of `x in (…)`, x being the key.

        Only where the condition lets a row through or does not: elsewhere, it also makes a
        difference whether there is any row or any null among the others.
        """
        node = subquery.parent
        if (
            clause != "where"
            or not isinstance(node, exp.In)
            or node.args.get("query") is not subquery
        ):
            return None
        above = node.parent
        while isinstance(above, exp.And | exp.Or | exp.Paren):
            above = above.parent
        if not isinstance(above, exp.Where) or self._reader.outputs(subquery, env).width != 1:
            return None
        try:
            given = scope.build(node.this)
        except Unproven:
            return None
        if not self._reader.compares_output(scope, given, subquery, env):
            return None
        output = Ref(OUTPUT, "#0")
        terms = [
            output if equal.is_equal(term, given) else None if refs(term) else term for term in key
        ]
        return None if None in terms else [term for term in terms if term is not None]

    def _push_correlated(
        self, subquery: exp.Expr, env: Env, scope: Scope, key: Sequence[Term]
    ) -> bool:
        """Follow the key into a subquery of which only rows equal to the outer key are read.

        What it makes of these rows, be it one of them or their number, then hangs on no others.
        """
        query = subquery
        while isinstance(query, exp.Subquery) and not extra(query, _SUBQUERY_PARTS):
            env = self._reader.inside(query, env)
            query = query.this
        if not isinstance(query, exp.Select) or extra(query, _SELECT_PARTS | {"limit", "offset"}):
            return False
        env = self._reader.inside(query, env)
        inner = self._reader.scope(query, env, outer=scope)
        if inner.tree is None:
            return False
        where = self._where(query, inner)
        equal = Equalities([*where, *_lasting(inner.tree)])
        terms = self._translated([outer_term(term) for term in key], inner.tree, equal)
        if terms is None:
            return False
        self._descend(inner, env, inner.tree, terms, where, self._not_null(query, inner))
        for each, _ in subqueries(query):
            reason = f"it is read in a subquery that no equality ties to {self._shown}"
            self.refuse(each, env, reason)
        return True

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
        elif source.function:
            place = (*env.place, -1)
            self.found.append(Found(place, (source.function,), None, source.refused))
        elif isinstance(source.query, exp.Table):
            return
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
