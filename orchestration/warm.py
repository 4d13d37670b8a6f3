"""What every run would import and derive anew, done once in the process that they are forked from.

Nothing of it is ours but this file: a run imports the project's own modules as they are then.
"""

from importlib import import_module

THIRD_PARTY = (
    "babel.dates",
    "dagster._cli.api",
    "dagster._core.execution.plan.active",
    "dagster._core.executor.in_process",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.root",
    "dagster._core.storage.sqlite_storage",
    "dagster._daemon",
    "dagster._utils.test.definitions",
    "dagster_dbt",
    "dbt.adapters.duckdb",
    "dbt.adapters.duckdb.environments.local",
    "dbt.cli.main",
    "dbt.task.build",
    "dbt_common.clients.agate_helper",
    "duckdb_extensions",
    "multiprocessing.dummy",
    "psutil",
    "sqlglot.dialects.duckdb",
    "sqlparse",
    "structlog",
    "upath.implementations.local",
)
# What dbt validates by a schema in every build, whose making takes a tenth of a second each.
VALIDATED = (
    ("dbt.adapters.duckdb.credentials", "DuckDBCredentials"),
    ("dbt.contracts.graph.nodes", "HookNode"),
    ("dbt.contracts.project", "Configuration"),
    ("dbt.contracts.project", "PackageConfig"),
    ("dbt.contracts.project", "Project"),
    ("dbt.contracts.project", "ProjectFlags"),
)

for name in THIRD_PARTY:
    import_module(name)
for module, name in VALIDATED:
    getattr(import_module(module), name).json_schema()
