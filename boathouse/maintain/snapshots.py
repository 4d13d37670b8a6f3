"""Which of the lake's snapshots stay, and letting the others go."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from boathouse.lake import Lake
from boathouse.release import list_releases
from boathouse.release.files import kept_ids
from boathouse.settings import Settings

# A run makes about ten, and DuckLake goes through all of them several times in each transaction.
KEPT_WHOLE = 1_000
MOST = 2_000
LEAST_EXPIRED = 500  # at a time
MOST_FOLLOWED = 10_000
_DAY = timedelta(days=1)
_SPACING_OF_A_DAY = timedelta(minutes=10)
_SPACING_BEFORE = timedelta(hours=1)


def thin(lake: Lake, settings: Settings) -> None:
    """Let snapshots expire as maintenance does, once there are so many that each costs time.

    Changes no row, and deletes no file: what no snapshot needs any more goes with the next
    maintenance.
    """
    count = "select count(*) from __ducklake_metadata_lake.ducklake_snapshot"
    if int(lake.value(count)) > MOST:
        expired, _ = expirable(lake, settings)
        if len(expired) >= LEAST_EXPIRED:
            expire(lake, expired)


def expirable(lake: Lake, settings: Settings) -> tuple[list[int], list[int]]:
    """Return the snapshots that may expire, and those that stay, oldest first.

    What stays: the newest, what kept releases show, and the newest ten thousand of those since the
    release that the next one will start from, which without the others has to compare rows; and of
    the last `BOATHOUSE_KEEP_SNAPSHOTS_DAYS` days the newest thousand, those that a model has read
    and compares its inputs with, and of the others the last one of every ten minutes in the last
    24 hours, of every hour before.
    """
    times = lake.rows(
        "select snapshot_id, snapshot_time from ducklake_snapshots('lake') order by 1"
    )
    now = datetime.now(UTC)
    oldest = now - timedelta(days=settings.keep_snapshots_days)
    needed = _released(lake, settings)
    since = _next_starts_from(settings)
    newest = times[-1][0]
    recent = {snapshot for snapshot, _ in times[-KEPT_WHOLE:]} | _read(lake) | spaced(times, now)
    first_followed = times[-MOST_FOLLOWED:][0][0]

    def stays(snapshot: int, time: datetime) -> bool:
        is_followed = since is not None and snapshot >= max(since, first_followed)
        is_recent = time >= oldest and snapshot in recent
        return snapshot == newest or is_recent or snapshot in needed or is_followed

    kept = [snapshot for snapshot, time in times if stays(snapshot, time)]
    return sorted({snapshot for snapshot, _ in times} - set(kept)), kept


def spaced(times: Iterable[tuple[int, datetime]], now: datetime) -> set[int]:
    """Return the last snapshot of every ten minutes of the last day, and of every hour before."""
    last: dict[tuple[timedelta, int], int] = {}
    for snapshot, time in times:
        spacing = _SPACING_OF_A_DAY if time >= now - _DAY else _SPACING_BEFORE
        last[spacing, int(time.timestamp() // spacing.total_seconds())] = snapshot
    return set(last.values())


def _read(lake: Lake) -> set[int]:
    rows = lake.rows("select distinct lake_snapshot from lake.meta.model_state")
    return {snapshot for (snapshot,) in rows}


def _released(lake: Lake, settings: Settings) -> set[int]:
    """Return the snapshots of kept releases.

    Other machines that share the catalogue keep releases in folders of their own: of these the
    ledger of releases tells, the newest ones count as kept.
    """
    noted = dict(
        lake.rows("select release_id, lake_snapshot from lake.meta.releases order by release_id")
    )
    ids = [*kept_ids(settings), *list(noted)[-settings.releases_kept :]]
    told = {each.lake_snapshot for each in list_releases(settings)}
    return told | {noted[release_id] for release_id in ids if release_id in noted}


def _next_starts_from(settings: Settings) -> int | None:
    kept = list_releases(settings)
    starts = [each.lake_snapshot for each in kept if each.is_current]
    starts += [each.lake_snapshot for each in kept[:1]]
    return min(starts, default=None)


def expire(lake: Lake, snapshots: list[int]) -> None:
    """Forget snapshots; files that only they need are noted as no longer used."""
    if snapshots:
        lake.con.execute(f"call ducklake_expire_snapshots('lake', versions => {snapshots})")
