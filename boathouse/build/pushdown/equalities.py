"""What follows from equalities that hold on every row that matters."""

from collections.abc import Callable, Iterable

from boathouse.build.pushdown.expressions import Unproven
from boathouse.build.pushdown.sources import Fact
from boathouse.build.pushdown.terms import Call, Ref, Term, coalesce, rebuilt, refs, render


class Equalities:
    """Classes of terms that have the same value."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        given = list(facts)
        self._classes = _classes((fact.left, fact.right) for fact in given)
        self._same = _classes((fact.left, fact.right) for fact in given if fact.is_same_type)

    def equal_to(self, term: Term, *, same_type: bool = False) -> list[Term]:
        """Return the other terms with this one's value, always in the same order."""
        classes = self._same if same_type else self._classes
        found = next((each for each in classes if term in each), {term})
        return sorted(found - {term}, key=lambda each: (isinstance(each, Call), render(each)))

    def translated(
        self, term: Term, inside: Callable[[Ref], bool], *, same_type: bool = False
    ) -> Term | None:
        """Return a term with this one's value over columns that are inside; None without.

        Within a function, only values of the same type may stand for each other: `1` and `'01'`
        can be equal, their texts are not.
        """
        if all(inside(ref) for ref in refs(term)):
            return term
        for other in self.equal_to(term, same_type=same_type):
            if refs(other) and all(inside(ref) for ref in refs(other)):
                return other
        if isinstance(term, Ref) or not term.terms:
            return None
        parts = [self.translated(each, inside, same_type=True) for each in term.terms]
        by_part = dict(zip(term.terms, parts, strict=True))
        if any(part is None for part in parts):
            return None
        return rebuilt(term, lambda each: by_part[each] or each)

    def is_equal(self, one: Term, other: Term, *, same_type: bool = False) -> bool:
        """Return whether two terms have the same value."""
        if one == other or other in self.equal_to(one, same_type=same_type):
            return True
        if not isinstance(one, Call) or not isinstance(other, Call) or not one.terms:
            return False
        return (
            len(one.parts) == len(other.parts)
            and all(
                mine == theirs
                for mine, theirs in zip(one.parts, other.parts, strict=True)
                if isinstance(mine, str) or isinstance(theirs, str)
            )
            and all(
                self.is_equal(mine, theirs, same_type=True)
                for mine, theirs in zip(one.terms, other.terms, strict=True)
            )
        )

    def simplified(self, term: Term) -> Term:
        """Return the term without what a `coalesce` can never reach: values equal to earlier ones.

        That the values may differ in type only matters within a function.
        """
        return self._simplified(term, same_type=False)

    def _simplified(self, term: Term, *, same_type: bool) -> Term:
        if isinstance(term, Ref) or not term.terms:
            return term
        if not term.is_coalesce:
            return rebuilt(term, lambda each: self._simplified(each, same_type=True))
        kept: list[Term] = []
        for each in term.terms:
            before = [*kept, coalesce(kept)] if kept else []
            if not any(self.is_equal(each, other, same_type=same_type) for other in before):
                kept.append(each)
        return coalesce(kept)


def _classes(pairs: Iterable[tuple[Term, Term]]) -> list[set[Term]]:
    classes: list[set[Term]] = []
    for left, right in pairs:
        touching = [each for each in classes if left in each or right in each]
        classes = [each for each in classes if each not in touching]
        classes.append({left, right}.union(*touching))
    return classes


def without(term: Term, is_gone: Callable[[Ref], bool]) -> Term | None:
    """Return the term where columns that are gone are null; None when it is null itself.

    Raises:
        Unproven: a function has such a column, so that its value is not known.
    """
    if isinstance(term, Ref):
        return None if is_gone(term) else term
    if term.is_coalesce:
        left = [
            each for each in (without(each, is_gone) for each in term.terms) if each is not None
        ]
        return coalesce(left) if left else None
    if not term.terms:
        return term
    changed = {each: without(each, is_gone) for each in term.terms}
    if any(value is None for value in changed.values()):
        raise Unproven("is computed from columns that may be missing")
    return rebuilt(term, lambda each: changed[each] or each)
