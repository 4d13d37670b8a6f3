"""What a mart's YAML asks to be looked up, checked against the columns that the mart has."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from boathouse.errors import ReleaseError
from boathouse.release.lookups import values
from boathouse.sql import identifier

_NAME = re.compile(r"[A-Za-z0-9_]+")
_WORDS = ("by", "newest", "columns", "where")


@dataclass(frozen=True)
class Lookup:
    """Rows of a mart by one of its columns, the newest first.

    Rows of one time come in an order by their key that is always the same. A column is in it
    once, whatever it is there for.
    """

    name: str
    mart: str
    by: str
    newest: str
    key: tuple[str, ...]  # without `by` and `newest`
    columns: tuple[str, ...]  # without all these
    where: str
    types: tuple[str, ...] = ()  # DuckDB's, of `all_columns`; empty in releases that did not say

    @property
    def table(self) -> str:
        """Return the name of its table; two marts may each have a look-up of one name."""
        return f"{self.mart}.{self.name}"

    @property
    def definition(self) -> str:
        """Return what has to be equal for the rows of two releases to be alike."""
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def of(definition: str) -> "Lookup":
        """Return the look-up with a definition."""
        found: dict[str, Any] = json.loads(definition)
        for name, value in found.items():
            found[name] = tuple(value) if isinstance(value, list) else value
        return Lookup(**found)

    @property
    def all_columns(self) -> list[str]:
        """Return the columns of its table: the value, the time, the key, the rest."""
        return [self.by, self.newest, *self.key, *self.columns]

    @property
    def key_size(self) -> int:
        """Return how many of them, from the first, tell its rows apart."""
        return len(self.key) + 2

    def query(self, relation: str) -> str:
        """Return SQL for what is kept of the rows of a relation with the mart's columns.

        It fails, naming the column, where a value cannot be kept as it is.
        """
        size = self.key_size
        shown = [
            values.kept(kind, column, identifier(column))
            for column, kind in zip(self.all_columns, self.types, strict=True)
        ]
        for place in range(2, size):
            shown[place] = _not_null(self.all_columns[place], shown[place])
        return (
            f"select {', '.join(shown)} from {relation} where ({self.where}) "
            f"and {identifier(self.by)} is not null and {identifier(self.newest)} is not null "
            f"order by {', '.join(str(place) for place in range(1, size + 1))}"
        )

    def wrong(self, what: str) -> ReleaseError:
        """Return the error of a look-up that cannot be made; `what` ends the sentence."""
        return _wrong(self.mart, self.name, what)


def _not_null(column: str, kept: str) -> str:
    failure = values.failure(f"{column} is null in some row, and is part of the mart's key")
    return f"case when {identifier(column)} is null then {failure} else {kept} end"


def from_meta(
    mart: str, meta: str, key: Sequence[str], columns: Mapping[str, str]
) -> tuple[Lookup, ...]:
    """Return the look-ups that a mart's YAML asks for, given as JSON.

    Args:
        mart: The mart.
        meta: `config.meta.lookups`; empty when it has none.
        key: Columns that a test finds unique.
        columns: Its columns, with DuckDB's names of their types.

    Raises:
        ReleaseError: one lacks something, names a column that the mart does not have, or goes by
            values that cannot be looked up.
    """
    entries = json.loads(meta or "{}") or {}
    if not isinstance(entries, dict):
        raise ReleaseError(
            f"meta.lookups of {mart} is no mapping of names to look-ups.", hint=_HINT
        )
    return tuple(_lookup(mart, name, asked, key, columns) for name, asked in entries.items())


def _lookup(
    mart: str, name: str, asked: Any, key: Sequence[str], columns: Mapping[str, str]
) -> Lookup:
    if not _NAME.fullmatch(name):
        raise _wrong(mart, name, "needs a name of letters, digits and _, for the API's path")
    if not isinstance(asked, dict) or not {"by", "newest"} <= set(asked):
        raise _wrong(mart, name, "needs `by` and `newest`")
    unknown = [word for word in asked if word not in _WORDS]
    if unknown:
        raise _wrong(mart, name, f"says {unknown[0]}, which is none of {', '.join(_WORDS)}")
    if not isinstance(asked.get("columns", []), list):
        raise _wrong(mart, name, "needs `columns` as a list")
    by, newest = str(asked["by"]), str(asked["newest"])
    order = dict.fromkeys([by, newest, *key])
    rest = [str(each) for each in dict.fromkeys(asked.get("columns", [])) if each not in order]
    unknown = [column for column in [*order, *rest] if column not in columns]
    if unknown:
        raise _wrong(mart, name, f"names {unknown[0]}, which the mart does not have")
    if not key:
        raise _wrong(mart, name, "needs a mart with a unique key")
    if columns[newest] not in values.TIMES:
        raise _wrong(mart, name, f"needs a time, which {newest} is not: it is {columns[newest]}")
    if by == newest:
        raise _wrong(mart, name, f"goes by {by}, and so cannot have the newest {by} first")
    if columns[by] in values.FLOATS:
        raise _wrong(mart, name, f"goes by {by}, a {columns[by]}, of which none is quite another")
    return Lookup(
        name=name,
        mart=mart,
        by=by,
        newest=newest,
        key=tuple(order)[2:],
        columns=tuple(rest),
        where=str(asked.get("where", "true")),
        types=tuple(columns[each] for each in [*order, *rest]),
    )


_HINT = "Mend meta.lookups in the model's YAML."


def _wrong(mart: str, name: str, what: str) -> ReleaseError:
    return ReleaseError(f"The look-up {name} of {mart} {what}.", hint=_HINT)
