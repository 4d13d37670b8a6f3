"""The files that the lake's catalogue refers to: where they are and how large they must be."""

from dataclasses import dataclass
from pathlib import Path

from boathouse.lake import Lake
from boathouse.settings import Settings
from boathouse.sql import literal

# A table that was renamed or altered has several entries; all of them give the same folder.
_REFERENCED = """
    with tables as (
        select
            tables.table_id,
            any_value(schemas.schema_name) as schema_name,
            max_by(tables.table_name, tables.begin_snapshot) as table_name,
            any_value(
                case when tables.path_is_relative then
                    case when schemas.path_is_relative then {data_path} else '' end
                    || schemas.path
                else '' end
                || tables.path
            ) as folder
        from __ducklake_metadata_lake.ducklake_table as tables
        inner join __ducklake_metadata_lake.ducklake_schema as schemas
            on tables.schema_id = schemas.schema_id
        group by tables.table_id
    ),

    files as (
        select
            table_id,
            path,
            path_is_relative,
            file_size_bytes,
            record_count,
            end_snapshot is null as is_current
        from __ducklake_metadata_lake.ducklake_data_file
        union all
        select
            table_id,
            path,
            path_is_relative,
            file_size_bytes,
            delete_count,
            end_snapshot is null
        from __ducklake_metadata_lake.ducklake_delete_file
    )

    select
        tables.schema_name || '.' || tables.table_name,
        case when files.path_is_relative then tables.folder else '' end || files.path,
        files.file_size_bytes,
        files.record_count,
        files.is_current
    from files
    inner join tables on files.table_id = tables.table_id
    order by all
"""


@dataclass(frozen=True)
class LakeFile:
    """A Parquet file of rows, or of deleted rows."""

    table: str  # schema.table
    path: str  # absolute, or an object's address
    size: int  # bytes
    rows: int
    is_current: bool  # else only earlier snapshots need it


@dataclass(frozen=True)
class Damaged:
    """A file that is not as it was written, and how."""

    file: LakeFile
    said: str

    def __str__(self) -> str:
        return f"{self.file.table}: {self.file.path}: {self.said}"


def is_local(settings: Settings) -> bool:
    """Return whether the lake's files lie in a folder and not in an object store."""
    return "://" not in settings.data_path


def referenced(lake: Lake, settings: Settings) -> list[LakeFile]:
    """Return every file that some snapshot of the lake needs, by table."""
    folder = settings.data_path.rstrip("/") + "/"
    query = _REFERENCED.format(data_path="'" + folder.replace("'", "''") + "'")
    return [LakeFile(*row) for row in lake.rows(query)]


def damaged(files: list[LakeFile]) -> list[Damaged]:
    """Return the local files that are missing or have another size."""
    found = []
    for file in files:
        try:
            size = Path(file.path).stat().st_size
        except OSError as error:
            found.append(Damaged(file, str(error.strerror)))
            continue
        if size != file.size:
            found.append(Damaged(file, f"{size:,} bytes, not {file.size:,}"))
    return found


def damaged_objects(lake: Lake, settings: Settings, files: list[LakeFile]) -> list[Damaged]:
    """Return the files in an object store that are missing or have another size.

    The store lists names and sizes; no object is read.
    """
    everything = literal(settings.data_path.rstrip("/") + "/**/*.parquet")
    sizes = dict(lake.rows(f"select filename, size from read_blob({everything})"))
    return [
        Damaged(file, f"{sizes[file.path]:,} bytes, not {file.size:,}")
        if file.path in sizes
        else Damaged(file, "it is not there")
        for file in files
        if sizes.get(file.path) != file.size
    ]
