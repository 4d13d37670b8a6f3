"""Expressions over columns, as text with holes: what stands between the holes stays to the letter.

Nothing here knows where a column comes from, or what SQL means beyond that an expression without
volatile functions has one value for given values of its columns.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from boathouse.sql import identifier

NULL = "null"
INTEGERS = frozenset(
    ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"]
    + ["UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"]
)
TIMES = frozenset(["DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS"])
UNTOLD = "?"  # the type of a column whose relation was given with names alone


@dataclass(frozen=True)
class Ref:
    """A column of a source, by the source's number in its select."""

    source: int
    column: str


@dataclass(frozen=True)
class Call:
    """Text around other terms; with `is_total`, it is an error for no value of theirs."""

    parts: "tuple[str | Ref | Call, ...]"
    is_total: bool = field(default=False, compare=False)
    is_coalesce: bool = field(default=False, compare=False)
    type: str | None = field(default=None, compare=False)

    @property
    def terms(self) -> "tuple[Ref | Call, ...]":
        """Return the terms in it, in order."""
        return tuple(part for part in self.parts if not isinstance(part, str))


Term = Ref | Call


def constant(text: str, type_name: str | None = None) -> Call:
    """Return a term of text alone."""
    return Call((text,), is_total=True, type=type_name)


def coalesce(terms: Iterable[Term]) -> Term:
    """Return the first of the values that is not null; of one term, itself."""
    flat: list[Term] = []
    for term in terms:
        inner = term.terms if isinstance(term, Call) and term.is_coalesce else (term,)
        flat += [each for each in inner if each not in flat]
    if len(flat) == 1:
        return flat[0]
    parts: list[str | Term] = []
    for number, each in enumerate(flat):
        parts += [", " if number else "coalesce(", each]
    return Call((*parts, ")"), is_coalesce=True)


def refs(term: Term) -> set[Ref]:
    """Return the columns in a term."""
    if isinstance(term, Ref):
        return {term}
    return {ref for each in term.terms for ref in refs(each)}


def rebuilt(call: Call, change: Callable[[Term], Term]) -> Term:
    """Return the call with each of its terms changed."""
    if call.is_coalesce:
        return coalesce(change(each) for each in call.terms)
    parts = tuple(part if isinstance(part, str) else change(part) for part in call.parts)
    return Call(parts, is_total=call.is_total, type=call.type)


def substitute(term: Term, value: Callable[[Ref], Term]) -> Term:
    """Return the term with each column replaced."""
    if isinstance(term, Ref):
        return value(term)
    return rebuilt(term, lambda each: substitute(each, value))


def is_function_of(term: Term, given: Collection[Term]) -> bool:
    """Return whether the term has one value wherever the given ones have one each."""
    if term in given:
        return True
    return isinstance(term, Call) and all(is_function_of(each, given) for each in term.terms)


def render(term: Term) -> str:
    """Return the term as SQL over unqualified, quoted columns."""
    if isinstance(term, Ref):
        return identifier(term.column)
    return "".join(part if isinstance(part, str) else render(part) for part in term.parts)


def is_total(term: Term) -> bool:
    """Return whether computing the term is never an error."""
    return isinstance(term, Ref) or (term.is_total and all(is_total(each) for each in term.terms))


def safe_sql(term: Term) -> str:
    """Return the term as SQL that is null where computing the term is an error."""
    return render(term) if is_total(term) else f"try({render(term)})"


def type_of(term: Term, column_type: Callable[[Ref], str | None]) -> str | None:
    """Return the type, `UNTOLD` when it hangs on columns without one, None when not known."""
    if isinstance(term, Ref):
        return column_type(term)
    if term.type is not None:
        return term.type
    types = {type_of(each, column_type) for each in term.terms}
    if term.is_coalesce and len(types) == 1:
        return types.pop()
    return UNTOLD if UNTOLD in types else None


def is_same_type(one: str | None, other: str | None) -> bool:
    """Return whether both types are known, and the same: equal values then are the same value."""
    return one is not None and one == other and one != UNTOLD


def compares_whole(one: str | None, other: str | None) -> bool:
    """Return whether `=` between the types holds for no two values that differ as keys.

    `'01' = 1` holds between text and a number. Columns without a type are taken to be alike.
    """
    if UNTOLD in (one, other) or is_same_type(one, other):
        return True
    both = {one, other}
    exact = all(name in INTEGERS or (name or "").startswith("DECIMAL(") for name in both)
    return exact or both <= TIMES or "NULL" in both
