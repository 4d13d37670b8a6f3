"""Deliveries in any order: scenarios, the ledger's rule in plain Python, and what must be equal.

A `DomainCase` says what is particular to a domain; everything here holds for all of them. To add
a domain, write one more module in `support.cases`.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath
from typing import Any, NamedTuple
from unittest import mock

from hypothesis import strategies as st

from boathouse import compaction, lake
from boathouse.build import Manifest, run_build
from boathouse.contracts import Contract
from boathouse.ingest.loader import load
from boathouse.settings import Settings

Record = Any  # whatever the case writes into its files
Rows = Sequence[tuple[Any, ...]]
Contents = Mapping[str, Counter[Any]]  # marts, and how often each of their rows is there


@dataclass(frozen=True)
class SourceCase:
    """How files of one source come about."""

    names: Sequence[str]  # a small pool, so that names meet again
    records: st.SearchStrategy[list[Record]]
    write: Callable[[Sequence[Record]], bytes]
    # Where a source has several formats: how a name with this ending is written instead.
    write_by_ending: Mapping[str, Callable[[Sequence[Record]], bytes]] = field(default_factory=dict)


class File(NamedTuple):
    """A delivered file: what the reference functions are given.

    `load` counts up with the loads, for what depends on which was later.
    """

    source: str
    name: str
    records: tuple[Record, ...]
    load: int = 0


@dataclass(frozen=True, eq=False)
class DomainCase:
    """What is particular to a domain.

    `reference` is told the files that count, in any order, and returns the rows that each mart
    must hold, as tuples in the order of `marts[name]`: the columns that do not depend on when
    something was loaded. `examples` are scenarios that chance would seldom find.
    """

    domain: str
    sources: Mapping[str, SourceCase]
    marts: Mapping[str, Sequence[str]]
    reference: Callable[[Sequence[File]], Mapping[str, Rows]]
    examples: "Sequence[Scenario]" = ()

    def content(self, file: File) -> bytes:
        """Return a file's bytes."""
        source = self.sources[file.source]
        write = source.write_by_ending.get(PurePath(file.name).suffix, source.write)
        return write(file.records)


class Build(StrEnum):
    """What is built after a load."""

    ALL = "all incremental models"
    NOTHING = "nothing"
    ONE = "one incremental model; those around it stay as they were"
    ONE_ANEW = "one incremental model, with --full-refresh"


@dataclass(frozen=True)
class Run:
    """One load of some files, and a build."""

    files: tuple[File, ...]
    build: Build = Build.ALL
    model: int = 0  # which one in the order of names, for the builds of one
    compacts: bool = False


Scenario = tuple[Run, ...]


# -- scenarios -----------------------------------------------------------------------------


@st.composite
def _delivery(draw: st.DrawFn, case: DomainCase, earlier: Sequence[File]) -> File:
    """A new file, one that came before, its content under another name, or a correction."""
    kind = draw(st.sampled_from(("new", "new", "correction", "again", "other name")))
    if kind == "new" or not earlier:
        name = draw(st.sampled_from(sorted(case.sources)))
        source = case.sources[name]
        records = draw(source.records)
        return File(name, draw(st.sampled_from(source.names)), tuple(records))
    before = draw(st.sampled_from(earlier))
    source = case.sources[before.source]
    if kind == "again":
        return before
    if kind == "other name":
        return before._replace(name=draw(st.sampled_from(source.names)))
    kept = [record for record in before.records if draw(st.booleans())]
    return before._replace(records=(*kept, *draw(source.records)))


@st.composite
def scenarios(draw: st.DrawFn, case: DomainCase, *, most_runs: int = 6) -> Scenario:
    """Up to twelve deliveries in a few runs."""
    earlier: list[File] = []
    runs = []
    for _ in range(draw(st.integers(2, most_runs))):
        files = []
        for _ in range(draw(st.integers(1, 2))):
            file = draw(_delivery(case, earlier))
            earlier.append(file)
            files.append(file)
        runs.append(
            Run(
                tuple(files),
                draw(st.sampled_from((Build.ALL, Build.ONE_ANEW, *Build))),
                draw(st.integers(0, 3)),
                draw(st.booleans()),
            )
        )
    return tuple(runs)


# -- the ledger's rule ---------------------------------------------------------------------


@dataclass
class Counting:
    """Which contents count, by the ledger's rule: the last one that was delivered of a name.

    Delivered again while it counts, it is not loaded again.
    """

    case: DomainCase
    current: dict[tuple[str, str], File] = field(default_factory=dict)

    def deliver(self, file: File, load: int = 0) -> None:
        """Take note of a delivery in a load."""
        before = self.current.get((file.source, file.name))
        if before is None or self.case.content(before) != self.case.content(file):
            self.current[file.source, file.name] = file._replace(load=load)

    @property
    def files(self) -> list[File]:
        """Return the files that count."""
        return list(self.current.values())

    @property
    def ledger(self) -> Counter[tuple[str, str, str]]:
        """Return what the ledger must call `loaded`: source, name, hash."""
        return Counter(
            (file.source, file.name, hashlib.sha256(self.case.content(file)).hexdigest())
            for file in self.files
        )


# -- the warehouse -------------------------------------------------------------------------


@dataclass(frozen=True)
class Warehouse:
    """A home with the project of some domains, in one warm process."""

    settings: Settings
    contracts: Mapping[str, Contract]
    manifest: Manifest

    def drop(self, case: DomainCase, files: Iterable[File]) -> None:
        """Put files into landing; of two with one name the later one stays."""
        for file in files:
            path = self.settings.landing_folder / file.source / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(case.content(file))

    def incremental(self, case: DomainCase) -> list[str]:
        """Return the names of a domain's incremental models; others are always made anew."""
        return sorted(
            node.name
            for node in self.manifest.parsed.nodes.values()
            if node.config.materialized == "incremental"
            and case.domain in PurePath(node.original_file_path).parts
        )

    def followed(self, case: DomainCase) -> dict[str, Sequence[str]]:
        """Return the marts that builds of the incremental models keep right: those among them.

        All marts, where only what they are made from is incremental.
        """
        among = {name: case.marts[name] for name in self.incremental(case) if name in case.marts}
        return among or dict(case.marts)

    def build(self, *select: str, full_refresh: bool = False) -> None:
        """Build models and whatever they come from."""
        run_build(
            self.settings,
            select=select,
            exclude=[f"resource_type:{kind}" for kind in ("test", "unit_test", "seed", "snapshot")],
            full_refresh=full_refresh,
            manifest=self.manifest,
        ).require_green()

    def do(self, runs: Mapping[DomainCase, Run]) -> None:
        """Load and build as the runs of some domains say, all of them at once."""
        for case, run in runs.items():
            self.drop(case, run.files)
        load(self.settings, self.contracts)
        chosen, anew = [], []
        for case, run in runs.items():
            models = self.incremental(case)
            if not models:
                continue
            one = models[run.model % len(models)]
            match run.build:
                case Build.ALL:
                    chosen += [f"+{name}" for name in [*models, *self.followed(case)]]
                case Build.ONE:
                    chosen.append(one)
                case Build.ONE_ANEW:
                    anew.append(one)
        if chosen:
            self.build(*dict.fromkeys(chosen))
        if anew:
            self.build(*anew, full_refresh=True)
        if any(run.compacts for run in runs.values()):
            self.compact()

    def compact(self) -> None:
        """Move small inserts out of the catalogue into files, and merge the files."""
        eager = compaction._CROWDED.replace(f"> {compaction.MOST_FILES}", "> 1")
        with (
            lake.connect(self.settings) as opened,
            mock.patch.object(compaction, "_CROWDED", eager),
        ):
            opened.con.execute("call ducklake_flush_inlined_data('lake')")
            compaction.compact(opened)

    def rows(self, columns: Mapping[str, Sequence[str]]) -> Contents:
        """Return the rows of these marts, in these columns."""
        with lake.connect(self.settings) as opened:
            return {
                name: Counter(
                    _comparable(row)
                    for row in opened.rows(f"select {', '.join(listed)} from lake.marts.{name}")
                )
                for name, listed in columns.items()
            }

    def ledger(self) -> Counter[tuple[Any, ...]]:
        """Return what the ledger calls `loaded`."""
        query = "select source, file_name, file_sha256 from lake.meta.loads where status = 'loaded'"
        with lake.connect(self.settings) as opened:
            return Counter(opened.rows(query))


def _comparable(row: tuple[Any, ...]) -> tuple[Any, ...]:
    # Sums of doubles may differ in the last bits with the order in which they were added up.
    return tuple(round(value, 9) if isinstance(value, float) else value for value in row)


def expected_rows(case: DomainCase, files: Sequence[File]) -> Contents:
    """Return what the reference says of all marts, as `Warehouse.rows` returns it."""
    rows = case.reference(files)
    return {name: Counter(_comparable(tuple(row)) for row in rows[name]) for name in case.marts}


def require_same(found: Contents, expected: Contents, what: str) -> None:
    """Do nothing when all rows of the marts that were found are the same as expected.

    Raises:
        AssertionError: tells, per mart, the rows that are missing and those too many.
    """
    lines = []
    for name, rows in found.items():
        missing, surplus = expected[name] - rows, rows - expected[name]
        lines += [f"{name}: missing {_shown(row)} ×{n}" for row, n in missing.items()]
        lines += [f"{name}: too many {_shown(row)} ×{n}" for row, n in surplus.items()]
    assert not lines, f"{what}:\n" + "\n".join(sorted(lines))


def _shown(row: tuple[Any, ...]) -> str:
    return "(" + ", ".join(str(value) for value in row) + ")"
