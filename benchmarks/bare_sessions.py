"""What DuckDB alone needs to make sessions and players of the events: the rules of the models.

The rules are those of `models/marts/sessions/fct_sessions.sql` and `dim_players.sql`, written for
one pass over all events.
"""

import time
from pathlib import Path

from benchmarks import homes
from benchmarks.measure import Facts

_NO_LOAD_TIMES = "* exclude (first_loaded_at, last_loaded_at)"
COMPARED = {"fct_sessions": _NO_LOAD_TIMES, "dim_players": "*"}

READ = """
    select
        session_id,
        player_id,
        event,
        upper(country) as country,
        ts,
        filename as _file,
        now()::timestamp as _loaded_at
    from read_json(
        '{files}/*',
        format = 'newline_delimited',
        filename = true,
        columns = {{
            event: 'VARCHAR',
            country: 'VARCHAR',
            player_id: 'VARCHAR',
            session_id: 'VARCHAR',
            ts: 'TIMESTAMP'
        }}
    )
"""

SESSIONS = """
    create table fct_sessions as
    with sessions as (
        select
            session_id,
            min({{'started_at': ts, 'player_id': player_id, 'country': country}})
            filter (where event = 'start') as first_start,
            max({{'ended_at': ts, 'player_id': player_id}})
            filter (where event = 'end') as last_end,
            min(_loaded_at) as first_loaded_at,
            max(_loaded_at) as last_loaded_at
        from ({events})
        group by session_id
    ),

    unpacked as (
        select
            session_id,
            coalesce(first_start.player_id, last_end.player_id) as player_id,
            first_start.country,
            first_start.started_at,
            last_end.ended_at,
            first_loaded_at,
            last_loaded_at
        from sessions
    )
    select
        session_id,
        player_id,
        country,
        started_at,
        ended_at,
        ended_at is not null as is_completed,
        case
            when ended_at >= started_at then date_sub('second', started_at, ended_at)
        end as duration_seconds,
        coalesce(ended_at < started_at, false) as has_clock_skew,
        coalesce(started_at, ended_at)::date as session_date,
        first_loaded_at,
        last_loaded_at
    from unpacked
    order by session_date
"""

PLAYERS = """
    create table dim_players as
    select
        player_id,
        min(least(started_at, ended_at)) as first_seen_at,
        max(greatest(started_at, ended_at)) as last_seen_at,
        max_by(country, (started_at, country)) filter (where started_at is not null) as country,
        count(started_at) as sessions_started,
        count(ended_at) as sessions_completed,
        coalesce(sum(duration_seconds), 0)::bigint as total_seconds
    from fct_sessions
    group by player_id
"""


def run(folder: str, files: str, keep_events: bool = False) -> Facts:
    """Make both tables in a DuckDB file, with or without a table of the events."""
    import duckdb

    read = READ.format(files=files)
    started = time.perf_counter()
    with duckdb.connect(str(Path(folder) / "bare.duckdb")) as con:
        con.execute(f"set memory_limit = '{homes.MEMORY_LIMIT}'")
        if keep_events:
            con.execute(f"create table session_events as {read}")
        con.execute(SESSIONS.format(events="from session_events" if keep_events else read))
        con.execute(PLAYERS)
    seconds = time.perf_counter() - started
    with duckdb.connect(str(Path(folder) / "bare.duckdb"), read_only=True) as con:
        return {"seconds": seconds, **homes.checksums(con, COMPARED)}
