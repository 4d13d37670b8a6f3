"""Music: plays that come again, users whose level changes, songs that come after their plays."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import strategies as st

from support.order import Build, DomainCase, File, Rows, Run, SourceCase


class Event(NamedTuple):
    page: str | None
    ts: datetime
    user: str
    level: str
    first_name: str | None
    song: str | None
    artist: str | None
    length: float | None
    session: int

    @property
    def is_good(self) -> bool:
        """Return whether the contract lets it in: a page, and a user that is a number or empty."""
        return self.page is not None and self.user != "somebody"


class Song(NamedTuple):
    song_id: str | None
    title: str
    artist_id: str
    artist_name: str
    duration: float
    year: int
    place: str
    latitude: float | None


class Play(NamedTuple):
    started_at: datetime
    user_id: int | None
    level: str
    song_id: str | None
    artist_id: str | None
    session_id: int
    song_title: str | None
    artist_name: str | None
    song_seconds: float | None


MARTS = {
    "fct_songplays": Play._fields,
    "dim_users": ("user_id", "first_name", "last_name", "gender", "level"),
    "dim_songs": ("song_id", "title", "artist_id", "year", "duration"),
    "dim_artists": ("artist_id", "name", "location", "latitude", "longitude"),
    "dim_time": ("started_at", "hour", "day", "week", "month", "year", "weekday"),
    "rpt_listening_by_hour": ("weekday", "hour", "plays", "listeners"),
}

_EPOCH = datetime(1970, 1, 1)
_SUNDAY_NIGHT = datetime(2018, 11, 4, 23, 59, 59, 999_000)
TIMES = [
    _SUNDAY_NIGHT,
    _SUNDAY_NIGHT + timedelta(milliseconds=1),
    _SUNDAY_NIGHT + timedelta(days=7),
    datetime(2018, 12, 31, 12),
]
DURATIONS = (269.58322, 269.58321)

_events = st.builds(
    Event,
    page=st.sampled_from(("NextSong", "NextSong", "NextSong", "Home", None)),
    ts=st.sampled_from(TIMES),
    user=st.sampled_from(("8", "9", "10", "", "somebody")),
    level=st.sampled_from(("free", "paid")),
    first_name=st.sampled_from(("Kaylee", "Noé", None)),
    song=st.sampled_from(("Setanta", "Ghost", "Setanta", None)),
    artist=st.sampled_from(("Elena", "Elena", "Gob", None)),
    length=st.sampled_from((*DURATIONS, DURATIONS[0], None)),
    session=st.sampled_from((1, 2)),
)
_songs = st.builds(
    Song,
    song_id=st.sampled_from(("S1", "S2", "S3", "S1", None)),
    title=st.sampled_from(("Setanta", "Ghost")),
    artist_id=st.sampled_from(("A1", "A2")),
    artist_name=st.sampled_from(("Elena", "Gob")),
    duration=st.sampled_from(DURATIONS),
    year=st.sampled_from((0, 1999, 2004)),
    place=st.sampled_from(("", "Dubai", "Lima")),
    latitude=st.sampled_from((None, 49.8, -12.0)),
)


def write_events(events: Sequence[Event]) -> bytes:
    """Return the file's text, one object a line."""
    lines = [
        json.dumps(
            {
                "artist": event.artist,
                "firstName": event.first_name,
                "itemInSession": number,
                "length": event.length,
                "level": event.level,
                "page": event.page,
                "registration": 1540919166796.0,
                "sessionId": event.session,
                "song": event.song,
                "ts": (event.ts - _EPOCH) // timedelta(milliseconds=1),
                "userId": event.user,
            }
        )
        for number, event in enumerate(events)
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def write_songs(songs: Sequence[Song]) -> bytes:
    """Return the file's text: the one object alone, several as an array."""
    records = [
        {
            "num_songs": 1,
            "artist_id": song.artist_id,
            "artist_latitude": song.latitude,
            "artist_location": song.place,
            "artist_name": song.artist_name,
            "song_id": song.song_id,
            "title": song.title,
            "duration": song.duration,
            "year": song.year,
        }
        for song in songs
    ]
    return json.dumps(records[0] if len(records) == 1 else records).encode()


def reference(files: Sequence[File]) -> dict[str, Rows]:
    """Return all marts as they must be for these files."""
    records = [record for file in files for record in file.records]
    songs = [record for record in records if isinstance(record, Song) and record.song_id]
    events = [record for record in records if isinstance(record, Event) and record.is_good]
    plays = _plays([event for event in events if event.page == "NextSong"], songs)
    return {
        "fct_songplays": plays,
        "dim_users": _users(events),
        "dim_songs": _first_by(
            [(s.song_id, s.title, s.artist_id, s.year or None, s.duration) for s in songs]
        ),
        "dim_artists": _first_by(
            [(s.artist_id, s.artist_name, s.place or None, s.latitude, None) for s in songs]
        ),
        "dim_time": [_time(at) for at in {play.started_at for play in plays}],
        "rpt_listening_by_hour": _by_hour(plays),
    }


def _plays(events: list[Event], songs: list[Song]) -> list[Play]:
    lengths: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for event in events:
        copies = lengths[event.ts, event.user, event.level, event.song, event.artist, event.session]
        copies += [event.length] if event.length is not None else []
    plays = []
    for (ts, user, level, title, artist, session), copies in lengths.items():
        length = max(copies, default=None)
        fitting = [
            (song.song_id, song.artist_id)
            for song in songs
            if (song.title, song.artist_name, song.duration) == (title, artist, length)
        ]
        ids = min(fitting, default=(None, None))
        user_id = int(user) if user else None
        plays.append(Play(ts, user_id, level, *ids, session, title, artist, length))
    return plays


def _users(events: list[Event]) -> list[tuple[Any, ...]]:
    by_user: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_user[event.user].append(event)
    rows = []
    for user, theirs in by_user.items():
        if user and any(event.page == "NextSong" for event in theirs):
            # No name sorts before every name.
            latest = max(theirs, key=lambda event: (event.ts, event.level, event.first_name or ""))
            rows.append((int(user), latest.first_name, None, None, latest.level))
    return rows


def _first_by(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """One row for each value of the first column: the smallest, no value sorting after all."""
    smallest: dict[Any, tuple[Any, ...]] = {}
    for row in sorted(rows, key=lambda row: [(v is None, 0 if v is None else v) for v in row]):
        smallest.setdefault(row[0], row)
    return list(smallest.values())


def _time(at: datetime) -> tuple[Any, ...]:
    week = at.isocalendar().week
    return (at, at.hour, at.day, week, at.month, at.year, at.isoweekday() % 7)


def _by_hour(plays: list[Play]) -> list[tuple[int, int, int, int]]:
    groups: dict[tuple[int, int], list[Play]] = defaultdict(list)
    for play in plays:
        groups[play.started_at.isoweekday() % 7, play.started_at.hour].append(play)
    return [
        (*group, len(theirs), len({play.user_id for play in theirs} - {None}))
        for group, theirs in groups.items()
    ]


def _log(day: int, *events: Event) -> File:
    return File("listening_events", f"log_data/2018/11/2018-11-{day:02}-events.json", events)


def _song_file(letter: str, *songs: Song) -> File:
    return File("songs", f"song_data/A/{letter}.json", songs)


_PLAY = Event("NextSong", TIMES[0], "8", "free", "Kaylee", "Setanta", "Elena", DURATIONS[0], 1)
_SONG = Song("S2", "Setanta", "A1", "Elena", DURATIONS[0], 0, "", None)
_FCT_SONGPLAYS = 3  # among the incremental models, after dim_artists, dim_songs and dim_time

EXAMPLES = (
    # A song that comes after its play, then one that is preferred, then neither.
    (
        Run((_log(1, _PLAY, _PLAY._replace(song="Ghost")),)),
        Run((_song_file("A", _SONG),)),
        Run((_song_file("B", _SONG._replace(song_id="S1", artist_id="A2")),), Build.NOTHING),
        Run((_log(2, _PLAY, _PLAY._replace(user="9")),)),
        Run((_song_file("B", _SONG._replace(title="Ghost")),), compacts=True),
        Run((_song_file("A", _SONG._replace(song_id="S3", duration=DURATIONS[1])),)),
    ),
    # A level that an older event must not change; plays that are taken back, alone.
    (
        Run((_log(2, _PLAY._replace(ts=TIMES[2], level="paid")),)),
        Run((_log(1, _PLAY, _PLAY._replace(page="Home", ts=TIMES[3], user="9")),)),
        Run((_log(2, _PLAY._replace(ts=TIMES[1])),), Build.ONE_ANEW, _FCT_SONGPLAYS),
        Run((_log(1, _PLAY._replace(page="Home")),)),
    ),
)

CASE = DomainCase(
    domain="music",
    sources={
        "songs": SourceCase(
            names=[f"song_data/A/{letter}.json" for letter in "ABC"],
            records=st.lists(_songs, min_size=1, max_size=3),
            write=write_songs,
        ),
        "listening_events": SourceCase(
            names=[f"log_data/2018/11/2018-11-{day:02}-events.json" for day in (1, 2, 3, 4)],
            records=st.lists(_events, min_size=1, max_size=8),
            write=write_events,
        ),
    },
    marts=MARTS,
    reference=reference,
    examples=EXAMPLES,
)
