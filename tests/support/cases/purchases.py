"""Purchases: the history of a table out of snapshots that come late, twice, corrected, in parts."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from hypothesis import strategies as st

from support.order import Build, DomainCase, File, Rows, Run, SourceCase


class Purchase(NamedTuple):
    purchase_id: int
    product: int
    user: int
    date: date

    @property
    def is_good(self) -> bool:
        """Return whether the contract lets it in: numbers are positive."""
        return self.product > 0


class Version(NamedTuple):
    purchase_id: int
    version: int
    product_id: int
    user_id: int
    purchased_on: date
    valid_from: date
    valid_until: date | None
    is_current: bool
    is_deleted: bool
    first_seen_on: date
    last_seen_on: date


class Current(NamedTuple):
    purchase_id: int
    product_id: int
    user_id: int
    purchased_on: date
    version: int
    last_changed_on: date


class Day(NamedTuple):
    purchased_on: date
    purchases: int
    buyers: int
    new_versions: int
    deletions: int


SNAPSHOT_DAYS = [date(2023, 7, day) for day in (3, 4, 5, 8, 12)]  # with gaps
# Before, on, between and after the days of the snapshots.
DATES = [date(2023, 6, 1), *(date(2023, 7, day) for day in (1, 3, 4, 5, 6, 8, 12, 20))]

_purchases = st.builds(
    Purchase,
    purchase_id=st.integers(1, 5),
    product=st.sampled_from((10, 11, 10, 11, 12, 0)),
    user=st.sampled_from((7, 8)),
    date=st.sampled_from(DATES),
)


def write(purchases: Sequence[Purchase]) -> bytes:
    """Return the file's text, in the shop's spelling of the header."""
    lines = ["PurchaseID,product,user,date"]
    lines += [",".join(str(value) for value in purchase) for purchase in purchases]
    return "".join(f"{line}\n" for line in lines).encode()


def reference(files: Sequence[File]) -> dict[str, Rows]:
    """Return all marts as they must be for these files."""
    snapshots: dict[date, set[Purchase]] = defaultdict(set)
    for file in files:
        found = re.search(r"purchases_(\d{4}-\d{2}-\d{2})", file.name)
        assert found
        for purchase in file.records:
            if purchase.is_good:  # a date with no good row is no snapshot
                snapshots[date.fromisoformat(found[1])].add(purchase)
    versions = purchase_versions(snapshots)
    current = [
        Current(v.purchase_id, v.product_id, v.user_id, v.purchased_on, v.version, v.valid_from)
        for v in versions
        if v.is_current
    ]
    return {
        "fct_purchase_versions": versions,
        "fct_purchases": current,
        "rpt_purchases_daily": _daily(versions, current),
    }


@dataclass
class _Told:
    """A version while its history is being told."""

    purchase: Purchase
    valid_from: date
    first_seen_on: date
    last_seen_on: date
    valid_until: date | None = None
    is_deleted: bool = False

    @property
    def is_open(self) -> bool:
        return self.valid_until is None


def purchase_versions(snapshots: Mapping[date, set[Purchase]]) -> list[Version]:
    """Return every version of every purchase that was in any of the snapshots."""
    by_day = {day: _without_contradictions(rows) for day, rows in sorted(snapshots.items())}
    purchase_ids = {purchase_id for rows in by_day.values() for purchase_id in rows}
    return [
        Version(
            purchase_id,
            number,
            told.purchase.product,
            told.purchase.user,
            told.purchase.date,
            told.valid_from,
            told.valid_until,
            told.is_open,
            told.is_deleted,
            told.first_seen_on,
            told.last_seen_on,
        )
        for purchase_id in purchase_ids
        for number, told in enumerate(_history(purchase_id, by_day), 1)
    ]


def _without_contradictions(rows: set[Purchase]) -> dict[int, Purchase]:
    """The row that counts: the latest date, then the greatest product, then the greatest user."""
    chosen: dict[int, Purchase] = {}
    for row in sorted(rows, key=lambda row: (row.date, row.product, row.user)):
        chosen[row.purchase_id] = row
    return chosen


def _history(purchase_id: int, by_day: Mapping[date, Mapping[int, Purchase]]) -> list[_Told]:
    versions: list[_Told] = []
    for day, rows in by_day.items():
        now = rows.get(purchase_id)
        last = versions[-1] if versions else None
        if last is None:
            if now is not None:
                versions.append(_Told(now, now.date, day, day))
        elif now is None:
            if last.is_open:
                last.valid_until = max(day, last.valid_from)
                last.is_deleted = True
        elif not last.is_open:  # it is back
            versions.append(_Told(now, max(day, last.valid_from), day, day))
        elif now == last.purchase:
            last.last_seen_on = day
        else:
            start = now.date if now.date > last.valid_from else max(day, last.valid_from)
            last.valid_until = start
            versions.append(_Told(now, start, day, day))
    return versions


def _daily(versions: list[Version], current: list[Current]) -> list[Day]:
    bought: dict[date, list[Current]] = defaultdict(list)
    new_versions: dict[date, int] = defaultdict(int)
    deletions: dict[date, int] = defaultdict(int)
    for purchase in current:
        bought[purchase.purchased_on].append(purchase)
    for version in versions:
        new_versions[version.valid_from] += 1
        if version.is_deleted and version.valid_until:
            deletions[version.valid_until] += 1
    return [
        Day(
            day,
            len(bought[day]),
            len({purchase.user_id for purchase in bought[day]}),
            new_versions[day],
            deletions[day],
        )
        for day in {*bought, *new_versions, *deletions}
    ]


def _snapshot(day: int, *purchases: Purchase, part: str = "") -> File:
    return File("purchases", f"purchases_2023-07-{day:02}{part}.csv", purchases)


_P = Purchase(1, 10, 7, date(2023, 7, 3))
_Q = Purchase(2, 10, 7, date(2023, 6, 1))
_CHANGED = _P._replace(product=11)  # under the date it had
_LATER = _P._replace(product=12, date=date(2023, 7, 5))

EXAMPLES = (
    # Corrections that leave nothing of the newest snapshot, then of the first one.
    (
        Run((_snapshot(3, _P, _Q), _snapshot(4, _P), _snapshot(5, _CHANGED, _Q))),
        Run((_snapshot(5),)),
        Run((_snapshot(3),), compacts=True),
        Run((_snapshot(8, _LATER),)),
    ),
    # A late snapshot that lacks a purchase, and one between a change and its undoing.
    (
        Run((_snapshot(3, _P, _Q), _snapshot(8, _P, _Q))),
        Run((_snapshot(4, _Q),)),
        Run((_snapshot(5, _CHANGED, _Q),), Build.NOTHING),
        Run((_snapshot(12, _LATER),), compacts=True),
        Run((_snapshot(4, _LATER, _Q), _snapshot(3, _P))),
    ),
    # Deleted and back around a snapshot that is taken back, as if it had never been deleted; then
    # that snapshot again, with nothing but the other purchase.
    (
        Run((_snapshot(3, _P, _Q), _snapshot(4, _Q), _snapshot(5, _P, _Q))),
        Run((_snapshot(4),)),
        Run((_snapshot(4, _Q._replace(product=11)),)),
        Run((_snapshot(3),)),  # the deletion is left without a beginning
    ),
    # One arrives before all others, one between two, and all in between are taken back at once.
    (
        Run((_snapshot(5, _P), _snapshot(8, _P, _Q), _snapshot(12, _CHANGED))),
        Run((_snapshot(3, _Q),)),
        Run((_snapshot(4, _P, _Q),)),
        Run((_snapshot(5), _snapshot(8)), Build.NOTHING),
        Run((_snapshot(4),)),
        Run((_snapshot(8, _CHANGED), _snapshot(12))),
        Run((_snapshot(3), _snapshot(8))),  # nothing is left
        Run((_snapshot(5, _LATER),)),
    ),
    # Twice in one snapshot, in one file and in two that contradict each other.
    (
        Run((_snapshot(3, _P, _P, _CHANGED), _snapshot(4, _P, part="_b"))),
        Run((_snapshot(4, _LATER), _snapshot(5, _LATER, _LATER))),
        Run((_snapshot(4, _CHANGED),)),
        Run((_snapshot(4),)),
    ),
)

CASE = DomainCase(
    domain="purchases",
    sources={
        "purchases": SourceCase(
            names=[f"purchases_{day}{part}.csv" for day in SNAPSHOT_DAYS for part in ("", "_b")],
            records=st.lists(_purchases, max_size=7),
            write=write,
        )
    },
    marts={
        "fct_purchase_versions": Version._fields,
        "fct_purchases": Current._fields,
        "rpt_purchases_daily": Day._fields,
    },
    reference=reference,
    examples=EXAMPLES,
)
