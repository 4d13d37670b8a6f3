"""Keeping the lake's files few, so that the cost of a day does not grow with the days before.

Every load and every incremental build adds small Parquet files, and files of deleted rows. A
table that has gathered enough of them is merged, and what has been merged once is large enough
not to be touched again: every row is rewritten a few times in its life, whatever the history.
"""

from dataclasses import dataclass

from boathouse.lake import Lake
from boathouse.settings import MIB
from boathouse.sql import literal

SMALL_FILE_BYTES = 8 * MIB
MOST_FILES = 32
# A file is written anew when at least this share of its rows is deleted: the rows that a day's
# late data changes in the files of the days before, not one old row in a large file.
DELETED_SHARE = 0.005

_CROWDED = f"""
    with files as (
        select
            files.table_id,
            files.file_size_bytes < {SMALL_FILE_BYTES}
                and deletes.delete_count is null as is_mergeable,
            coalesce(deletes.delete_count, 0)
                >= {DELETED_SHARE} * files.record_count
                and deletes.delete_count is not null as has_many_deletes
        from __ducklake_metadata_lake.ducklake_data_file as files
        left join __ducklake_metadata_lake.ducklake_delete_file as deletes
            on files.data_file_id = deletes.data_file_id and deletes.end_snapshot is null
        where files.end_snapshot is null
    )

    select
        schemas.schema_name,
        tables.table_name,
        count(*) filter (files.is_mergeable) as mergeable_files,
        count(*) filter (files.has_many_deletes) as rewritable_files
    from files
    inner join __ducklake_metadata_lake.ducklake_table as tables
        on files.table_id = tables.table_id and tables.end_snapshot is null
    inner join __ducklake_metadata_lake.ducklake_schema as schemas
        on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
    group by schemas.schema_name, tables.table_name
    having mergeable_files > {MOST_FILES} or rewritable_files > {MOST_FILES}
    order by schemas.schema_name, tables.table_name
"""


@dataclass(frozen=True)
class Crowded:
    """A table with many small files, or many files with deleted rows."""

    schema: str
    table: str
    mergeable_files: int
    rewritable_files: int


def crowded(lake: Lake) -> list[Crowded]:
    """Return the tables that would be faster to read after compaction."""
    return [Crowded(*row) for row in lake.rows(_CROWDED)]


def compact(lake: Lake) -> list[Crowded]:
    """Merge the files of crowded tables and return what was merged; changes no row.

    Called by the one writer, right after a release, so that no change the next release has to
    follow lies in files that are rewritten here.
    """
    found = crowded(lake)
    for each in found:
        table, schema = literal(each.table), literal(each.schema)
        lake.con.execute(
            f"call ducklake_rewrite_data_files('lake', {table}, schema => {schema}, "
            f"delete_threshold => {DELETED_SHARE})"
        )
        lake.con.execute(
            f"call ducklake_merge_adjacent_files('lake', {table}, schema => {schema}, "
            f"max_file_size => {SMALL_FILE_BYTES})"
        )
    return found
