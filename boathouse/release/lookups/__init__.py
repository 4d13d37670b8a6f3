"""Look-ups of a release: rows of marts by one value, newest first, in a file of their own.

DuckDB reads a table by columns and a hundred thousand rows at a time, which costs 21 ms for the
sessions of one player among a million; SQLite walks its tree to them in 0.01 ms, or 0.3 ms when
its pages were not read before. So next to `releases/<n>.duckdb` lies
`releases/<n>.lookups.sqlite`, written with it from the same rows, by what has changed since the
release before.

A mart's YAML says what is to be looked up, in `config.meta.lookups`:

    completed_sessions: {by: player_id, newest: ended_at, columns: [country], where: is_completed}

`definition` is one such entry, `values` how values are kept, `writer` and `reader` the file.
"""

from boathouse.release.lookups.definition import Lookup, from_meta
from boathouse.release.lookups.reader import Reader, beside, definitions
from boathouse.release.lookups.writer import Writer

__all__ = ["Lookup", "Reader", "Writer", "beside", "definitions", "from_meta"]
