"""What a select reads, and which of it a column's name means, as DuckDB finds it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from boathouse.build.pushdown.expressions import Unproven, built
from boathouse.build.pushdown.reading import Text
from boathouse.build.pushdown.terms import Call, Ref, Term

Relation = tuple[str, ...]
Place = tuple[int, ...]  # the token at which each view on the way is named, then the relation's
OUTPUT = -1  # the source of references to a query's own output
OUTER = -100  # sources of the select around a subquery count down from here


@dataclass(frozen=True, eq=False)
class Binding:
    """A common table expression: its query and where names in it are looked up."""

    query: exp.Expr
    env: "Env"
    columns: tuple[str, ...]
    is_recursive: bool


@dataclass(frozen=True, eq=False)
class Env:
    """Where names are looked up: a text and the common table expressions seen from here."""

    text: Text
    place: Place = ()
    ctes: Mapping[str, Binding | None] = field(default_factory=dict)
    views: frozenset[Relation] = frozenset()  # that this text is part of


@dataclass(frozen=True, eq=False)
class Source:
    """One thing that a select reads: a base relation, another query, or rows made on the spot."""

    alias: str
    columns: tuple[str | None, ...] | None  # None when they are not known
    relation: Relation = ()
    place: Place = ()
    query: exp.Expr | None = None
    env: Env | None = None
    refused: str = ""  # why nothing in it can have keys
    node: exp.Expr | None = None
    inner: tuple[str | None, ...] = ()  # the query's own names, where an alias gives others


@dataclass(frozen=True, eq=False)
class Leaf:
    """A source in a tree of joins."""

    source: int


@dataclass(frozen=True, eq=False)
class Joined:
    """Two sides of a join; `kind` is inner, left, right, full, semi, anti or other."""

    left: "Leaf | Joined"
    right: "Leaf | Joined"
    kind: str
    on: "tuple[Fact, ...]" = ()
    refused: str = ""


Tree = Leaf | Joined


@dataclass(frozen=True)
class Fact:
    """Two terms that are equal; when `is_strict`, neither is null."""

    left: Term
    right: Term
    is_strict: bool
    is_same_type: bool


def members(tree: Tree) -> frozenset[int]:
    """Return the numbers of the sources in a tree."""
    if isinstance(tree, Leaf):
        return frozenset([tree.source])
    return members(tree.left) | members(tree.right)


@dataclass(eq=False)
class Scope:
    """A select's sources and what its columns' names mean."""

    text: Text
    sources: list[Source] = field(default_factory=list)
    tree: Tree | None = None
    merged: dict[str, Term] = field(default_factory=dict)  # columns that `using` made one
    hidden: set[Ref] = field(default_factory=set)  # that a star leaves out for them
    owners: dict[Ref, str] = field(default_factory=dict)  # in whose place a star has them
    unseen: set[int] = field(default_factory=set)  # sources that only a semi join looks at
    aliases: dict[str, exp.Expr] = field(default_factory=dict)
    outer: "Scope | None" = None
    resolving: set[str] = field(default_factory=set)

    def build(self, node: exp.Expr, *, aliases: bool = True) -> Term:
        """Return an expression as a term over the sources' columns; raises Unproven."""
        return built(node, self.text, self.column if aliases else self.plain_column)

    def plain_column(self, column: exp.Column) -> Term:
        """Return what a column means where the select's own aliases are not seen."""
        return self._found(column, aliases=False)

    def column(self, column: exp.Column) -> Term:
        """Return what a column means; raises Unproven when that is not certain."""
        return self._found(column, aliases=True)

    def _found(self, column: exp.Column, *, aliases: bool) -> Term:
        if not all(isinstance(part, exp.Identifier) for part in column.parts):
            raise Unproven("is computed from all columns at once")
        names = [part.name.lower() for part in column.parts]
        if len(names) > 1:
            at = self._numbers(names[0])
            if at:
                source = self.sources[at[0]]
                if len(at) == 1 and (source.columns is None or names[1] in source.columns):
                    return _fields(Ref(at[0], names[1]), names[2:])
                if len(at) > 1 or any(each.columns is None for each in self.sources):
                    raise Unproven(f"is computed from {'.'.join(names)}, which is not understood")
            elif self.outer is not None and not self._may_have(names[0]):
                return outer_term(self.outer._found(column, aliases=False))
        return _fields(self._by_name(names[0], aliases=aliases), names[1:])

    def _numbers(self, alias: str) -> list[int]:
        return [
            number
            for number, source in enumerate(self.sources)
            if source.alias == alias and number not in self.unseen
        ]

    def _may_have(self, name: str) -> bool:
        return any(each.columns is None or name in each.columns for _, each in self.seen())

    def seen(self) -> Iterator[tuple[int, Source]]:
        """Return the sources that the select list sees, with their numbers."""
        return ((n, each) for n, each in enumerate(self.sources) if n not in self.unseen)

    def _by_name(self, name: str, *, aliases: bool) -> Term:
        if name in self.merged:
            return self.merged[name]
        found = [n for n, source in self.seen() if name in (source.columns or ())]
        if len(found) == 1:
            return Ref(found[0], name)
        open_ones = [n for n, source in self.seen() if source.columns is None]
        alias = self.aliases.get(name) if aliases else None
        if len(found) > 1 or len(open_ones) > 1 or (open_ones and (alias or self.outer)):
            raise Unproven(f"is computed from {name}, which could be of several relations")
        if open_ones:
            return Ref(open_ones[0], name)
        if alias is not None and name not in self.resolving:
            self.resolving.add(name)
            try:
                return self.build(alias)
            finally:
                self.resolving.discard(name)
        if self.outer is not None:
            term = self.outer._by_name(name, aliases=False)
            return outer_term(term)
        raise Unproven(f"is computed from {name}, which no relation here is known to have")


def outer_term(term: Term) -> Term:
    """Return a term of the select around a subquery as seen from within."""
    if isinstance(term, Ref):
        return Ref(OUTER - term.source, term.column)
    parts = tuple(part if isinstance(part, str) else outer_term(part) for part in term.parts)
    return Call(parts, is_total=term.is_total, is_coalesce=term.is_coalesce, type=term.type)


def _fields(term: Term, path: Sequence[str]) -> Term:
    for name in path:
        quoted = name.replace('"', '""')
        term = Call(("(", term, f')."{quoted}"'), is_total=True)
    return term
