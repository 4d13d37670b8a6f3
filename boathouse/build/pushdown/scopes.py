"""Reads the clauses of a select: its sources, its tree of joins, its output columns."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from boathouse.build.pushdown.expressions import Unproven, own_nodes
from boathouse.build.pushdown.reading import QUERIES, read
from boathouse.build.pushdown.sources import (
    OUTER,
    OUTPUT,
    Binding,
    Env,
    Fact,
    Joined,
    Leaf,
    Relation,
    Scope,
    Source,
    Tree,
    members,
)
from boathouse.build.pushdown.terms import (
    INTEGERS,
    TIMES,
    UNTOLD,
    Ref,
    Term,
    coalesce,
    compares_whole,
    is_same_type,
    type_of,
)

_TABLE_PARTS = frozenset(["this", "db", "catalog", "alias", "joins"])
_JOIN_PARTS = frozenset(["this", "side", "kind", "method", "on", "using"])
_STAR_PARTS = frozenset(["except_", "replace", "rename"])


@dataclass(eq=False)
class Outputs:
    """A query's output columns: names (None without one) and, of a select, what they hold."""

    names: list[str | None] = field(default_factory=list)
    values: list["exp.Expr | Term"] = field(default_factory=list)
    open_at: int | None = None  # from here on, a star over a relation whose columns are not known
    open_source: int | None = None  # that relation, when there is only one
    refused: str = ""

    def reference(self, name: str) -> Ref:
        """Return a reference to the column of this name; raises Unproven when it is not certain."""
        if self.refused:
            raise Unproven(self.refused)
        if name in self.names:
            place = self.names.index(name)
            if self.open_at is None or place < self.open_at:
                return Ref(OUTPUT, f"#{place}")
        elif self.open_source is not None:
            return Ref(OUTPUT, name)
        if self.open_at is not None:
            raise Unproven("comes through a star over a relation whose columns are not known")
        raise Unproven(f"is taken from {name}, which is not known there")

    @property
    def width(self) -> int | None:
        """Return how many columns there are, None when that is not known."""
        return None if self.open_at is not None or self.refused else len(self.names)


def extra(node: exp.Expr, known: frozenset[str]) -> str | None:
    """Return the name of a clause that is there, and not among the known ones."""
    return next((key for key, value in node.args.items() if value and key not in known), None)


def conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """Return the conditions that a condition is the `and` of."""
    if node is None:
        return
    if isinstance(node, exp.And):
        yield from conjuncts(node.args["this"])
        yield from conjuncts(node.args["expression"])
    elif isinstance(node, exp.Paren):
        yield from conjuncts(node.this)
    else:
        yield node


class Reader:
    """Reads selects, each once: what it finds is kept for as long as it lives."""

    def __init__(
        self,
        views: Mapping[Relation, str],
        columns: Mapping[Relation, Sequence[str] | Mapping[str, str]],
    ) -> None:
        self._views = {_lowered(name): sql for name, sql in views.items()}
        self._columns = {_lowered(name): tuple(_names(given)) for name, given in columns.items()}
        self._types = {
            _lowered(name): {column.lower(): _typed(each) for column, each in given.items()}
            for name, given in columns.items()
            if isinstance(given, Mapping)
        }
        self.texts: list[str] = []  # of the views that were looked through
        self._envs: dict[tuple[int, int], Env] = {}
        self._view_envs: dict[tuple[int, int], Env] = {}
        self._scopes: dict[tuple[int, int], Scope] = {}
        self._outputs: dict[tuple[int, int], Outputs] = {}
        self._output_types: dict[tuple[int, int, int], str | None] = {}

    # Names

    def inside(self, query: exp.Expr, env: Env) -> Env:
        """Return where the query's own parts are looked up: with its own `with`."""
        clause = query.args.get("with_")
        if not isinstance(clause, exp.With):
            return env
        made = self._envs.get((id(query), id(env)))
        if made is None:
            made = env
            for cte in clause.expressions:
                made = _extended(made, cte, is_recursive=bool(clause.args.get("recursive")))
            self._envs[id(query), id(env)] = made
        return made

    def view(self, name: Relation) -> str | None:
        """Return the SQL of a view, None for what is none."""
        return self._views.get(name)

    def table(self, node: exp.Table, env: Env) -> Source:
        """Return what a name after `from` stands for."""
        parts = [part for part in node.parts if isinstance(part, exp.Identifier)]
        relation = tuple(part.name.lower() for part in parts)
        alias = node.alias.lower() or (relation[-1] if relation else "")
        odd = extra(node, _TABLE_PARTS)
        if not relation or len(parts) != len(node.parts):
            return self._function(node, alias, env)
        place = (*env.place, env.text.index.get(parts[0].meta.get("start", -1), -1))
        names = (
            [each.name.lower() for each in node.args["alias"].columns]
            if alias and node.args.get("alias")
            else []
        )
        refused = f"it is read with {_CLAUSES.get(odd, odd)}" if odd else ""
        if len(relation) == 1 and relation[0] in env.ctes:
            binding = env.ctes[relation[0]]
            if binding is None:
                return Source(alias, None, refused="it is read again by itself (recursive)")
            if binding.is_recursive:
                refused = refused or "it is read by a recursive query"
            return self._derived(
                alias, binding.query, binding.env, binding.columns, names, refused, node
            )
        if relation in self._views and relation not in env.views:
            text = read(self._views[relation])
            self.texts.append(text.sql)
            key = (id(node), id(env))
            inner = self._view_envs.setdefault(key, Env(text, place, views=env.views | {relation}))
            return self._derived(alias, text.query, inner, (), names, refused, node)
        if relation in self._views:
            refused = "it is a view that reads itself"
        own = self._columns.get(relation)
        if names and own is None:
            refused = refused or "its columns are given other names, and are not known"
        shown = (*names, *own[len(names) :]) if names and own is not None else own
        return Source(alias, shown, relation, place, refused=refused, node=node, inner=own or ())

    def _function(self, node: exp.Table, alias: str, env: Env) -> Source:
        given = node.args.get("alias")
        names = [each.name.lower() for each in given.columns] if given else []
        made = isinstance(node.this, exp.GenerateSeries) or node.this.name.lower() in (
            "range",
            "generate_series",
        )
        if not made:
            name = (
                node.this.name if isinstance(node.this, exp.Anonymous) else node.this.key
            ).lower()
            reason = f"{name}() is a table function, whose rows may change without notice"
            return Source(alias, tuple(names) or None, query=node, env=env, refused=reason)
        return Source(alias, tuple(names) or None, query=node, env=env)

    def _derived(
        self,
        alias: str,
        query: exp.Expr,
        env: Env,
        columns: Sequence[str],
        names: Sequence[str],
        refused: str,
        node: exp.Expr | None = None,
    ) -> Source:
        outputs = self.outputs(query, env)
        if outputs.width is None:
            if columns or names:
                refused = refused or "its columns are given other names, and are not known"
            shown: tuple[str | None, ...] | None = None
        else:
            inner = (*columns, *outputs.names[len(columns) :])
            shown = (*names, *inner[len(names) :])
        return Source(alias, shown, query=query, env=env, refused=refused, node=node)

    # Sources and joins

    def scope(self, select: exp.Expr, env: Env, outer: Scope | None = None) -> Scope:
        """Return the sources of a select and what its names mean."""
        key = (id(select), id(env))
        if outer is None and key in self._scopes:
            return self._scopes[key]
        scope = Scope(env.text, outer=outer)
        for item in select.expressions:
            if isinstance(item, exp.Alias):
                name = item.alias.lower()
                scope.aliases[name] = exp.Star() if name in scope.aliases else item.this
        source = select.args.get("from_")
        if source is not None:
            scope.tree = self._leaf(source.this, env, scope)
            is_listed = False
            for join in select.args.get("joins") or ():
                scope.tree, is_listed = self._joined(scope.tree, join, env, scope, is_listed)
        if outer is None:
            self._scopes[key] = scope
        return scope

    def _leaf(self, node: exp.Expr, env: Env, scope: Scope) -> Tree:
        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table):
            if not extra(node, frozenset(["this"])):
                return self._leaf(node.this, env, scope)
            source = Source("", None, query=node, env=env, refused="it is in a join in parentheses")
        elif isinstance(node, exp.Table):
            source = self.table(node, env)
        else:
            source = self._made(node, env)
        scope.sources.append(source)
        tree: Tree = Leaf(len(scope.sources) - 1)
        is_listed = False
        for join in node.args.get("joins") or ():
            tree, is_listed = self._joined(tree, join, env, scope, is_listed)
        return tree

    def _made(self, node: exp.Expr, env: Env) -> Source:
        given = node.args.get("alias")
        alias = given.name.lower() if isinstance(given, exp.TableAlias) else ""
        names = (
            [each.name.lower() for each in given.columns]
            if isinstance(given, exp.TableAlias)
            else []
        )
        inner = node.this if isinstance(node, exp.Lateral) else node
        if isinstance(inner, exp.Subquery) and isinstance(inner.this, (*QUERIES, exp.SetOperation)):
            odd = extra(node, frozenset(["this", "alias", "joins", "with_"])) or extra(
                inner, frozenset(["this", "alias", "joins", "with_"])
            )
            refused = f"it is read with {_CLAUSES.get(odd, odd)}" if odd else ""
            return self._derived(alias, inner, env, (), names, refused)
        if isinstance(inner, exp.Values):
            rows = inner.expressions
            width = len(rows[0].expressions) if rows and isinstance(rows[0], exp.Tuple) else 0
            columns = tuple([*names, *(f"col{number}" for number in range(len(names), width))])
            return Source(alias, columns, query=inner, env=env)
        if isinstance(inner, exp.Unnest):
            return Source(alias, tuple(names) or None, query=inner, env=env)
        return Source(
            alias,
            tuple(names) or None,
            query=node,
            env=env,
            refused="it is read in a way that is not understood",
        )

    def _joined(
        self, left: Tree, join: exp.Expr, env: Env, scope: Scope, is_listed: bool
    ) -> tuple[Tree, bool]:
        """Return the tree with one more join, and whether a comma was among the joins so far."""
        right = self._leaf(join.this, env, scope)
        method, side, kind = (
            str(join.args.get(key) or "").upper() for key in ("method", "side", "kind")
        )
        is_comma = not (method or side or kind or join.args.get("on") or join.args.get("using"))
        named = _KINDS.get((side, kind), "other")
        refused = ""
        odd = extra(join, _JOIN_PARTS)
        if method or odd or named == "other":
            words = " ".join(part for part in (method, side, kind) if part).lower()
            refused = f"it takes part in {_article(words or str(odd))} join"
        elif named in ("right", "full") and is_listed:
            refused = f"it takes part in a {named} join after a comma"
        facts: list[Fact] = []
        if not refused and join.args.get("using"):
            refused = self._using(join, named, left, right, scope, facts)
        for condition in conjuncts(join.args.get("on")) if not refused else ():
            facts += self.facts(condition, scope, aliases=False)
        if named in ("semi", "anti"):
            scope.unseen |= members(right)
        return Joined(left, right, named, tuple(facts), refused), is_listed or is_comma

    def _using(
        self, join: exp.Expr, kind: str, left: Tree, right: Tree, scope: Scope, facts: list[Fact]
    ) -> str:
        if not isinstance(right, Leaf):
            return "it takes part in a join in parentheses"
        for each in join.args["using"]:
            name = each.name.lower()
            mine = Ref(right.source, name)
            theirs = self._left_column(name, left, scope)
            columns = scope.sources[right.source].columns
            if theirs is None or (columns is not None and name not in columns):
                return f"the relation that {name} of a join comes from is not certain"
            if self._compares(scope, theirs, mine):
                same = self._is_same_type(scope, theirs, mine)
                facts.append(Fact(theirs, mine, is_strict=True, is_same_type=same))
            scope.merged[name] = {
                "right": mine,
                "full": coalesce([theirs, mine]),
            }.get(kind, theirs)
            if isinstance(theirs, Ref) and theirs not in scope.owners:
                scope.owners[theirs] = name
            scope.hidden.add(mine)
        return ""

    def _left_column(self, name: str, left: Tree, scope: Scope) -> Term | None:
        if name in scope.merged:
            return scope.merged[name]
        numbers = [n for n in sorted(members(left)) if n not in scope.unseen]
        found = [n for n in numbers if name in (scope.sources[n].columns or ())]
        open_ones = [n for n in numbers if scope.sources[n].columns is None]
        if len(found) == 1:
            return Ref(found[0], name)
        return Ref(open_ones[0], name) if not found and len(open_ones) == 1 else None

    # Types and equalities

    def facts(self, condition: exp.Expr, scope: Scope, *, aliases: bool) -> list[Fact]:
        """Return what an equality says; nothing for any other condition."""
        if not isinstance(condition, exp.EQ | exp.NullSafeEQ):
            return []
        try:
            left, right = (
                scope.build(condition.args[side], aliases=aliases)
                for side in ("this", "expression")
            )
            # Where parser and engine may differ on what binds tighter, the sides must be plain.
            scope.build(condition, aliases=aliases)
        except Unproven:
            return []
        if not self._compares(scope, left, right):
            return []
        strict = isinstance(condition, exp.EQ)
        return [Fact(left, right, strict, self._is_same_type(scope, left, right))]

    def _compares(self, scope: Scope, left: Term, right: Term) -> bool:
        return compares_whole(self._type(scope, left), self._type(scope, right))

    def _is_same_type(self, scope: Scope, left: Term, right: Term) -> bool:
        return is_same_type(self._type(scope, left), self._type(scope, right))

    def _type(self, scope: Scope, term: Term) -> str | None:
        return type_of(term, lambda ref: self.column_type(scope, ref))

    def column_type(self, scope: Scope, ref: Ref) -> str | None:
        """Return the type of a source's column, `UNTOLD` when only names were given."""
        if ref.source <= OUTER:
            return (
                self.column_type(scope.outer, Ref(OUTER - ref.source, ref.column))
                if scope.outer
                else None
            )
        source = scope.sources[ref.source]
        if source.relation:
            types = self._types.get(source.relation)
            return UNTOLD if types is None else types.get(self.own_name(source, ref.column))
        if source.env is None or source.query is None or source.columns is None:
            return None
        if not isinstance(source.query, QUERIES) or ref.column not in source.columns:
            return None
        return self.output_type(source.query, source.env, source.columns.index(ref.column))

    def own_name(self, source: Source, column: str) -> str:
        """Return a base relation's own name of a column that an alias may give another."""
        if source.columns is None or source.columns == source.inner or column not in source.columns:
            return column
        return source.inner[source.columns.index(column)] or column

    def output_type(self, query: exp.Expr, env: Env, place: int) -> str | None:
        """Return the type of a query's output column by its place."""
        key = (id(query), id(env), place)
        if key not in self._output_types:
            self._output_types[key] = None  # of a query that reads itself
            self._output_types[key] = self._output_type(query, self.inside(query, env), place)
        return self._output_types[key]

    def _output_type(self, query: exp.Expr, env: Env, place: int) -> str | None:
        if isinstance(query, exp.Subquery):
            return self.output_type(query.this, env, place)
        if isinstance(query, exp.SetOperation):
            if query.args.get("by_name"):
                return None
            sides = {
                self.output_type(query.args[side], env, place) for side in ("this", "expression")
            }
            sides -= {"NULL"} if len(sides) > 1 else set()
            if len(sides) == 1 or UNTOLD in sides:
                return UNTOLD if UNTOLD in sides else sides.pop()
            known = {side for side in sides if side is not None}
            if len(known) == len(sides) and (known <= INTEGERS or known <= TIMES):
                return "HUGEINT" if known <= INTEGERS else "TIMESTAMP"
            return None
        if not isinstance(query, exp.Select):
            return None
        outputs = self.outputs(query, env)
        if outputs.width is None or place >= outputs.width:
            return None
        scope = self.scope(query, env)
        try:
            return self._type(scope, self.value(outputs.values[place], scope))
        except Unproven:
            return None

    @staticmethod
    def value(given: "exp.Expr | Term", scope: Scope) -> Term:
        """Return what an output column holds as a term over its select's sources."""
        return scope.build(given) if isinstance(given, exp.Expr) else given

    # Output columns

    def outputs(self, query: exp.Expr, env: Env) -> Outputs:
        """Return a query's output columns."""
        key = (id(query), id(env))
        if key not in self._outputs:
            self._outputs[key] = Outputs(refused="comes from a query that reads itself")
            self._outputs[key] = self._read_outputs(query, self.inside(query, env))
        return self._outputs[key]

    def _read_outputs(self, query: exp.Expr, env: Env) -> Outputs:
        if isinstance(query, exp.Subquery):
            return self.outputs(query.this, env)
        if isinstance(query, exp.SetOperation):
            left, right = (self.outputs(query.args[side], env) for side in ("this", "expression"))
            if not query.args.get("by_name"):
                return Outputs(names=left.names, open_at=left.open_at, refused=left.refused)
            if left.width is None or right.width is None:
                return Outputs(
                    refused="comes through a union by name of columns that are not known"
                )
            return Outputs(names=list(dict.fromkeys([*left.names, *right.names])))
        if isinstance(query, exp.Values):
            rows = query.expressions
            width = len(rows[0].expressions) if rows and isinstance(rows[0], exp.Tuple) else 0
            return Outputs(names=[f"col{number}" for number in range(width)])
        if not isinstance(query, exp.Select):
            return Outputs(refused="comes from a query that is not understood")
        return self._select_outputs(query, self.scope(query, env))

    def _select_outputs(self, select: exp.Expr, scope: Scope) -> Outputs:
        outputs = Outputs()
        for item in select.expressions:
            column = item.this if isinstance(item, exp.Column) else item
            if isinstance(column, exp.Star):
                table = item.table.lower() if isinstance(item, exp.Column) else ""
                self._star(column, table, scope, outputs)
            elif any(_is_pattern(node) for node in own_nodes(item)):
                outputs.refused = "is one of columns that are chosen by a pattern"
            else:
                name = item.output_name.lower() if isinstance(item, exp.Alias | exp.Column) else ""
                outputs.names.append(name or None)
                outputs.values.append(item)
        _forget_repeated(outputs.names)
        return outputs

    def _star(self, star: exp.Expr, table: str, scope: Scope, outputs: Outputs) -> None:
        if extra(star, _STAR_PARTS):
            outputs.refused = "is one of columns that are chosen by a pattern"
        left_out: set[str] = set()
        for each in star.args.get("except_") or ():
            if isinstance(each, exp.Column) and each.table:
                outputs.refused = "is one of columns that are chosen by a pattern"
            left_out.add(each.name.lower())
        replaced = {each.alias.lower(): each.this for each in star.args.get("replace") or ()}
        renamed = {
            each.this.name.lower(): each.alias.lower() for each in star.args.get("rename") or ()
        }
        numbers = [n for n, source in scope.seen() if not table or source.alias == table]
        if not numbers or (table and len(numbers) > 1):
            outputs.refused = "comes through a star that is not understood"
        for number in numbers:
            source = scope.sources[number]
            if source.columns is None:
                is_first = outputs.open_at is None
                outputs.open_at = len(outputs.names) if is_first else outputs.open_at
                is_plain = is_first and not (left_out or replaced or renamed or scope.merged)
                outputs.open_source = number if is_plain else None
                continue
            for name in source.columns:
                self._starred(
                    Ref(number, name or ""),
                    bool(table),
                    scope,
                    outputs,
                    left_out,
                    replaced,
                    renamed,
                )

    @staticmethod
    def _starred(
        ref: Ref,
        is_of_table: bool,
        scope: Scope,
        outputs: Outputs,
        left_out: set[str],
        replaced: Mapping[str, exp.Expr],
        renamed: Mapping[str, str],
    ) -> None:
        if ref.column in left_out or (ref in scope.hidden and not is_of_table):
            return
        merged = scope.merged[scope.owners[ref]] if ref in scope.owners and not is_of_table else ref
        outputs.names.append(renamed.get(ref.column, ref.column) or None)
        outputs.values.append(replaced.get(ref.column, merged))


def _is_pattern(node: exp.Expr) -> bool:
    is_star = isinstance(node, exp.Star) and not isinstance(node.parent, exp.Count)
    return is_star or isinstance(node, exp.Columns)


def _forget_repeated(names: list[str | None]) -> None:
    """Leave names only where it is certain which column they mean: DuckDB numbers the repeated."""
    repeated = {name for name in names if name is not None and names.count(name) > 1}
    seen: set[str] = set()
    for place, name in enumerate(names):
        if name is None:
            continue
        is_numbered = any(name.startswith(f"{each}_") for each in repeated)
        if name in seen or is_numbered:
            names[place] = None
        seen.add(name)


def _extended(env: Env, cte: exp.Expr, *, is_recursive: bool) -> Env:
    name = cte.alias.lower()
    given = cte.args["alias"]
    columns = tuple(each.name.lower() for each in given.columns)
    reads_itself = is_recursive and any(
        each.name.lower() == name and not each.db for each in cte.this.find_all(exp.Table)
    )
    within = env
    if reads_itself:
        within = Env(env.text, env.place, {**env.ctes, name: None}, env.views)
    binding = Binding(cte.this, within, columns, reads_itself)
    return Env(env.text, env.place, {**env.ctes, name: binding}, env.views)


def _lowered(name: Relation) -> Relation:
    return tuple(part.lower() for part in name)


def _names(given: Sequence[str] | Mapping[str, str]) -> Iterator[str]:
    return (column.lower() for column in given)


def _typed(name: str) -> str:
    plain = name.upper().replace(" ", "")
    return {"TIMESTAMPWITHTIMEZONE": "TIMESTAMPTZ", "INT": "INTEGER", "TEXT": "VARCHAR"}.get(
        plain, plain
    )


def _article(words: str) -> str:
    return f"an {words}" if words[:1] in "aeiou" else f"a {words}"


_KINDS = {
    ("", ""): "inner",
    ("", "INNER"): "inner",
    ("", "CROSS"): "inner",
    ("LEFT", ""): "left",
    ("LEFT", "OUTER"): "left",
    ("RIGHT", ""): "right",
    ("RIGHT", "OUTER"): "right",
    ("FULL", ""): "full",
    ("FULL", "OUTER"): "full",
    ("", "SEMI"): "semi",
    ("LEFT", "SEMI"): "semi",
    ("", "ANTI"): "anti",
    ("LEFT", "ANTI"): "anti",
}
_CLAUSES: dict[str | None, str] = {
    "sample": "a sample",
    "when": "a version of its own (at)",
    "version": "a version of its own (at)",
    "pivots": "a pivot",
    "limit": "a limit",
    "offset": "an offset",
}

__all__ = ["Outputs", "Reader", "conjuncts", "extra"]
