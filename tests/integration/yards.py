"""A yard: a temporary project with contracts of its own and an empty home.

`Yard.load` is how these tests load: it checks after every load what must always hold. The checks
are in `check_promises`, for tests that load in other processes.
"""

import atexit
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import duckdb
import yaml

from boathouse import catalog, lake
from boathouse.contracts import Contract, load_contracts
from boathouse.ingest.disposal import EARLIER, REASON_SUFFIX, reason_path
from boathouse.ingest.ledger import REPLAY
from boathouse.ingest.loader import load
from boathouse.ingest.quarantine import replay
from boathouse.ingest.report import LoadReport
from boathouse.lake import Lake
from boathouse.settings import Settings
from boathouse.sql import identifier, literal

SOURCE = "things"
COLUMNS: dict[str, Any] = {"id": "bigint!", "name": "varchar", "amount": "double"}


@dataclass(frozen=True)
class Reject:
    """A rejected row."""

    row: int
    reasons: list[str]
    text: str


class Yard:
    """Things to load, and what became of them."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = Settings(
            **{
                "project": folder / "project",
                "home": folder / "data",
                "settle_seconds": 0,
                "threads": 2,
                **settings,
            }
        )
        is_plain = not settings.keys() & {"home", "catalog", "lake"}
        self._is_new = is_plain and not self.settings.home_folder.exists()
        self.settings.project.mkdir(parents=True, exist_ok=True)
        (self.settings.project / "dbt_project.yml").touch()

    def source(
        self,
        name: str = SOURCE,
        columns: Mapping[str, Any] | None = None,
        **landing: Any,
    ) -> "Yard":
        """Write a contract: a column is its type (`!` for not null) or a list of type and tests.

        A type may be followed by ` from ` and what `from` says.
        """
        listed = []
        for column, given in (columns or COLUMNS).items():
            kind, *tests = given if isinstance(given, list) else [given]
            kind, _, header = kind.partition(" from ")
            if kind.endswith("!"):
                kind, tests = kind[:-1], ["not_null", *tests]
            entry = {"name": column, "data_type": kind, "data_tests": tests}
            if header:
                entry["config"] = {"meta": {"from": yaml.safe_load(header)}}
            listed.append(entry)
        landing = {"files": "*", "format": "csv", **landing}
        table = {"name": name, "config": {"meta": {"landing": landing}}, "columns": listed}
        path = self.settings.project / "models" / "staging" / name / f"_{name}__sources.yml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump({"sources": [{"name": "raw", "tables": [table]}]}))
        return self

    @property
    def contracts(self) -> dict[str, Contract]:
        return load_contracts(self.settings.project)

    def path(self, name: str, source: str = SOURCE) -> Path:
        path = self.settings.landing_folder / source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def deliver(self, name: str, content: str | bytes, source: str = SOURCE) -> Path:
        path = self.path(name, source)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def load(self, source: str | None = None, *, leaves: Sequence[str] = ()) -> LoadReport:
        """Load, and check that all promises were kept; `leaves` may stay in landing."""
        if self._is_new and not lake.has_catalog(self.settings):
            shutil.copytree(_empty_home(), self.settings.home_folder, dirs_exist_ok=True)
        self._is_new = False
        with quick_connections():
            report = load(self.settings, self.contracts, sources=(source,) if source else ())
        check_promises(self.settings, leaves)
        return report

    def replay(self) -> LoadReport:
        with quick_connections():
            report = replay(self.settings, self.contracts)
        check_promises(self.settings)
        return report

    def rows(self, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with opened(self.settings) as reader:
            return reader.con.execute(query, parameters).fetchall()

    def raw(self, columns: str = "*", source: str = SOURCE) -> list[tuple[Any, ...]]:
        return self.rows(
            f"select {columns} from lake.raw.{identifier(source)} order by _load_id, _file, _row"
        )

    def rows_of(self, columns: str, sources: Iterable[str]) -> dict[str, list[tuple[Any, ...]]]:
        """Return what `raw` returns, for each of many sources."""
        with opened(self.settings) as reader:
            return rows_of(reader, "raw", columns, sources)

    def ledger(self, source: str = SOURCE) -> list[tuple[str, str, int, int]]:
        """Return name, status, rows loaded and rows rejected of every ledger row."""
        return self.rows(
            "select file_name, status, rows_loaded, rows_rejected from lake.meta.loads "
            "where source = ? order by load_id, file_name",
            [source],
        )

    def reason(self, name: str, source: str = SOURCE) -> str:
        """Return the reason of a file's newest ledger row."""
        return self.rows(
            "select coalesce(reason, '') from lake.meta.loads "
            "where source = ? and file_name = ? order by load_id desc limit 1",
            [source, name],
        )[0][0]

    def rejects(self, name: str | None = None, source: str = SOURCE) -> list[Reject]:
        return [
            Reject(*row)
            for row in self.rows(
                "select row_number, reasons, raw_row from lake.meta.rejected_rows "
                "where source = ? and (? is null or file_name = ?) order by load_id, row_number",
                [source, name, name],
            )
        ]

    def rejected_file(self, name: str, source: str = SOURCE) -> Path:
        return self.settings.rejected / source / name


@cache
def _empty_home() -> Path:
    """Return a home whose lake has nothing but our own tables, which take half a second to make."""
    folder = TemporaryDirectory()
    atexit.register(folder.cleanup)
    home = Path(folder.name) / "data"
    settings = Settings(project=home, home=home, settle_seconds=0)
    with quick_connections(), lake.connect(settings) as opened:
        catalog.ensure(opened, {})
    return home


@cache
def _engine() -> duckdb.DuckDBPyConnection:
    """Return the one DuckDB of all tests in this process: loading its extensions takes long."""
    return duckdb.connect()


@contextmanager
def opened(settings: Settings) -> Iterator[Lake]:
    """Open a lake for reading."""
    with quick_connections(), lake.connect(settings) as reader:
        yield reader


@contextmanager
def quick_connections() -> Iterator[None]:
    """Let the code under test open lakes in the one DuckDB, instead of starting another."""
    quick = SimpleNamespace(**{**vars(duckdb), "connect": lambda **_: _Connection()})
    with patch.object(lake, "duckdb", quick):
        yield


class _Connection:
    """A connection of the one DuckDB that takes its lake with it when it is closed."""

    def __init__(self) -> None:
        self._cursor = _engine().cursor()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def close(self) -> None:
        self._cursor.close()
        _engine().execute("detach database if exists lake")


def rows_of(
    reader: Lake, schema: str, columns: str, sources: Iterable[str]
) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of each source's table in a schema, in their order, by one query."""
    found: dict[str, list[tuple[Any, ...]]] = {source: [] for source in sources}
    query = " union all ".join(
        f"(select {literal(source)}, {columns} from lake.{schema}.{identifier(source)} "
        "order by _load_id, _file, _row)"
        for source in found
    )
    for source, *row in reader.rows(query) if found else []:
        found[source].append(tuple(row))
    return found


def check_promises(settings: Settings, leaves: Sequence[str] = ()) -> None:
    """Check what must hold after every load, whatever was loaded."""
    with opened(settings) as reader:
        reader.con.execute("begin transaction")  # or each query looks for the newest state again
        loads = reader.rows(
            "select load_id, source, file_name, file_sha256, rows_read, rows_loaded, "
            "rows_rejected, status, coalesce(reason, '') from lake.meta.loads order by load_id"
        )
        rejects: dict[tuple[int, str, str], list[int]] = {}
        for load_id, source, name, row, reasons, text in reader.rows(
            "select load_id, source, file_name, row_number, reasons, raw_row "
            "from lake.meta.rejected_rows"
        ):
            assert reasons, f"{name}, row {row}: rejected without a reason"
            assert text is not None, f"{name}, row {row}: rejected without its text"
            rejects.setdefault((load_id, source, name), []).append(row)
        kept: dict[tuple[int, str, str], list[int]] = {}
        sources = {source for _, source, *_ in loads}
        for schema in ("raw", "replaced"):
            for source, rows in rows_of(reader, schema, "_load_id, _file, _row", sources).items():
                for load_id, name, row in rows:
                    kept.setdefault((load_id, source, name), []).append(row)
    for load_id, source, name, digest, read, loaded, rejected, status, reason in loads:
        key = (load_id, source, name)
        is_replay = reason.startswith(REPLAY)
        good, bad = kept.pop(key, []), rejects.pop(key, [])
        assert read == loaded + rejected, f"{name}: {read} read, {loaded} + {rejected} accounted"
        assert len(good) == loaded, f"{name}: {loaded} in the ledger, {len(good)} in raw"
        assert len(bad) == rejected, f"{name}: {rejected} in the ledger, {len(bad)} among rejects"
        if status in ("rejected", "duplicate"):
            assert reason, f"{name} is {status} without a reason"
            assert read == 0
        elif not is_replay:
            assert sorted(good + bad) == list(range(1, read + 1)), f"{name}: rows not numbered"
        if status != "rejected" and not is_replay:
            original = settings.archive_folder / source / str(load_id) / name
            assert sha256(original.read_bytes()).hexdigest() == digest, f"{name}: not archived"
    assert not kept, f"rows in raw of which the ledger knows nothing: {kept}"
    assert not rejects, f"rejected rows of which the ledger knows nothing: {rejects}"
    _check_rejected_files(settings, loads)
    left = {
        path.relative_to(settings.landing_folder).as_posix()
        for path in _files(settings.landing_folder)
    }
    assert left == set(leaves), f"left in landing: {left}"
    assert not _files(settings.work / "load"), "the work folder was not tidied up"


def _check_rejected_files(settings: Settings, loads: list[tuple[Any, ...]]) -> None:
    known = {
        (load_id, source, name): (digest, reason)
        for load_id, source, name, digest, *_, status, reason in loads
        if status == "rejected"
    }
    files = [path for path in _files(settings.rejected) if not path.name.endswith(REASON_SUFFIX)]
    for path in files:
        note = json.loads(reason_path(path).read_text())
        key = (note["load_id"], note["source"], note["file_name"])
        assert known[key] == (note["file_sha256"], note["reason"])
        assert "boathouse quarantine replay" in note["what_to_do"]
        if path.is_file() and not path.is_symlink():
            assert sha256(path.read_bytes()).hexdigest() == note["file_sha256"]
        parts = path.relative_to(settings.rejected / note["source"]).parts
        place = (EARLIER, str(note["load_id"])) if parts[0] == EARLIER else ()
        assert "/".join(parts[len(place) :]) == note["file_name"]
    reasons = [path for path in _files(settings.rejected) if path.name.endswith(REASON_SUFFIX)]
    assert len(reasons) == len(files), "a rejected file without a reason, or the reverse"


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]
