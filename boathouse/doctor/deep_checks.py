"""What only reading everything tells: rows that a disk has changed, and originals that have gone.

Sizes and row counts, which the other checks look at, stay as they were when a disk loses bits.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import duckdb

from boathouse import lake_files
from boathouse.doctor.findings import Finding
from boathouse.doctor.lake_checks import find_damaged, tell_damaged
from boathouse.ingest import ledger, originals
from boathouse.lake import Lake
from boathouse.lake_files import Damaged, LakeFile
from boathouse.release import current_release, damage, list_releases, readers
from boathouse.release.about import Written, read_base
from boathouse.release.contents import MARTS, checksum_of
from boathouse.settings import ENVIRONMENT_FILE, Settings
from boathouse.sql import identifier, literal

_SHOWN = 3
_ARCHIVED = f"""
    select source, load_id, file_name, file_sha256
    from lake.meta.loads
    where
        status in ('loaded', 'replaced')
        and not starts_with(coalesce(reason, ''), {literal(ledger.REPLAY)})
    order by all
"""


def check_releases(settings: Settings) -> Iterator[Finding]:
    """Read the kept releases with their look-ups, and what everybody else opens."""
    kept = list_releases(settings)
    is_well = True
    for info in kept:
        for said in damage.of_release(info):
            is_well = False
            to_do = (
                "`boathouse release` writes it anew from the lake."
                if info.is_current
                else f"Nobody sees it, and `boathouse rollback` refuses it: delete {info.path}."
            )
            yield Finding(
                "release", "problem", f"Release {info.release_id} is damaged: {said}.", to_do
            )
    current = current_release(settings)
    if current is not None and not readers.is_as_released(settings, current.path, is_deep=True):
        is_well = False
        yield Finding(
            "release",
            "problem",
            f"{settings.warehouse} is not the copy of release {current.release_id} that it was.",
            "`boathouse release` gives everybody a new one.",
        )
    if is_well:
        yield Finding("release", "ok", f"All rows of {len(kept)} kept releases are as written.")


def check_files(opened: Lake, settings: Settings) -> Iterator[Finding]:
    """Read every file of the lake."""
    files = lake_files.referenced(opened, settings)
    damaged = find_damaged(opened, settings, files)
    known = {each.file for each in damaged}
    damaged += [
        Damaged(file, said)
        for file in files
        if file not in known and (said := _unreadable(opened, file))
    ]
    yield from tell_damaged(damaged, len(files))
    if not damaged:
        rows = sum(file.rows for file in files)
        yield Finding("files", "ok", f"All {len(files):,} files can be read ({rows:,} rows).")


def _unreadable(opened: Lake, file: LakeFile) -> str:
    """Return why not all rows of a file can be read, empty when they can."""
    try:
        # The sum makes DuckDB decode every value.
        rows, _ = opened.rows(
            f"select count(*), sum(hash(it)) from read_parquet({literal(file.path)}) as it"
        )[0]
    except duckdb.Error as error:
        return str(error).partition("\n")[0]
    return "" if rows == file.rows else f"{rows:,} rows, not {file.rows:,}"


def check_marts(opened: Lake, settings: Settings) -> Iterator[Finding]:
    """Compare the marts that were released with what the lake says that they were then.

    Parquet has no checksums here: a value that has become another one can be read all the same.
    """
    current = current_release(settings)
    base = read_base(current) if current is not None else None
    if base is None or opened.snapshot_time(base.lake_snapshot) is None:
        return
    marts = [
        each
        for each in base.written.values()
        if each.schema_name == MARTS and None not in (each.table_id, each.checksum)
    ]
    wrong = [each.name for each in marts if not _is_as_released(opened, each, base.lake_snapshot)]
    for name in wrong:
        yield Finding(
            "files",
            "problem",
            f"marts.{name} has other rows in the lake than release {base.release_id} was made "
            "from: one of the two was changed.",
            f"`boathouse build --full-refresh --select {name}` and `boathouse release` make both "
            "anew.",
        )
    if not wrong:
        told = f"{len(marts)} marts have the rows that were released."
        yield Finding("files", "ok", told)


def _is_as_released(opened: Lake, written: Written, snapshot: int) -> bool:
    table = f"lake.{MARTS}.{identifier(written.name)} at (version => {snapshot})"
    try:
        checksum = checksum_of(column for column, *_ in opened.rows(f"describe from {table}"))
        query = f"select count(*), {checksum} from {table}"
        return opened.rows(query) == [(written.rows, written.checksum)]
    except duckdb.Error:
        return True  # a file that cannot be read was told already


def check_archive(opened: Lake, settings: Settings) -> Iterator[Finding]:
    """Hold every archived original against the checksum that the ledger has of it."""
    if (settings.home_folder / ENVIRONMENT_FILE).exists():
        return  # originals stay in the home that it was made from
    missing, changed, count = [], [], 0
    for source, load_id, name, sha256 in opened.rows(_ARCHIVED):
        path = originals.path(settings, source, load_id, name)
        waiting = settings.landing_folder / source / name  # its load was killed before it was moved
        found = _sha256(path) or _sha256(waiting)
        found = found or originals.sha256(settings, source, load_id, name)
        count += 1
        if not found:
            missing.append(str(path))
        elif found != sha256:
            changed.append(str(path))
    lost = "Its rows are in the lake, but it can be neither replayed nor loaded again: "
    if changed:
        yield Finding(
            "archive",
            "problem",
            f"{_count(changed)} not what was loaded: {_some(changed)}.",
            f"{lost}put it back from a backup.",
        )
    if missing:
        yield Finding(
            "archive",
            "warning",
            f"{_count(missing)} no longer there: {_some(missing)}.",
            f"{lost}if nobody deleted it on purpose, put it back from a backup.",
        )
    if not changed and not missing:
        yield Finding("archive", "ok", f"All {count:,} originals are as they were loaded.")


def _sha256(path: Path) -> str:
    """Return the checksum of a file as the ledger has it, empty when it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return error.strerror or type(error).__name__  # a disk that cannot read it any more


def _count(paths: list[str]) -> str:
    return "1 original is" if len(paths) == 1 else f"{len(paths):,} originals are"


def _some(paths: list[str]) -> str:
    return ", ".join(paths[:_SHOWN]) + (" …" if len(paths) > _SHOWN else "")
