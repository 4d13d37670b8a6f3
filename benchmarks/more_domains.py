"""Small vehicle files, millions of game events, a thousand parameters: each beside bare DuckDB."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks import homes
from benchmarks.measure import Bench, BenchmarkError, Facts, Samples, Task, tell
from benchmarks.report import Limit, Row, Section, spread

INTRODUCTION = """\
As in `sessions_million`: Boathouse loads and builds in one process in which dbt has parsed the
project, on a lake without rows, without tests. **Bare DuckDB** makes the same tables by the same
rules from the same files, in a DuckDB file, and keeps the rows it read in a table; it checks
nothing and knows no file. Both results are compared: the same rows."""


@dataclass(frozen=True)
class Case:
    """What is delivered, what is made of it, and by which script DuckDB alone makes the same."""

    what: str
    sources: tuple[str, ...]
    write: Callable[..., Facts]
    size: tuple[int, int]  # full and quick
    models: tuple[str, ...]
    compared: dict[str, str]
    statements: tuple[str, ...] = field(repr=False)
    most_times: float = 3


def run(bench: Bench) -> Section:
    """Measure all three."""
    section = Section(INTRODUCTION)
    for name, case in CASES.items():
        with bench.folder("files") as data:
            made = bench.call(case.write, folder=str(data), size=bench.size(*case.size))
            size = str(made.facts["size"])
            tell(f"  {case.what}: {size}")
            found = bench.compare(
                {
                    "Boathouse": Task(load_and_build, _prepare(bench, case, data), {"name": name}),
                    "bare DuckDB": Task(bare, arguments={"name": name, "files": str(data)}),
                },
                repetitions=bench.size(3, 1),
            )
        section.rows += _rows(case, size, found)
        ours = found["Boathouse"]
        parts = ", ".join(f"{p} {spread(ours.values(p))} s" for p in ("load", *case.models))
        section.notes.append(f"Of Boathouse's seconds for {case.what}: {parts}.")
    return section


def _prepare(bench: Bench, case: Case, data: Path) -> Callable[[Path], object]:
    def prepare(folder: Path) -> None:
        bench.call(homes.make_lake, folder=folder)
        for source in case.sources:
            homes.copy_files(data / source, homes.landing(folder, source))

    return prepare


def _rows(case: Case, size: str, found: dict[str, Samples]) -> list[Row]:
    results = {str(sample.facts["tables"]) for samples in found.values() for sample in samples.each}
    if len(results) != 1:
        raise BenchmarkError(f"{case.what}: Boathouse and bare DuckDB differ: {results}")
    ours, alone = found["Boathouse"], found["bare DuckDB"]
    rows = [
        Row.of(f"{case.what}: Boathouse, all of it", size, ours),
        Row.of(f"{case.what}: Boathouse, engine's share", size, ours, "engine_seconds"),
        Row.of(f"{case.what}: bare DuckDB", size, alone),
    ]
    for what, fact in (("engine's share", "engine_seconds"), ("all of it", "seconds")):
        times = ours.median(fact) / alone.median()
        limit = Limit.at_most(times, case.most_times)
        rows.append(Row(f"{case.what}: {what} ÷ bare", size, ratio=f"{times:.1f} ×", limit=limit))
    return rows


def load_and_build(folder: str, name: str) -> Facts:
    """Load what waits and build the case's models."""
    case = CASES[name]
    return homes.load_and_build(folder, case.models, case.compared)


def bare(folder: str, name: str, files: str) -> Facts:
    """Run the case's script in a DuckDB file."""
    import duckdb

    case = CASES[name]
    path = str(Path(folder) / "bare.duckdb")
    started = time.perf_counter()
    with duckdb.connect(path) as con:
        con.execute(f"set memory_limit = '{homes.MEMORY_LIMIT}'")
        for statement in case.statements:
            con.execute(statement.replace("FILES", files))
    seconds = time.perf_counter() - started
    with duckdb.connect(path, read_only=True) as con:
        return {"seconds": seconds, **homes.checksums(con, case.compared)}


# -- files ---------------------------------------------------------------------------------


def write_vehicle_files(folder: str, size: int) -> Facts:
    """Write as many files, half of events and half of statuses."""
    from boathouse.demo.vehicles import MOMENTS

    return _generate(folder, ("vehicle_events", "vehicle_statuses"), size / 2 / MOMENTS)


def write_game_events(folder: str, size: int) -> Facts:
    """Write about as many events."""
    from boathouse import demo

    options = demo.DemoOptions(scale=1, until=homes.LAST_DAY)
    one = sum(file.rows for file in demo.generate(Path(folder) / "one", ["game_events"], options))
    return _generate(folder, ("game_events",), size / one)


def _generate(folder: str, sources: tuple[str, ...], scale: float) -> Facts:
    from boathouse import demo

    options = demo.DemoOptions(scale=scale, until=homes.LAST_DAY)
    files = demo.generate(Path(folder), list(sources), options)
    records = sum(file.rows for file in files)
    return {"seconds": 0.0, "size": f"{len(files):,} files, {records:,} records"}


def write_fleet_readings(folder: str, size: int) -> Facts:
    """Write records of a thousand parameters each, out of two thousand."""
    rng = random.Random(7)
    names = [f"parameter_{number:04}" for number in range(2_000)]
    path = Path(folder) / "fleet_readings" / "fleet_readings_2025-06-30.jsonl"
    path.parent.mkdir()
    with path.open("w") as file:
        for number in range(size):
            at = datetime(2025, 6, 30) + timedelta(seconds=number)
            record = {"truck_id": f"truck-{number % 50:02}", "recorded_at": at.isoformat()}
            values = {name: round(rng.uniform(0, 100), 3) for name in rng.sample(names, 1_000)}
            file.write(json.dumps(record | values, separators=(",", ":")) + "\n")
    return {"seconds": 0.0, "size": f"{size:,} records of 1,000 parameters"}


# -- what DuckDB alone does ----------------------------------------------------------------

VEHICLES = (
    """
    create table events as
    select * from read_json('FILES/vehicle_events/*', format = 'array', columns = {
        vehicle_id: 'VARCHAR', event_time: 'TIMESTAMP', event_source: 'VARCHAR',
        event_type: 'VARCHAR', event_value: 'VARCHAR', event_extra_data: 'JSON'})
    """,
    """
    create table statuses as
    select * from read_json('FILES/vehicle_statuses/*', format = 'array', columns = {
        vehicle_id: 'VARCHAR', report_time: 'TIMESTAMP', status_source: 'VARCHAR',
        status: 'VARCHAR'})
    """,
    """
    create table fct_vehicle_events as
    select distinct
        vehicle_id, event_time, event_source, event_type, event_value,
        nullif(extra ->> '$.note', '') as note,
        try_cast(extra ->> '$.boot_time' as double) as boot_time,
        try_cast(extra ->> '$.emergency_call' as boolean) as is_emergency_call,
        event_time::date as event_date
    from (
        select *, case
            when json_type(event_extra_data) = 'VARCHAR' then (event_extra_data ->> '$')::json
            else event_extra_data end as extra
        from events
    )
    """,
    """
    create table fct_vehicle_daily_summary as
    select
        vehicle_id, event_date as day, max(event_time) as last_event_time,
        max_by(event_type, (event_time, event_type)) as last_event_type,
        count(*) as events,
        count(*) filter (where is_emergency_call) as emergency_calls
    from fct_vehicle_events
    group by all
    """,
    """
    create table dim_vehicles as
    select
        coalesce(latest.vehicle_id, days.vehicle_id) as vehicle_id,
        status, status_source, status_reported_at, last_event_at, last_event_type,
        coalesce(events, 0) as events
    from (
        select vehicle_id, status, status_source, report_time as status_reported_at
        from statuses
        qualify row_number() over (
            partition by vehicle_id
            order by report_time desc, status desc, status_source desc nulls last) = 1
    ) as latest
    full join (
        select vehicle_id, max(last_event_time) as last_event_at,
            max_by(last_event_type, last_event_time) as last_event_type,
            sum(events)::bigint as events
        from fct_vehicle_daily_summary
        group by vehicle_id
    ) as days on latest.vehicle_id = days.vehicle_id
    """,
)

TELEMETRY = (
    """
    create table events as
    select * from read_json('FILES/game_events/*', format = 'newline_delimited', columns = {
        event_id: 'VARCHAR', player_id: 'VARCHAR', session_id: 'VARCHAR', event_name: 'VARCHAR',
        level: 'INTEGER', item_id: 'VARCHAR', amount: 'DECIMAL(18, 2)', currency: 'VARCHAR',
        platform: 'VARCHAR', app_version: 'VARCHAR', occurred_at: 'TIMESTAMP',
        received_at: 'TIMESTAMP'})
    """,
    """
    create table fct_game_events as
    select * replace (upper(currency) as currency), occurred_at::date as event_date
    from events
    qualify row_number() over (
        partition by event_id
        order by received_at, occurred_at, player_id, session_id, event_name, level, item_id,
            amount, currency, platform, app_version) = 1
    """,
)

FLEET = (
    """
    create table records as
    select json from read_json_objects('FILES/fleet_readings/*', format = 'newline_delimited')
    """,
    """
    create table fct_fleet_readings as
    select truck_id, recorded_at, parameter, try_cast(value_text as double) as value, value_text
    from (
        select
            truck_id, recorded_at,
            unnest(map_keys(read)) as parameter, unnest(map_values(read)) as value_text
        from (
            select
                json ->> '$.truck_id' as truck_id,
                (json ->> '$.recorded_at')::timestamp as recorded_at,
                from_json(json, '"MAP(VARCHAR, VARCHAR)"') as read
            from records
        )
    )
    where parameter not in ('truck_id', 'recorded_at')
    """,
)

CASES = {
    "vehicle_files": Case(
        "small vehicle files",
        ("vehicle_events", "vehicle_statuses"),
        write_vehicle_files,
        (10_000, 200),
        (
            *("stg_vehicles__events", "stg_vehicles__statuses", "fct_vehicle_events"),
            *("fct_vehicle_daily_summary", "int_vehicles__statuses", "dim_vehicles"),
        ),
        {
            "fct_vehicle_events": "vehicle_id, event_time, event_type, note, boot_time",
            "dim_vehicles": "*",
        },
        VEHICLES,
        most_times=4,
    ),
    "game_events": Case(
        "game events",
        ("game_events",),
        write_game_events,
        (5_000_000, 50_000),
        ("stg_telemetry__events", "fct_game_events"),
        {"fct_game_events": "event_id, player_id, event_name, level, amount, received_at"},
        TELEMETRY,
    ),
    "fleet_readings": Case(
        "a thousand parameters",
        ("fleet_readings",),
        write_fleet_readings,
        (2_000, 50),
        ("stg_fleet__records", "fct_fleet_readings"),
        {"fct_fleet_readings": "truck_id, recorded_at, parameter, value, value_text"},
        FLEET,
    ),
}
