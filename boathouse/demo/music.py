"""Demo data of the domain `music`: what people play, and files of the songs they play.

A catalogue of tracks is made from the seed; the first of them come as song files, one object
each, in folders after the letters of their track id, and a few a second time under another id. A
day's log has that day's events and depends on nothing but the seed, the day, the catalogue and the
events per day (scale / days).
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from boathouse.demo.common import (
    DemoOptions,
    Document,
    GeneratedFile,
    Ints,
    choose,
    choose_faults,
    choose_index,
    random_for,
    write_faulty_files,
    write_file,
)

SONGS = "songs"
EVENTS = "listening_events"

EVENTS_IN_ALL = 12_000  # over all days, at scale 1
TRACKS = 600
SONG_FILES = 60  # at scale 1; their files are many and small
FEWEST_SONG_FILES = 5
DELIVERED_TWICE = 0.05
USERS = 120
LOGGED_OUT = 0.035
REPEATED = 0.002
PLAYS = 0.85
CHANGES_LEVEL = 0.1  # of the users, those who change from free to paid on some day
EVENTS_PER_SESSION = 25
MILLISECONDS_A_DAY = 86_400_000

PAGES = {"Home": 65, "Login": 8, "Settings": 5, "Help": 4, "About": 3, "Error": 1}
FIRST_NAMES = ("Walter", "Kaylee", "Lily", "Celeste", "Aleena", "Noé", "Jacob", "Rylan", "Tegan")
LAST_NAMES = ("Frye", "Summers", "Koch", "Williams", "Kirby", "García", "Klein", "George")
PLACES = {
    "San Francisco-Oakland-Hayward, CA": 30, "Phoenix-Mesa-Scottsdale, AZ": 20,
    "Chicago-Naperville-Elgin, IL-IN-WI": 25, "Waterloo-Cedar Falls, IA": 15, "Portland, ME": 10,
}  # fmt: skip
AGENTS = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_4) AppleWebKit/537.36",
    '"Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36"',
    "Mozilla/5.0 (X11; Linux x86_64; rv:31.0) Gecko/20100101 Firefox/31.0",
)
WORDS = ("Blue", "Night", "River", "Ghost", "Café", "Silver", "Road", "Heart", "Rain", "Sun")

SONG_FAULTS = ("song_missing", "artist_missing", "duration_text", "duration_negative")
EVENT_FAULTS = ("ts_missing", "ts_text", "ts_seconds", "ts_future", "page_missing", "user_text")

Record = dict[str, Any]


def write_songs(folder: Path, options: DemoOptions) -> Iterator[GeneratedFile]:
    """Write `song_data/A/B/C/TR….json` for the first songs of the catalogue and yield the files.

    With `dirty`, faulty files come beside the last one.
    """
    count = min(TRACKS, max(FEWEST_SONG_FILES, round(SONG_FILES * options.scale)))
    songs = _catalogue(options)[:count]
    rng = random_for(options, SONGS, "delivered")
    songs += [song for song in songs if rng.random() < DELIVERED_TWICE]
    faults = choose_faults(rng, len(songs), options.dirty, SONG_FAULTS)
    for number, (song, fault) in enumerate(zip(songs, faults, strict=True)):
        letters = "".join(chr(ord("A") + number // 26**place % 26) for place in range(3))
        place = folder / "song_data" / "/".join(letters)
        place.mkdir(parents=True, exist_ok=True)
        document = Document(pl.Series([json.dumps(_with_fault(song, fault))]))
        path = write_file(place, f"TR{letters}AA{number:011X}.json", document.encode())
        file = GeneratedFile(SONGS, path, 1)
        yield file
    if options.dirty:
        yield from _faulty_files(file, document, "song_id")


def write_listening_events(folder: Path, options: DemoOptions) -> Iterator[GeneratedFile]:
    """Write `log_data/YYYY/MM/YYYY-MM-DD-events.json` for each day and yield the files.

    Lines are objects; about one in thirty is of somebody who is logged out, with an empty user.
    With `dirty`, faulty files come beside the last one.
    """
    tracks = _catalogue(options)
    users = _users(options)
    for day in options.day_range():
        events = _events(day, tracks, users, options)
        rng = random_for(options, EVENTS, "faults", day)
        faults = choose_faults(rng, len(events), options.dirty, EVENT_FAULTS)
        lines = [json.dumps(_with_fault(*pair)) for pair in zip(events, faults, strict=True)]
        document = Document(pl.Series(lines))
        place = folder / "log_data" / f"{day:%Y}" / f"{day:%m}"
        place.mkdir(parents=True, exist_ok=True)
        path = write_file(place, f"{day}-events.json", document.encode())
        file = GeneratedFile(EVENTS, path, len(events))
        yield file
        if options.dirty and day == options.last_day:
            yield from _faulty_files(file, document.head(), "ts")


def _catalogue(options: DemoOptions) -> list[Record]:
    """Every track, in the form of a song file; a third of the artists have no known place."""
    rng = random_for(options, "catalogue")
    songs = []
    for number in range(TRACKS):
        artist = int(rng.integers(TRACKS // 2))
        has_place = artist % 3 != 0
        title = " ".join(WORDS[at] for at in rng.integers(len(WORDS), size=3))
        songs.append(
            {
                "num_songs": 1,
                "artist_id": f"AR{artist:016X}",
                "artist_latitude": round(artist / 10 - 15, 5) if has_place else None,
                "artist_longitude": round(artist / 5 - 30, 5) if has_place else None,
                "artist_location": list(PLACES)[artist % len(PLACES)] if has_place else "",
                "artist_name": f"The {WORDS[artist % len(WORDS)]} {artist}",
                "song_id": f"SO{number:016X}",
                "title": title,
                "duration": round(float(rng.uniform(90, 420)), 5),
                "year": int(rng.integers(1960, 2018)) if rng.random() < 0.4 else 0,
            }
        )
    return songs


def _users(options: DemoOptions) -> list[Record]:
    """Every user; `paid_from` is the share of a month after which they pay, if they ever do."""
    rng = random_for(options, EVENTS, "users")
    places = choose(rng, USERS, PLACES)
    return [
        {
            "userId": str(number + 2),
            "firstName": FIRST_NAMES[int(rng.integers(len(FIRST_NAMES)))],
            "lastName": LAST_NAMES[int(rng.integers(len(LAST_NAMES)))],
            "gender": "FM"[int(rng.integers(2))],
            "location": str(places[number]),
            "userAgent": AGENTS[int(rng.integers(len(AGENTS)))],
            "registration": float(1_540_000_000_000 + int(rng.integers(10**9))),
            "paid_from": 0.0 if number % 4 == 0 else float(rng.random() / CHANGES_LEVEL),
        }
        for number in range(USERS)
    ]


def _events(
    day: date, tracks: list[Record], users: list[Record], options: DemoOptions
) -> list[Record]:
    """The day's events in the order of time, some of them twice."""
    rng = random_for(options, EVENTS, day)
    count = max(20, round(EVENTS_IN_ALL * options.scale / options.days))
    midnight = int(datetime.combine(day, time(), UTC).timestamp() * 1000)
    times = midnight + np.sort(rng.integers(MILLISECONDS_A_DAY, size=count))
    who = _skewed(rng, count, USERS)
    what = _skewed(rng, count, TRACKS)
    pages = choose(rng, count, PAGES)
    sessions = day.toordinal() * 1000 + rng.integers(1 + count // EVENTS_PER_SESSION, size=count)
    is_out, is_play = rng.random(count) < LOGGED_OUT, rng.random(count) < PLAYS
    events: list[Record] = []
    for at in range(count):
        user = users[int(who[at])]
        track = tracks[int(what[at])] if is_play[at] and not is_out[at] else {}
        # Days count from the month's first, so that the file of a day is the same in every range.
        level = "paid" if day.day / 31 > user["paid_from"] else "free"
        known = {} if is_out[at] else user
        event = {
            "artist": track.get("artist_name"),
            "auth": "Logged Out" if is_out[at] else "Logged In",
            "firstName": known.get("firstName"),
            "gender": known.get("gender"),
            "itemInSession": at % EVENTS_PER_SESSION,
            "lastName": known.get("lastName"),
            "length": track.get("duration"),
            "level": level,
            "location": known.get("location"),
            "method": "PUT" if track else "GET",
            "page": "NextSong" if track else str(pages[at]),
            "registration": known.get("registration"),
            "sessionId": int(sessions[at]),
            "song": track.get("title"),
            "status": 200,
            "ts": int(times[at]),
            "userAgent": known.get("userAgent"),
            "userId": known.get("userId", ""),
        }
        events += [event, event] if rng.random() < REPEATED else [event]
    return events


def _skewed(rng: np.random.Generator, count: int, choices: int) -> Ints:
    """Positions 0 … choices - 1, low ones most often."""
    return choose_index(rng, count, np.power(np.arange(5.0, choices + 5), -0.9))


def _with_fault(record: Record, fault: str | None) -> Record:
    wrong: dict[str | None, Record] = {
        "song_missing": {"song_id": ""},
        "artist_missing": {"artist_id": None},
        "duration_text": {"duration": "three minutes"},
        "duration_negative": {"duration": -1},
        "ts_missing": {"ts": None},
        "ts_text": {"ts": "yesterday"},
        "ts_seconds": {"ts": record.get("ts", 0) // 1000},
        "ts_future": {"ts": 32_503_679_999_000},
        "page_missing": {"page": ""},
        "user_text": {"userId": "somebody"},
    }
    return record | wrong.get(fault, {})


def _faulty_files(file: GeneratedFile, good: Document, key: str) -> Iterator[GeneratedFile]:
    accented = good.records.str.replace("{", '{"note": "José", ', literal=True)
    renamed = good.records.str.replace(f'"{key}":', '"id":', literal=True)
    yield from write_faulty_files(
        file, good=good, latin1=Document(accented), wrong_columns=Document(renamed)
    )
