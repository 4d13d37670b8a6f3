"""Sessions: events repeated, late, reversed, orphaned, contradicting each other."""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from hypothesis import strategies as st

from support.order import Build, DomainCase, File, Rows, Run, SourceCase


class Event(NamedTuple):
    event: str
    country: str | None
    player_id: str
    session_id: str
    ts: datetime

    @property
    def is_good(self) -> bool:
        """Return whether the contract lets it in: a start needs a country."""
        return self.event == "end" or self.country is not None


class Session(NamedTuple):
    session_id: str
    player_id: str
    country: str | None
    started_at: datetime | None
    ended_at: datetime | None
    is_completed: bool
    duration_seconds: int | None
    has_clock_skew: bool
    session_date: date


class Player(NamedTuple):
    player_id: str
    first_seen_at: datetime
    last_seen_at: datetime
    country: str | None
    sessions_started: int
    sessions_completed: int
    total_seconds: int


class CountryYear(NamedTuple):
    country: str | None
    year: int | None
    sessions_started: int
    sessions_completed: int


class CountryHour(NamedTuple):
    country: str
    hour: datetime
    sessions_started: int


# Few enough that times coincide; on both sides of a second, of an hour and of a year.
_NEW_YEAR = datetime(2017, 1, 1)
TIMES = [
    _NEW_YEAR + timedelta(seconds=seconds, microseconds=microseconds)
    for seconds in (-3600, -1, 0, 1, 3599, 86400)
    for microseconds in (0, 999_999)
]

_events = st.builds(
    Event,
    event=st.sampled_from(("start", "end")),
    country=st.sampled_from(("PK", "de", "FR", None)),
    player_id=st.sampled_from(("p1", "p2", "p3")),
    session_id=st.sampled_from(("s1", "s2", "s3", "s4")),
    ts=st.sampled_from(TIMES),
)


def write(events: Sequence[Event]) -> bytes:
    """Return the file's text, one object a line; what is not known is left out."""
    lines = []
    for event in events:
        values = {**event._asdict(), "ts": event.ts.isoformat()}
        lines.append(json.dumps({key: value for key, value in values.items() if value is not None}))
    return "".join(f"{line}\n" for line in lines).encode()


def reference(files: Sequence[File]) -> dict[str, Rows]:
    """Return all marts as they must be for these files."""
    by_session: dict[str, list[Event]] = defaultdict(list)
    for file in files:
        for event in file.records:
            if event.is_good:
                country = event.country and event.country.upper()
                by_session[event.session_id].append(event._replace(country=country))
    sessions = [_session(events) for events in by_session.values()]
    return {
        "fct_sessions": sessions,
        "dim_players": _players(sessions),
        "rpt_sessions_by_country": _by_country(sessions),
        "rpt_sessions_by_country_hour": _by_country_hour(sessions),
    }


def _session(events: list[Event]) -> Session:
    starts = sorted(
        (event for event in events if event.event == "start"),
        key=lambda event: (event.ts, event.player_id, event.country),
    )
    ends = sorted(
        (event for event in events if event.event == "end"),
        key=lambda event: (event.ts, event.player_id),
    )
    started_at = starts[0].ts if starts else None
    ended_at = ends[-1].ts if ends else None
    both = started_at is not None and ended_at is not None
    return Session(
        session_id=events[0].session_id,
        player_id=(starts[0] if starts else ends[-1]).player_id,
        country=starts[0].country if starts else None,
        started_at=started_at,
        ended_at=ended_at,
        is_completed=bool(ends),
        duration_seconds=(
            (ended_at - started_at) // timedelta(seconds=1)
            if both and ended_at >= started_at
            else None
        ),
        has_clock_skew=both and ended_at < started_at,
        session_date=(started_at or ended_at).date(),
    )


def _players(sessions: list[Session]) -> list[Player]:
    by_player: dict[str, list[Session]] = defaultdict(list)
    for session in sessions:
        by_player[session.player_id].append(session)
    players = []
    for player_id, theirs in by_player.items():
        times = [time for s in theirs for time in (s.started_at, s.ended_at) if time]
        started = [(s.started_at, s.country) for s in theirs if s.started_at]
        players.append(
            Player(
                player_id,
                min(times),
                max(times),
                max(started)[1] if started else None,
                len(started),
                sum(s.is_completed for s in theirs),
                sum(s.duration_seconds or 0 for s in theirs),
            )
        )
    return players


def _by_country(sessions: list[Session]) -> list[CountryYear]:
    groups: dict[tuple[str | None, int | None], list[Session]] = defaultdict(list)
    for session in sessions:
        year = session.started_at.year if session.started_at else None
        groups[session.country, year].append(session)
    return [
        CountryYear(
            *group,
            sum(s.started_at is not None for s in theirs),
            sum(s.is_completed for s in theirs),
        )
        for group, theirs in groups.items()
    ]


def _by_country_hour(sessions: list[Session]) -> list[CountryHour]:
    hours: dict[tuple[str, datetime], int] = defaultdict(int)
    for session in sessions:
        if session.started_at and session.country:
            hour = session.started_at.replace(minute=0, second=0, microsecond=0)
            hours[session.country, hour] += 1
    return [CountryHour(*group, count) for group, count in hours.items()]


def _file(letter: str, *events: Event) -> File:
    return File("session_events", f"session_events_{letter}.jsonl", events)


_START = Event("start", "PK", "p1", "s1", TIMES[4])
_CORRECTED = _START._replace(player_id="p3")
_OTHER = Event("end", None, "p2", "s2", TIMES[5])
_FCT_SESSIONS = 1  # among the incremental models, after dim_players

EXAMPLES = (
    # Players of whom nothing is left: after a build of sessions alone, which tells the keys …
    (
        Run((_file("a", _START, _OTHER),)),
        Run((_file("a", _CORRECTED),), Build.ONE, _FCT_SESSIONS),
    ),
    # … and after a full refresh of sessions alone, which does not.
    (
        Run((_file("a", _START, _OTHER),)),
        Run((_file("a", _CORRECTED),), Build.ONE_ANEW, _FCT_SESSIONS),
        Run((_file("b", _OTHER),), compacts=True),
        Run((_file("b", _OTHER._replace(ts=TIMES[0])),)),
    ),
)

CASE = DomainCase(
    domain="sessions",
    sources={
        "session_events": SourceCase(
            names=[f"session_events_{letter}.jsonl" for letter in "abcd"],
            records=st.lists(_events, min_size=1, max_size=8),
            write=write,
        )
    },
    marts={
        "fct_sessions": Session._fields,
        "dim_players": Player._fields,
        "rpt_sessions_by_country": CountryYear._fields,
        "rpt_sessions_by_country_hour": CountryHour._fields,
    },
    reference=reference,
    examples=EXAMPLES,
)
