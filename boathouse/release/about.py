"""Schema `meta` of a released file: what the release is, and what it shows of the lake's `meta`.

`release` is one row about the file itself; `contents` says of every table in it how it came
there, which is what the next release starts from; `sources` says how fresh each source should be,
`keys` by which columns a test finds each row of a mart to be another. The rest are copies for
readers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from boathouse import __version__, identity
from boathouse.build.blockers import LATEST
from boathouse.build.report import INTERRUPTED
from boathouse.contracts import Contract
from boathouse.release import lookups
from boathouse.release.opened import opened
from boathouse.release.report import ReleaseInfo
from boathouse.sql import constant, first_row, literal, row

BUILDS_SHOWN = 50


@dataclass(frozen=True)
class Written:
    """What a released file says of one of its tables or macros."""

    schema_name: str
    name: str
    table_id: int | None  # of the lake's table that it was written from
    columns: list[str]  # name and type of each
    sorted_by: list[str]
    rows: int
    checksum: int | None  # of all rows, in any order; None when this engine counts differently
    changed_rows: int  # written since the table was last written as a whole
    definition: str | None  # the statement that makes a macro


_CONTENTS = """
    create or replace table released.meta.contents (
        schema_name varchar,
        name varchar,
        table_id bigint,
        columns varchar[],
        sorted_by varchar[],
        rows bigint,
        checksum hugeint,
        changed_rows bigint,
        definition varchar
    )
"""


_SOURCES = """
    create or replace table released.meta.sources (
        source varchar,
        domain varchar,
        warn_after_hours double,
        error_after_hours double
    )
"""


@dataclass(frozen=True)
class Base:
    """A release that the next one can start from."""

    path: Path
    release_id: int
    build_id: int
    lake_snapshot: int
    snapshot_time: datetime
    free_share: float  # of the file's blocks: those that hold nothing any more
    written: dict[tuple[str, str], Written]
    macros: dict[str, str]
    comments: dict[tuple[str, str], str]  # (table or macro, column or "") → comment
    lookups: dict[str, str]  # table → definition
    api: dict[str, str]  # mart → what the API offers of it


def read_info(path: Path, *, is_current: bool = False) -> ReleaseInfo | None:
    """Return what a released file says of itself; None when it is no released file.

    Raises:
        FileNotFoundError: there is no such file.
        IdentityError: a newer Boathouse has written it.
    """
    there = path.stat()
    info = _read_info(path, there.st_ino, there.st_size, there.st_ctime_ns)
    return replace(info, is_current=is_current) if info else None


@lru_cache(maxsize=64)  # each release asks for all that are kept, more than once
def _read_info(path: Path, inode: int, size: int, changed: int) -> ReleaseInfo | None:
    """Return the same for as long as it is the same file."""
    del inode, changed
    try:
        with opened(path) as con:
            facts = first_row(con, "from released.meta.release")
        info = ReleaseInfo(
            release_id=facts["release_id"],
            released_at=facts["released_at"],
            lake_snapshot=facts["lake_snapshot"],
            build_id=facts["build_id"],
            size_bytes=size,
            is_current=False,
            path=path,
            lake=facts.get("lake"),
        )
    except (duckdb.Error, IndexError, KeyError):
        return None
    require_known(facts, path)
    return info


def require_known(facts: Mapping[str, Any], path: Path) -> None:
    """Do nothing when this version knows the format of a release, given its `meta.release`.

    Raises:
        IdentityError: a newer Boathouse has written it.
    """
    identity.require_known(facts.get("format", identity.UNCOUNTED), f"The release {path}")


def read_base(info: ReleaseInfo) -> Base | None:
    """Return what the next release has to know of this one; None when it cannot start from it."""
    try:
        with opened(info.path) as con:
            return _base(con, info)
    except duckdb.Error:
        return None


def _base(con: duckdb.DuckDBPyConnection, info: ReleaseInfo) -> Base:
    facts = first_row(con, "from released.meta.release")
    names = [field.name for field in fields(Written)]
    if facts["duckdb_version"] != duckdb.__version__:
        names[names.index("checksum")] = "null"
    rows = con.execute(f"select {', '.join(names)} from released.meta.contents").fetchall()
    written = [Written(*values) for values in rows]
    total, free = con.execute(
        "select total_blocks, free_blocks from pragma_database_size() "
        "where database_name = 'released'"
    ).fetchall()[0]
    return Base(
        path=info.path,
        release_id=info.release_id,
        build_id=info.build_id,
        lake_snapshot=info.lake_snapshot,
        snapshot_time=facts["lake_snapshot_time"],
        free_share=free / total if total else 0.0,
        written={(w.schema_name, w.name): w for w in written if w.definition is None},
        macros={w.name: w.definition for w in written if w.definition is not None},
        comments=_comments(con, has_macros=any(w.definition is not None for w in written)),
        lookups=lookups.definitions(lookups.beside(info.path), (info.lake, info.release_id)),
        api=_offered(con),
    )


def _offered(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return what the API offers of each mart; the first releases did not say."""
    try:
        return dict(con.execute("select mart, api from released.meta.api").fetchall())
    except duckdb.CatalogException:
        return {}


def _comments(con: duckdb.DuckDBPyConnection, *, has_macros: bool) -> dict[tuple[str, str], str]:
    """Return the comments on the marts of the attached file, and on their columns."""
    places = {"duckdb_tables()": "table_name, ''", "duckdb_columns()": "table_name, column_name"}
    if has_macros:  # among thousands of functions that are always there
        places["duckdb_functions()"] = "function_name, ''"
    queries = (
        f"select {names}, comment from {place} "
        "where database_name = 'released' and schema_name = 'marts' and comment is not null"
        for place, names in places.items()
    )
    rows = con.execute(" union all ".join(queries)).fetchall()
    return {(table, column): text for table, column, text in rows}


@dataclass(frozen=True)
class About:
    """The row that a release has about itself."""

    lake: str  # its identity
    release_id: int
    lake_snapshot: int
    snapshot_time: datetime
    build_id: int
    released_at: datetime
    sources: tuple[Contract, ...]  # what readers may expect of each


def write_about(con: duckdb.DuckDBPyConnection, about: About, written: Sequence[Written]) -> None:
    """Write schema `meta` into the attached file, but for what is carried over from the lake."""
    con.execute(
        f"""
        create or replace table released.meta.release as
        select
            {literal(about.lake)} as lake,
            {identity.FORMAT} as format,
            cast({about.release_id} as bigint) as release_id,
            cast({about.lake_snapshot} as bigint) as lake_snapshot,
            cast({about.build_id} as bigint) as build_id,
            {constant(about.snapshot_time)} as lake_snapshot_time,
            {constant(about.released_at)} as released_at,
            {literal(__version__)} as boathouse_version,
            {literal(duckdb.__version__)} as duckdb_version
        """
    )
    con.execute(_CONTENTS)
    if written:
        rows = ", ".join(row(astuple(each)) for each in written)
        con.execute(f"insert into released.meta.contents values {rows}")
    con.execute(_SOURCES)
    if about.sources:
        rows = ", ".join(row(_policy(each)) for each in about.sources)
        con.execute(f"insert into released.meta.sources values {rows}")
    for table, query in _copies(about).items():
        con.execute(f"create or replace table released.meta.{table} as {query}")


def _policy(contract: Contract) -> tuple[object, ...]:
    """Return a row of `meta.sources`."""
    limits = (contract.warn_after, contract.error_after)
    hours = (limit and limit.total_seconds() / 3600 for limit in limits)
    return (contract.source, contract.domain, *hours)


def _copies(about: About) -> dict[str, str]:
    """Return the queries that show readers the rest of the lake's `meta`, as of the release."""
    version = f"at (version => {about.lake_snapshot})"
    newest = about.build_id - BUILDS_SHOWN
    own = (
        f"select {about.release_id}, {about.lake_snapshot}, {about.build_id}, "
        f"{constant(about.released_at)}, true"
    )
    return {
        "api": f"""
            select
                relation as mart,
                split_part(path, '/', 3) as domain,
                description,
                unique_columns,
                api
            from lake.meta.nodes {version}
            where api <> '' and schema_name = 'marts'
            order by mart
        """,
        "keys": f"""
            select relation as mart, unique_columns
            from lake.meta.nodes {version}
            where unique_columns <> [] and schema_name = 'marts'
            order by mart
        """,
        "builds": f"""
            select
                build_id,
                command,
                selection,
                -- whoever releases is the one writer: nobody works at a build that is not done
                if(status = 'running', {literal(INTERRUPTED)}, status) as status,
                started_at,
                finished_at,
                lake_snapshot
            from lake.meta.builds {version}
            order by build_id
        """,
        "build_results": f"""
            select * from lake.meta.build_results {version}
            where build_id > {newest}
            order by build_id, unique_id
        """,
        "releases": f"""
            select release_id, lake_snapshot, build_id, released_at, false as is_current
            from lake.meta.releases {version}
            union all
            {own}
            order by release_id
        """,
        "source_freshness": f"""
            select source, last_loaded_at, last_event_at, rows, rejected_rows
            from lake.meta.source_freshness {version}
            order by source
        """,
        "test_results": f"""
            select
                nodes.unique_id,
                nodes.name,
                nodes.kind,
                list_transform(nodes.depends_on, lambda id: split_part(id, '.', -1)) as tested,
                results.status,
                results.rows as failures,
                results.message,
                results.build_id,
                builds.finished_at as tested_at
            from (from lake.meta.nodes {version}) as nodes
            left join {LATEST} as results using (unique_id)
            left join (from lake.meta.builds {version}) as builds using (build_id)
            where nodes.kind in ('test', 'unit_test')
            order by nodes.unique_id
        """,
    }


def macro_record(name: str, statement: str) -> Written:
    """Return what the file remembers of a macro."""
    return Written("marts", name, None, [], [], 0, None, 0, statement)
