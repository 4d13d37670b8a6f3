select
    release.release_id,
    release.released_at,
    release.lake_snapshot,
    release.lake_snapshot_time,
    release.build_id,
    builds.command,
    release.boathouse_version,
    release.duckdb_version
from meta.release as release
left join meta.builds as builds on release.build_id = builds.build_id
