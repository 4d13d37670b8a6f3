"""The last guard before readers: a mart that lost many of its rows since the release they see.

Tests look at the rows that are there. An empty mart passes nearly all of them.
"""

from collections.abc import Iterable, Iterator

from boathouse.build.blockers import Blocker
from boathouse.build.report import ALLOW_SHRINK
from boathouse.lake import Lake
from boathouse.release.about import Base
from boathouse.release.contents import MARTS, Relation
from boathouse.settings import Settings
from boathouse.sql import literal

# Fewer lost rows are never held back: what was delivered by mistake and taken back is often all
# that a small mart has.
LEAST_LOST = 10


def find_shrunk(
    lake: Lake, relations: Iterable[Relation], base: Base, settings: Settings
) -> list[Blocker]:
    """Return the marts among `relations` that lost more rows since a release than they may.

    A mart may lose `BOATHOUSE_MAX_SHRINK` of its rows, or what `meta.may_shrink` says, and fewer
    than `LEAST_LOST` in any case. None is returned when a build since then was told to allow it.
    """
    found = list(_shrunk(lake, relations, base, settings))
    return [] if found and _is_allowed(lake, base) else found


def _shrunk(
    lake: Lake, relations: Iterable[Relation], base: Base, settings: Settings
) -> Iterator[Blocker]:
    for relation in relations:
        before = base.written.get((relation.schema, relation.name))
        share = settings.max_shrink if relation.may_shrink is None else relation.may_shrink
        if relation.schema != MARTS or before is None or before.rows < LEAST_LOST or share >= 1:
            continue
        rows = int(lake.value(f"select count(*) from ({relation.query})"))
        lost = before.rows - rows
        if lost >= LEAST_LOST and lost > share * before.rows:
            reason = (
                f"it has {rows:,} rows, and release {base.release_id} has {before.rows:,}: it may "
                f"lose {share:.0%} of them"
            )
            yield Blocker(reason, relation.name, relation.path)


def _is_allowed(lake: Lake, base: Base) -> bool:
    return bool(
        lake.value(
            "select count(*) from lake.meta.builds "
            f"where build_id > {base.build_id} and ends_with(command, {literal(ALLOW_SHRINK)})"
        )
    )
