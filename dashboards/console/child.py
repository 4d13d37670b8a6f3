"""The process that runs one query: `python -m dashboards.console.child`, told by its input.

It takes a request (JSON) on its standard input, closes every way out, and writes a line of JSON
and then the rows as an Arrow stream to its standard output. Whatever the query does, this process
has no environment, cannot write a file, and may be killed at any moment.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from dashboards.console.guard import RefusedError, check

MIB = 2**20
# Python, DuckDB and Arrow map so much address space before the query takes any.
_ADDRESS_SPACE_BEFORE = 3_072 * MIB
_ROWS_A_BATCH = 2_048
_PLAIN_TYPES = frozenset(
    {
        *("boolean", "varchar", "date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"),
        *("tinyint", "smallint", "integer", "bigint", "float", "double", "decimal"),
        *("utinyint", "usmallint", "uinteger", "ubigint"),
    }
)


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    out = os.fdopen(os.dup(1), "wb")
    _limit(request)
    try:
        con = _open(request)
        check(con, request["sql"], frozenset(request["macros"]))
        head, body = _answer(con, request)
    except RefusedError as error:
        head, body = {"error": str(error)}, b""
    except RecursionError:
        head, body = {"error": "The statement is nested too deeply."}, b""
    except MemoryError:
        head, body = {"error": "Out of memory"}, b""
    out.write(json.dumps(head).encode() + b"\n" + body)
    out.flush()
    os._exit(0)  # without waiting for DuckDB to tidy up


def _open(request: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """Return a connection to the file that reaches nothing else; even parsing may open files."""
    path = Path(request["path"])
    os.chdir(path.parent)  # so that the file is known by its name alone
    con = duckdb.connect(
        path.name,
        read_only=True,
        config={
            "threads": request["threads"],
            "memory_limit": f"{request['memory_mib']}MiB",
            "temp_directory": "",
            "max_temp_directory_size": "0KiB",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "allow_community_extensions": False,
            "allow_unsigned_extensions": False,
            "python_enable_replacements": False,
        },
    )
    con.execute("set timezone = 'UTC'")
    con.execute("set schema = 'marts'")
    con.execute("set home_directory = ''")
    con.execute("set enable_external_access = false")
    con.execute("set lock_configuration = true")
    return con


def _answer(
    con: duckdb.DuckDBPyConnection, request: dict[str, Any]
) -> tuple[dict[str, Any], bytes]:
    try:
        found = con.sql(request["sql"])
        columns = _names(found.columns)
        shown = (_expression(n, kind) for n, kind in enumerate(found.types, start=1))
        reader = found.project(", ".join(shown)).fetch_arrow_reader(_ROWS_A_BATCH)
        batches, facts = _take(reader, request["rows"], request["bytes"])
    except (duckdb.Error, pa.ArrowException) as error:
        return {"error": str(error)}, b""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, reader.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    facts["columns"] = columns
    return facts, sink.getvalue().to_pybytes()


def _names(columns: list[str]) -> list[str]:
    """Return the columns' names, each once: the second `country` becomes `country_2`."""
    names: list[str] = []
    for column in columns:
        number, name = 1, column
        while name in names:
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def _expression(number: int, data_type: Any) -> str:
    """Return SQL for a column of the result, as text when its type is known to DuckDB alone."""
    if data_type.id in _PLAIN_TYPES:
        return f"#{number}"
    return f"cast(#{number} as {'decimal(38, 0)' if data_type.id == 'hugeint' else 'varchar'})"


def _limit(request: dict[str, Any]) -> None:
    """Let the operating system hold the limits too, in case DuckDB does not."""
    space = _ADDRESS_SPACE_BEFORE + 2 * request["memory_mib"] * MIB
    seconds = request["seconds"] * request["threads"] + 5
    for what, most in (
        (resource.RLIMIT_AS, space),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        resource.setrlimit(what, (most, most))


def _take(reader: Any, most_rows: int, most_bytes: int) -> tuple[list[Any], dict[str, Any]]:
    """Return batches up to the limits, and whether there would have been more."""
    taken: list[Any] = []
    rows = size = 0
    for batch in reader:
        size += batch.nbytes
        if size > most_bytes and rows:
            return taken, {"rows": rows, "is_cut": True}
        if size > most_bytes:
            return [], {"error": f"The rows are larger than {most_bytes / MIB:,.0f} MiB together."}
        if rows + batch.num_rows > most_rows:
            taken.append(batch.slice(0, most_rows - rows))
            return taken, {"rows": most_rows, "is_cut": True}
        taken.append(batch)
        rows += batch.num_rows
    return taken, {"rows": rows, "is_cut": False}


if __name__ == "__main__":
    main()
