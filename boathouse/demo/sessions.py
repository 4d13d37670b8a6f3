"""Demo data of the domain `sessions`: starts and ends of sessions in a mobile game.

A file holds the events delivered on one day. An event's delivery day is the day it happened
(UTC) or, for late and repeated ones, one later. Since a session belongs to the day of its start,
a day's file takes its events from the sessions of that day and the two days before, and depends
on nothing but the seed, the day and the events per day (scale / days): another range of the same
length writes the same files for the days both have.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from boathouse.demo.common import (
    DemoOptions,
    Document,
    Floats,
    GeneratedFile,
    Ints,
    choose_faults,
    choose_index,
    random_for,
    write_faulty_files,
    write_file,
)

SOURCE = "session_events"

EVENTS = 100_000  # over all days, at scale 1
PLAYERS = 5_000  # at scale 1
STARTS_WITHOUT_END = 0.08
ENDS_WITHOUT_START = 0.01
REPEATED = 0.005
LATE = 0.005
SKEWED_CLOCK = 0.003
ABROAD = 0.02
ENDS_WITH_COUNTRY = 0.03
EVENTS_PER_SESSION = (2 - STARTS_WITHOUT_END - ENDS_WITHOUT_START) * (1 + REPEATED)

# An end after midnight comes a day after its session's start, and one day late at most.
LONGEST_DELAY_DAYS = 2
# bz2 takes about 0.1 s per 10,000 events.
LARGEST_BZ2_EVENTS = 20_000

MICROSECONDS_PER_HOUR = 3_600_000_000
MICROSECONDS_PER_DAY = 24 * MICROSECONDS_PER_HOUR

# Country -> (weight, hours ahead of UTC).
COUNTRIES: dict[str, tuple[float, float]] = {
    "US": (150, -6), "IN": (110, 5.5), "BR": (80, -3), "DE": (60, 1), "GB": (55, 0),
    "FR": (50, 1), "MX": (48, -6), "ID": (48, 7), "TR": (45, 3), "RU": (42, 3),
    "JP": (40, 9), "PK": (34, 5), "PH": (32, 8), "IT": (32, 1), "ES": (30, 1),
    "VN": (28, 7), "PL": (26, 1), "CA": (25, -5), "KR": (24, 9), "EG": (22, 2),
    "TH": (20, 7), "NG": (18, 1), "AR": (18, -3), "AU": (17, 10), "CO": (16, -5),
    "SA": (15, 3), "NL": (14, 1), "BD": (13, 6), "ZA": (12, 2), "MY": (12, 8),
    "UA": (11, 2), "KE": (9, 3), "CL": (9, -4), "SE": (8, 1), "PE": (8, -5),
    "RO": (7, 2), "PT": (6, 0), "GR": (6, 2), "CZ": (6, 1), "FI": (4, 2), "NZ": (4, 12),
}  # fmt: skip

# How much is played in each hour of the player's day: least at 4, most at 20.
HOUR_WEIGHTS = (
    22, 13, 8, 5, 4, 6, 12, 24, 32, 33, 34, 38, 48, 46, 41, 43, 50, 58, 67, 78, 84, 79, 62, 40,
)  # fmt: skip
# Monday … Sunday; the mean is 1, so a whole week keeps the volume.
WEEKDAY_FACTORS = (0.93, 0.91, 0.92, 0.94, 1.0, 1.16, 1.14)

FAULTS = (
    "player_missing",
    "player_nested",
    "country_missing",
    "event_unknown",
    "event_number",
    "ts_impossible",
    "ts_1970",
    "ts_future",
    "line_cut",
)


@dataclass(frozen=True)
class Players:
    """Everybody who plays: id, home country (position in COUNTRIES) and share of the sessions."""

    ids: pl.Series
    home: Ints
    activity: Floats


def write_session_events(folder: Path, options: DemoOptions) -> Iterator[GeneratedFile]:
    """Write `session_events_YYYY-MM-DD.jsonl` for each day and yield the files.

    One day in 14 comes as `.jsonl.gz`, one as `.jsonl.bz2` (while that is quick). A record is a
    start (with country) or an end (mostly without) with `player_id`, `session_id` and `ts` in
    UTC. With `dirty`, faulty files come beside the last day's.
    """
    players = _players(options)
    recent: deque[pl.DataFrame] = deque(maxlen=LONGEST_DELAY_DAYS + 1)
    for number, day in enumerate(options.day_range(days_before=LONGEST_DELAY_DAYS)):
        recent.appendleft(_events_of_sessions_started_on(day, players, options))
        if number < LONGEST_DELAY_DAYS:
            continue
        delivered = _delivered(list(recent))
        rng = random_for(options, SOURCE, "faults", day)
        faults = choose_faults(rng, delivered.height, options.dirty, FAULTS)
        document = Document(_as_json_lines(delivered, faults))
        path = write_file(folder, _file_name(day, delivered.height), document.encode())
        file = GeneratedFile(SOURCE, path, delivered.height)
        yield file
        if options.dirty and day == options.last_day:
            yield from _faulty_files(file, document.head())


def _players(options: DemoOptions) -> Players:
    rng = random_for(options, SOURCE, "players")
    count = max(20, round(PLAYERS * options.scale))
    weights = [weight for weight, _ in COUNTRIES.values()]
    # A power law: few players make most of the sessions, whatever their place in the list.
    activity: Floats = np.power(rng.permutation(count) + 5.0, -0.8)
    return Players(_random_hex(rng, count), choose_index(rng, count, weights), activity)


def _events_of_sessions_started_on(
    day: date, players: Players, options: DemoOptions
) -> pl.DataFrame:
    """Events of the day's sessions, with `delay`: days from `day` to the file they come in."""
    rng = random_for(options, SOURCE, day)
    events = EVENTS * options.scale / options.days * WEEKDAY_FACTORS[day.weekday()]
    count = max(1, round(events / EVENTS_PER_SESSION))
    player = choose_index(rng, count, players.activity)
    home = players.home[player]
    start = _start_of_day_microseconds(rng, home)
    length = _length_microseconds(rng, count)
    country = np.where(rng.random(count) < ABROAD, rng.integers(len(COUNTRIES), size=count), home)
    has_end = rng.random(count) >= STARTS_WITHOUT_END
    has_start = ~has_end | (rng.random(count) >= ENDS_WITHOUT_START)
    end_has_country = rng.random(count) < ENDS_WITH_COUNTRY

    sessions = pl.DataFrame(
        {
            "country": pl.Series(list(COUNTRIES)).gather(country),
            "player_id": players.ids.gather(player),
            "session_id": _random_uuid4(rng, count),
            "start": start,
            "end": start + length,
            "has_start": has_start,
            "has_end": has_end,
            "end_has_country": end_has_country,
        }
    )
    who = ["player_id", "session_id"]
    starts = sessions.filter("has_start").select(
        pl.lit("start").alias("event"), "country", *who, pl.col("start").alias("since_midnight")
    )
    ends = sessions.filter("has_end").select(
        pl.lit("end").alias("event"),
        pl.when("end_has_country").then("country").alias("country"),
        *who,
        pl.col("end").alias("since_midnight"),
    )
    return _with_delays(rng, pl.concat([starts, ends]), day)


def _start_of_day_microseconds(rng: np.random.Generator, home: Ints) -> Ints:
    """Start of each session since midnight UTC, after the rhythm of its country's day."""
    hours_ahead = np.array([offset for _, offset in COUNTRIES.values()])[home]
    local_hour = choose_index(rng, len(home), HOUR_WEIGHTS) + rng.random(len(home))
    microseconds = (local_hour - hours_ahead) * MICROSECONDS_PER_HOUR
    since_midnight: Ints = microseconds.astype(np.int64) % MICROSECONDS_PER_DAY
    return since_midnight


def _length_microseconds(rng: np.random.Generator, count: int) -> Ints:
    """Length of each session: log-normal, half of them below 6.5 minutes; negative if skewed."""
    minutes = np.clip(rng.lognormal(np.log(6.5), 0.9, count), 1 / 60, 6 * 60)
    behind = -rng.exponential(1.5, count) - 1 / 60
    is_skewed = rng.random(count) < SKEWED_CLOCK
    return (np.where(is_skewed, behind, minutes) * 60_000_000).astype(np.int64)


def _with_delays(rng: np.random.Generator, events: pl.DataFrame, day: date) -> pl.DataFrame:
    """Add `ts` and `delay`; make some events late and deliver some a second time."""
    days_on = pl.col("since_midnight") // MICROSECONDS_PER_DAY
    is_late = pl.Series(rng.random(events.height) < LATE)
    events = events.with_columns(
        ts=pl.lit(day).cast(pl.Datetime("us")) + pl.duration(microseconds="since_midnight"),
        delay=days_on.clip(lower_bound=0) + is_late.cast(pl.Int64),
    ).drop("since_midnight")
    repeated = events.filter(pl.Series(rng.random(events.height) < REPEATED))
    again_next_day = pl.Series(rng.integers(2, size=repeated.height))
    repeated = repeated.with_columns(pl.col("delay") + again_next_day)
    return pl.concat([events, repeated]).with_columns(
        pl.col("delay").clip(upper_bound=LONGEST_DELAY_DAYS)
    )


def _delivered(recent: list[pl.DataFrame]) -> pl.DataFrame:
    """Events delivered on the first of the days in `recent`, which goes back in time."""
    parts = [events.filter(pl.col("delay") == delay) for delay, events in enumerate(recent)]
    return pl.concat(parts).sort("ts", "session_id", "event")


def _as_json_lines(events: pl.DataFrame, faults: pl.Series) -> pl.Series:
    """One JSON object per event, faulty where `faults` names a fault."""
    fault = pl.col("fault")
    is_start = pl.col("event") == "start"
    events = events.with_columns(faults).with_columns(
        # An end without country is no fault.
        fault=pl.when((fault == "country_missing") & ~is_start)
        .then(pl.lit("event_unknown"))
        .otherwise(fault)
    )
    event = (
        pl.when(fault == "event_unknown").then(pl.lit('"pause"'))
        .when(fault == "event_number").then(pl.lit("1"))
        .otherwise(pl.format('"{}"', "event"))
    )  # fmt: skip
    country = (
        pl.when(pl.col("country").is_null() | (fault == "country_missing")).then(pl.lit(""))
        .otherwise(pl.format('"country":"{}",', "country"))
    )  # fmt: skip
    player = (
        pl.when(fault == "player_missing").then(pl.lit(""))
        .when(fault == "player_nested").then(pl.format('"player_id":{{"id":"{}"}},', "player_id"))
        .otherwise(pl.format('"player_id":"{}",', "player_id"))
    )  # fmt: skip
    ts = (
        pl.when(fault == "ts_impossible").then(pl.lit("2016-13-45T25:61:00"))
        .when(fault == "ts_1970").then(pl.lit("1970-01-01T00:00:00"))
        .when(fault == "ts_future").then(pl.lit("2999-12-31T23:59:59"))
        .otherwise(pl.col("ts").dt.to_string("%Y-%m-%dT%H:%M:%S%.6f"))
    )  # fmt: skip
    line = pl.concat_str(
        pl.lit('{"event":'), event, pl.lit(","), country, player,
        pl.lit('"session_id":"'), "session_id", pl.lit('","ts":"'), ts, pl.lit('"}'),
    )  # fmt: skip
    half = line.str.slice(0, line.str.len_chars() // 2)
    return events.select(line=pl.when(fault == "line_cut").then(half).otherwise(line)).to_series()


def _file_name(day: date, events: int) -> str:
    name = f"session_events_{day}.jsonl"
    day_of_fortnight = day.toordinal() % 14
    if day_of_fortnight == 4:
        return f"{name}.gz"
    if day_of_fortnight == 9 and events <= LARGEST_BZ2_EVENTS:
        return f"{name}.bz2"
    return name


def _faulty_files(file: GeneratedFile, good: Document) -> Iterator[GeneratedFile]:
    accented = good.records.str.replace('"player_id":"', '"player_id":"José-', literal=True)
    renamed = good.records.str.replace('"session_id":', '"sid":', literal=True)
    yield from write_faulty_files(
        file, good=good, latin1=Document(accented), wrong_columns=Document(renamed)
    )


def _random_hex(rng: np.random.Generator, count: int) -> pl.Series:
    """Random ids of 32 hexadecimal characters."""
    return _as_hex(np.frombuffer(rng.bytes(16 * count), dtype=np.uint8).reshape(count, 16))


def _random_uuid4(rng: np.random.Generator, count: int) -> pl.Series:
    """Random ids in the form of a UUID of version 4 (RFC 9562)."""
    octets = np.frombuffer(rng.bytes(16 * count), dtype=np.uint8).reshape(count, 16).copy()
    octets[:, 6] = octets[:, 6] & 0x0F | 0x40
    octets[:, 8] = octets[:, 8] & 0x3F | 0x80
    text = _as_hex(octets)
    parts = [(0, 8), (8, 4), (12, 4), (16, 4), (20, 12)]
    return pl.select(
        pl.concat_str([text.str.slice(at, length) for at, length in parts], separator="-")
    ).to_series()


def _as_hex(octets: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> pl.Series:
    digits = np.frombuffer(octets.tobytes().hex().encode(), dtype="S32")
    return pl.Series(digits.tolist(), dtype=pl.Binary).cast(pl.String)
