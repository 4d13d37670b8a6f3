"""One look at the health of a warehouse: what is wrong with it, and what to do.

Changes nothing, takes no lock, and works on a home that is missing, empty or damaged.
"""

from collections.abc import Callable, Iterator
from functools import partial

import duckdb

from boathouse import lake, pulled
from boathouse.doctor import deep_checks, home_checks, lake_checks
from boathouse.doctor.findings import Diagnosis, Finding, Level, found
from boathouse.errors import LakeError
from boathouse.settings import Settings

__all__ = ["Diagnosis", "Finding", "Level", "diagnose"]


def diagnose(settings: Settings, *, is_deep: bool = False) -> Diagnosis:
    """Return what there is to say about lock, catalogue, files, release, versions and disk.

    With `is_deep` every file is read, which takes as long as reading them does.
    """
    return Diagnosis(str(settings.home_folder), tuple(_findings(settings, is_deep)))


def _findings(settings: Settings, is_deep: bool) -> Iterator[Finding]:
    yield from found(settings, "versions", home_checks.check_versions)
    yield from found(settings, "settings", home_checks.check_settings)
    yield from found(settings, "lock", lambda: lake_checks.check_lock(settings))
    if lake.has_catalog(settings):
        yield from found(settings, "catalogue", lambda: lake_checks.check_catalog_file(settings))
        yield from found(settings, "catalogue", lambda: _in_lake(settings, is_deep))
    elif pulled.source(settings):
        yield from found(settings, "catalogue", lambda: home_checks.check_pulled(settings))
    else:
        yield from found(settings, "catalogue", lambda: lake_checks.check_nothing(settings))
    yield from found(settings, "disk", lambda: home_checks.check_disk(settings))
    yield from found(settings, "release", lambda: home_checks.check_release(settings))
    yield from found(settings, "release", lambda: home_checks.check_pushed(settings))
    if is_deep:
        yield from found(settings, "release", lambda: deep_checks.check_releases(settings))
    yield from found(settings, "watch", lambda: home_checks.check_watch(settings))
    yield from found(settings, "landing", lambda: home_checks.check_landing(settings))


_Check = Callable[[lake.Lake, Settings], Iterator[Finding]]

_OF_LAKE: tuple[tuple[str, _Check], ...] = (
    ("lock", lake_checks.check_shared_lock),
    ("catalogue", lambda opened, _: lake_checks.check_catalog(opened)),
    ("catalogue", lake_checks.check_identity),
    ("catalogue", lake_checks.check_format),
    ("files", lake_checks.check_orphans),
    ("build", lake_checks.check_build),
    ("release", lake_checks.check_held_back),
    ("release", home_checks.check_release_snapshot),
)
_QUICK: tuple[tuple[str, _Check], ...] = (("files", lake_checks.check_files),)
_DEEP: tuple[tuple[str, _Check], ...] = (
    ("files", deep_checks.check_files),
    ("files", deep_checks.check_marts),
    ("archive", deep_checks.check_archive),
)


def _in_lake(settings: Settings, is_deep: bool) -> Iterator[Finding]:
    try:
        with lake.connect(settings, read_only=True) as opened:
            for area, check in (*_OF_LAKE, *(_DEEP if is_deep else _QUICK)):
                yield from found(settings, area, partial(check, opened, settings))
    except duckdb.Error as error:
        raise LakeError(
            f"The lake's catalogue cannot be read: {error}",
            hint="Put the last backup back: `boathouse restore <backup> --overwrite`.",
        ) from error
