"""Which rows of raw the tests of a build may pass over, because a green build has tested them."""

from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "boathouse_tested_load"  # as macros/builds/get_where_subquery.sql reads it

_load_id = 0


@contextmanager
def tested_up_to(load_id: int) -> Iterator[None]:
    """Say for a `with` block which load was the last one whose rows were tested; 0 for none."""
    global _load_id
    before, _load_id = _load_id, load_id
    try:
        yield
    finally:
        _load_id = before


def load_id() -> int:
    """Return the load up to which rows were tested; 0 when all are to be."""
    return _load_id
