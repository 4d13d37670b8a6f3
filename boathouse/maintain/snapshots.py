"""Which of the lake's snapshots stay, and letting the others go."""

from datetime import UTC, datetime, timedelta

from boathouse.lake import Lake
from boathouse.release import list_releases
from boathouse.release.files import kept_ids
from boathouse.settings import Settings


def expirable(lake: Lake, settings: Settings) -> tuple[list[int], list[int]]:
    """Return the snapshots that may expire, and those that stay, oldest first.

    What stays: the newest, the last `BOATHOUSE_KEEP_SNAPSHOTS_DAYS` days, what kept releases
    show, and everything since the release that the next one will start from.
    """
    times = lake.rows(
        "select snapshot_id, snapshot_time from ducklake_snapshots('lake') order by 1"
    )
    oldest = datetime.now(UTC) - timedelta(days=settings.keep_snapshots_days)
    needed = _released(lake, settings)
    since = _next_starts_from(settings)
    newest = times[-1][0]

    def stays(snapshot: int, time: datetime) -> bool:
        is_followed = since is not None and snapshot >= since
        return snapshot == newest or time >= oldest or snapshot in needed or is_followed

    kept = [snapshot for snapshot, time in times if stays(snapshot, time)]
    return sorted({snapshot for snapshot, _ in times} - set(kept)), kept


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
