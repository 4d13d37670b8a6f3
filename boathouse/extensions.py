"""DuckDB's extensions, installed from ordinary Python packages: no network, nothing by hand."""

import duckdb
from duckdb_extensions import import_extension

# The name of the package is not always the name under which DuckDB loads the extension.
_LOADED_AS = {"sqlite": "sqlite_scanner", "postgres": "postgres_scanner"}


def load(con: duckdb.DuckDBPyConnection, *names: str) -> None:
    """Load extensions into a connection, installing those that this user does not have yet."""
    for name in names:
        loaded_as = _LOADED_AS.get(name, name)
        try:
            con.load_extension(loaded_as)
        except (duckdb.IOException, duckdb.HTTPException):
            import_extension(name, con=con)
            con.load_extension(loaded_as)
