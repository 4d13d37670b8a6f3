"""What readers see, what waits, and what everything stands on: versions and disk."""

import platform
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path

import duckdb
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from boathouse import disk, heartbeat, lake_files, pulled
from boathouse.contracts import load_contracts
from boathouse.doctor.findings import Finding
from boathouse.ingest import deliveries
from boathouse.ingest.disposal import EARLIER, REASON_SUFFIX
from boathouse.lake import Lake
from boathouse.release import ReleaseInfo, current_release, damage, list_releases, readers
from boathouse.release.about import read_base
from boathouse.release.files import kept_ids
from boathouse.release.store import Store
from boathouse.settings import MIB, Settings, mistyped_variables

_LEAST_FREE = 200 * MIB
_LONG_SECONDS = 3600
# Of the home, what can grow without end.
_PARTS = (
    "archive",
    "releases",
    "readers",
    "rejected",
    "backups",
    "environments",
    "dagster",
    "work",
)
_LONGEST_STEP_MINUTES = 10


def check_release(settings: Settings) -> Iterator[Finding]:
    """Look whether the released file is a release, and holds what it says it holds."""
    kept = {each.release_id for each in list_releases(settings)}
    broken = sorted(set(kept_ids(settings)) - kept)
    if broken:
        yield Finding(
            "release",
            "problem",
            f"Kept releases that cannot be read: {', '.join(map(str, broken))}.",
            f"Delete these files from {settings.releases_folder}, or restore a backup.",
        )
    current = current_release(settings)
    if current is None:
        yield Finding("release", "warning", "Nothing was released yet.", "Run `boathouse run`.")
        return
    base = read_base(current)
    written = base.written.values() if base else ()
    wrong = damage.of_tables(current.path, written, is_deep=False)
    if base is None or wrong or current.release_id not in kept:
        yield Finding(
            "release",
            "problem",
            f"{current.path} is not what release {current.release_id} was"
            + (f": {', '.join(wrong)}." if wrong else "."),
            "`boathouse release` writes it anew from the lake; `boathouse rollback` shows an "
            "earlier one.",
        )
        return
    spoilt = list(_check_readers(settings, current))
    if spoilt:
        yield from spoilt
        return
    yield Finding(
        "release",
        "ok",
        f"Readers see release {current.release_id} of {current.released_at:%Y-%m-%d %H:%M} UTC.",
    )


def _check_readers(settings: Settings, current: ReleaseInfo) -> Iterator[Finding]:
    """Look whether anybody keeps other clients from the current release, or has changed theirs."""
    put_right = (
        "the next `boathouse run` or `boathouse release` gives everybody else a clean copy. The "
        "release itself, the API and the dashboard are untouched."
    )
    writer = readers.writer(settings)
    if writer is not None:
        yield Finding(
            "release",
            "problem",
            f"{settings.warehouse} is open for writing by {writer}: no other client can open it, "
            "and what is written there is lost.",
            "Close it there and open it read-only (`duckdb -readonly`, `read_only=True`); "
            + put_right,
        )
    elif not readers.is_as_released(settings, current.path):
        yield Finding(
            "release",
            "problem",
            f"{settings.warehouse} was changed, or lost, since release {current.release_id} was "
            "put there.",
            f"Keep tables of your own in another file and attach this one; {put_right}",
        )


def check_pulled(settings: Settings) -> Iterator[Finding]:
    """Say that there is no lake here, and need not be."""
    told = f"This home has no lake: it pulls its releases from {pulled.source(settings)}."
    yield Finding("catalogue", "ok", told)


def check_pushed(settings: Settings) -> Iterator[Finding]:
    """Look whether those who pull releases are shown the one that readers see here."""
    current = current_release(settings)
    if not settings.releases or current is None:
        return
    there = Store(settings).current()
    if there is not None and there.stored.release_id == current.release_id:
        told = f"{settings.releases} shows it, too."
        yield Finding("release", "ok", told)
        return
    command = "pull" if pulled.source(settings) else "run"
    shown = f"release {there.stored.release_id}" if there is not None else "no release"
    yield Finding(
        "release",
        "warning",
        f"{settings.releases} shows {shown}, and readers here see release {current.release_id}.",
        f"`boathouse {command}` brings the newest; after a rollback elsewhere it is as it should "
        "be.",
    )


def check_release_snapshot(opened: Lake, settings: Settings) -> Iterator[Finding]:
    """Look whether the lake still has what the released file was made from."""
    current = current_release(settings)
    if current is None:
        return
    if opened.snapshot_time(current.lake_snapshot) is None:
        yield Finding(
            "release",
            "warning",
            f"The lake no longer has snapshot {current.lake_snapshot}, which release "
            f"{current.release_id} shows.",
            "The next release compares every mart; nothing else is lost.",
        )


def check_versions() -> Iterator[Finding]:
    """Hold what is installed against what Boathouse asks for."""
    try:
        asked = [Requirement(line) for line in requires("boathouse") or []]
        python = str(metadata("boathouse")["Requires-Python"])
    except PackageNotFoundError:
        yield Finding("versions", "warning", "Boathouse is not installed.", "Run `make warehouse`.")
        return
    wrong = [told for each in asked if (told := _wrong_version(each))]
    if not SpecifierSet(python).contains(platform.python_version(), prereleases=True):
        wrong.append(f"Python {platform.python_version()}, not {python}")
    if wrong:
        yield Finding(
            "versions",
            "problem",
            f"Installed is {'; '.join(wrong)}.",
            "`make warehouse` installs what requirements.lock says.",
        )
        return
    parts = ("dbt-core", "dbt-duckdb", "duckdb-extension-ducklake")
    told = ", ".join(f"{name} {version(name)}" for name in parts)
    yield Finding(
        "versions",
        "ok",
        f"Python {platform.python_version()}, DuckDB {duckdb.__version__}, {told}, and all others "
        "as asked for.",
    )


def _wrong_version(asked: Requirement) -> str:
    if asked.marker is not None and not asked.marker.evaluate():
        return ""
    try:
        installed = version(asked.name)
    except PackageNotFoundError:
        return f"no {asked.name}, which must be {asked.specifier}"
    if asked.specifier.contains(installed, prereleases=True):
        return ""
    return f"{asked.name} {installed}, not {asked.specifier}"


def check_settings() -> Iterator[Finding]:
    """Look for settings that do not count since their names are mistyped."""
    for given, meant in mistyped_variables().items():
        yield Finding(
            "settings", "warning", f"{given} is no setting.", f"If it is to count, write {meant}."
        )


def check_disk(settings: Settings) -> Iterator[Finding]:
    """Look whether the lake could be written once more, and say what takes how much."""
    home, local = settings.home_folder, lake_files.is_local(settings)
    size = disk.used([Path(settings.data_path)]) if local else 0
    places = [home, *([Path(settings.data_path)] if local else [])]
    if settings.catalog_file is not None:
        places.append(settings.catalog_file)
    disks = {found.mount: found for found in map(disk.of, places)}
    parts = {name: disk.used([home / name]) for name in _PARTS}
    shown = ", ".join(f"{name} {disk.shown(taken)}" for name, taken in parts.items() if taken)
    told = f"{'; '.join(map(str, disks.values()))}."
    told += f" The lake's files take {disk.shown(size)}." if local else ""
    told += f" In the home: {shown}." if shown else ""
    least = min(found.free for found in disks.values())
    if least < _LEAST_FREE or not all(found.has_files_left for found in disks.values()):
        to_do = "Make room: old backups, archive/ and releases/ are the first to look at."
        yield Finding("disk", "problem", told, to_do)
    elif least < size:
        yield Finding("disk", "warning", told, "A full refresh needs as much as the lake has.")
    else:
        yield Finding("disk", "ok", told)


def check_watch(settings: Settings) -> Iterator[Finding]:
    """Look whether a watch that was not told to end lives."""
    beaten = heartbeat.last_beat(settings)
    if beaten is None:
        return
    minutes = (time.time() - beaten) / 60
    if minutes > _LONGEST_STEP_MINUTES:
        yield Finding(
            "watch",
            "warning",
            f"`boathouse watch` has given no sign of life for {minutes:,.0f} minutes.",
            "If no step of a build takes that long, it was killed or hangs: start it again.",
        )
    else:
        yield Finding("watch", "ok", "`boathouse watch` lives.")


def check_landing(settings: Settings) -> Iterator[Finding]:
    """Look for deliveries that nobody loads, and rejected files that nobody mends."""
    now = settings.model_copy(update={"settle_seconds": 0})
    waiting = deliveries.find(now, load_contracts(settings.project))
    oldest = time.time_ns() - _LONG_SECONDS * 1_000_000_000
    old = [f for files in waiting.by_source.values() for f in files if f.modified_ns < oldest]
    if old:
        yield Finding(
            "landing",
            "warning",
            f"{len(old)} files have waited for more than an hour, {old[0].source}/{old[0].name} "
            "among them.",
            "`boathouse run` loads them; `boathouse watch` loads files when they come.",
        )
    if waiting.unknown:
        yield Finding(
            "landing",
            "warning",
            f"No source takes landing/{waiting.unknown[0]}"
            + (f", nor {len(waiting.unknown) - 1} more." if waiting.unknown[1:] else "."),
            "Put it into its source's folder, or set one up with `boathouse source new`.",
        )
    if waiting.trouble is not None:
        yield Finding("landing", "problem", waiting.trouble.message, waiting.trouble.hint)
    rejected = _rejected(settings)
    if rejected:
        yield Finding(
            "landing",
            "warning",
            f"{rejected} files were refused and wait in {settings.rejected}.",
            "`boathouse quarantine list` says why; after a fix, `boathouse quarantine replay`.",
        )
    if not (old or waiting.unknown or waiting.trouble or rejected):
        yield Finding("landing", "ok", f"{waiting.count} files wait, none for long.")


def _rejected(settings: Settings) -> int:
    files = (path for path in settings.rejected.glob("*/**/*") if path.is_file())
    return sum(
        not path.name.endswith(REASON_SUFFIX)
        and EARLIER not in path.relative_to(settings.rejected).parts
        for path in files
    )
