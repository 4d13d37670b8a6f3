"""Demo data of the domain `telemetry`: what the client SDK of a mobile game sends.

A file holds what the collector received on one day. Players play on some days after the one on
which they first came, fewer and fewer of them. Their clients send events in batches, some hours
later when a device was offline, and send a batch again when no answer came. A day's file takes its
events from that day and the one before, and depends on the seed, the day and the events per day
(scale / days) alone.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from boathouse.demo.common import (
    DemoOptions,
    Document,
    GeneratedFile,
    Ints,
    choose,
    choose_faults,
    random_for,
    write_faulty_files,
    write_file,
)

SOURCE = "game_events"

EVENTS = 15_000  # over all days, at scale 1
# Share of new players who play again 0, 1, 2 … days later; nobody comes after the last of them.
RETURNING = (1.0, 0.42, 0.31, 0.26, 0.22, 0.2, 0.18, 0.17, *(0.1,) * 6, *(0.05,) * 14)
EVENTS_PER_PLAYER_DAY = 14.9  # what the shares below come to; the test keeps them together
ATTEMPTS = 4.0  # mean of a player's day, beside one that is certain
COMPLETED, FAILED = 0.55, 0.35  # of attempts; the rest is given up without an event
ACTIONS = 4.0  # mean of a player's day
BUYING = 0.1  # of players on a day
OFFLINE = 0.03  # of batches, that come hours later
RETRIED = 0.04  # of batches, that come twice
BATCHES_PER_PLAYER_DAY = 3

LATEST_START = 23 * 3600  # seconds of the day
LONGEST_SESSION = 3600
LONGEST_OFFLINE = 11 * 3600
LONGEST_RETRY = 10 * 3600  # together they end a day later: see LONGEST_DELAY_DAYS
LONGEST_DELAY_DAYS = 1

PLATFORMS = {"android": 62, "ios": 38}
VERSIONS = {"2.4.1": 60, "2.4.0": 25, "2.3.7": 15}
CURRENCIES = {"USD": 55, "EUR": 25, "GBP": 10, "usd": 10}
PRICES = {"0.99": 50, "4.99": 30, "9.99": 15, "49.99": 5}

FAULTS = (
    "id_missing",
    "player_missing",
    "name_unknown",
    "level_missing",
    "currency_missing",
    "clock_ahead",
    "clock_years_off",
    "time_impossible",
    "line_cut",
)
_LEVEL_EVENTS = ("level_start", "level_complete", "level_fail")
_COLUMNS = (
    "event_id", "player_id", "session_id", "event_name", "level", "item_id", "amount", "currency",
    "platform", "app_version", "occurred_at", "received_at",
)  # fmt: skip
_NUMBERS = ("level", "amount")


def write_game_events(folder: Path, options: DemoOptions) -> Iterator[GeneratedFile]:
    """Write `game_events_YYYY-MM-DD.jsonl`, what was received on each day, and yield the files.

    With `dirty`, clocks are wrong and required values missing, and faulty files come beside the
    last day's.
    """
    before: pl.DataFrame | None = None
    for day in options.day_range(days_before=LONGEST_DELAY_DAYS):
        sent = _sent_by_players_of(day, options)
        if before is not None:
            received = pl.concat([before, sent]).filter(pl.col("received_at").dt.date() == day)
            received = received.sort("received_at", "occurred_at", "event_id")
            rng = random_for(options, SOURCE, "faults", day)
            faults = choose_faults(rng, received.height, options.dirty, FAULTS)
            document = Document(_as_json_lines(received, faults))
            path = write_file(folder, f"game_events_{day}.jsonl", document.encode())
            file = GeneratedFile(SOURCE, path, received.height)
            yield file
            if options.dirty and day == options.last_day:
                yield from _faulty_files(file, document.head())
        before = sent


def _sent_by_players_of(day: date, options: DemoOptions) -> pl.DataFrame:
    """All deliveries of events that happened in the sessions of a day."""
    rng = random_for(options, SOURCE, day)
    players = _players_of(rng, day, options)
    events = _with_batches(rng, _events_of(rng, players), day)
    retried = events.filter("is_retried").with_columns(
        pl.col("received_at") + pl.duration(seconds="retried_after")
    )
    return pl.concat([events, retried])


def _players_of(rng: np.random.Generator, day: date, options: DemoOptions) -> pl.DataFrame:
    """Who plays on a day: some of those who first came on it and on the days before."""
    player_days = EVENTS * options.scale / options.days / EVENTS_PER_PLAYER_DAY
    cohort = max(2, round(player_days / sum(RETURNING)))
    ages = np.repeat(np.arange(len(RETURNING)), cohort)
    numbers = np.tile(np.arange(cohort), len(RETURNING))
    is_there = rng.random(len(ages)) < np.array(RETURNING)[ages]
    ages, numbers = ages[is_there], numbers[is_there]
    count = len(ages)
    return pl.DataFrame({"age": ages, "number": numbers}).select(
        player_id=pl.format("p{}-{}", day.toordinal() - pl.col("age"), "number"),
        session_id=pl.format("s{}-{}-{}", pl.lit(day.toordinal()), "age", "number"),
        platform=pl.Series(choose(rng, count, PLATFORMS)),
        app_version=pl.Series(choose(rng, count, VERSIONS)),
        level=1 + pl.col("age"),
        start=pl.Series(rng.integers(LATEST_START, size=count)),
    )


def _events_of(rng: np.random.Generator, players: pl.DataFrame) -> pl.DataFrame:
    """What these players do in their sessions, with `second` of the day."""
    starts = _happening(rng, players, np.ones(players.height, dtype=np.int64))
    starts = starts.with_columns(level=None, second=pl.col("start"))
    attempts = _happening(rng, players, 1 + rng.poisson(ATTEMPTS, players.height))
    attempts = attempts.with_columns(level=pl.col("level") + pl.Series(_steps(rng, attempts)))
    fate = rng.random(attempts.height)
    ends = attempts.with_columns(
        pl.col("second") + pl.Series(rng.integers(10, 180, size=attempts.height))
    )
    completed = ends.filter(pl.Series(fate < COMPLETED))
    failed = ends.filter(pl.Series((fate >= COMPLETED) & (fate < COMPLETED + FAILED)))
    actions = _happening(rng, players, rng.poisson(ACTIONS, players.height))
    bought = _happening(rng, players, (rng.random(players.height) < BUYING).astype(np.int64))
    named = {
        "session_start": starts,
        "level_start": attempts,
        "level_complete": completed,
        "level_fail": failed,
        "action": actions.with_columns(level=None),
        "purchase": bought.with_columns(level=None),
    }
    events = pl.concat(
        [
            frame.with_columns(pl.col("level").cast(pl.Int64), event_name=pl.lit(name))
            for name, frame in named.items()
        ]
    )
    count = events.height
    is_purchase = pl.col("event_name") == "purchase"
    uses_item = is_purchase | (pl.col("event_name") == "action")
    item = pl.format("item-{}", pl.Series(rng.integers(1, 40, size=count)))
    return events.with_columns(
        event_id=pl.format("{}-{}", "session_id", pl.int_range(count)),
        item_id=pl.when(uses_item).then(item),
        amount=pl.when(is_purchase).then(pl.Series(choose(rng, count, PRICES))),
        currency=pl.when(is_purchase).then(pl.Series(choose(rng, count, CURRENCIES))),
    )


def _happening(rng: np.random.Generator, players: pl.DataFrame, times: Ints) -> pl.DataFrame:
    """Each player's row as often as `times` says, at some `second` of their session."""
    rows = players[np.repeat(np.arange(players.height), times)]
    return rows.with_columns(
        second=pl.col("start") + pl.Series(rng.integers(LONGEST_SESSION, size=rows.height))
    )


def _steps(rng: np.random.Generator, attempts: pl.DataFrame) -> Ints:
    """How many levels beyond the one they reached players try: mostly the same again."""
    return rng.geometric(0.7, attempts.height) - 1


def _with_batches(rng: np.random.Generator, events: pl.DataFrame, day: date) -> pl.DataFrame:
    """Add when events occurred and when their batch was received, and may be received again."""
    count = events.height
    midnight = pl.lit(day).cast(pl.Datetime("us"))
    microseconds = pl.lit(pl.Series(rng.integers(1_000_000, size=count)))
    batch = ["session_id", "batch"]
    batched = events.with_columns(
        occurred_at=midnight + pl.duration(seconds="second", microseconds=microseconds),
        batch=pl.Series(rng.integers(BATCHES_PER_PLAYER_DAY, size=count)),
        delay=pl.Series(
            np.where(
                rng.random(count) < OFFLINE,
                rng.integers(60, LONGEST_OFFLINE, size=count),
                rng.integers(1, 60, size=count),
            )
        ),
        is_retried=pl.Series(rng.random(count) < RETRIED),
        retried_after=pl.Series(rng.integers(5, LONGEST_RETRY, size=count)),
    )
    # What was drawn for a batch's first event goes for all of it.
    return batched.with_columns(
        received_at=pl.col("occurred_at").max().over(batch)
        + pl.duration(seconds=pl.col("delay").first().over(batch)),
        is_retried=pl.col("is_retried").first().over(batch),
        retried_after=pl.col("retried_after").first().over(batch),
    )


def _as_json_lines(events: pl.DataFrame, faults: pl.Series) -> pl.Series:
    """One JSON object per event without what it has not, faulty where `faults` names a fault."""
    fault = pl.col("fault")
    has_no_level = ~pl.col("event_name").is_in(_LEVEL_EVENTS)
    has_no_price = pl.col("currency").is_null()
    events = events.with_columns(faults).with_columns(
        # What is not there cannot be missing.
        fault=pl.when((fault == "level_missing") & has_no_level)
        .then(pl.lit("name_unknown"))
        .when((fault == "currency_missing") & has_no_price)
        .then(pl.lit("clock_ahead"))
        .otherwise(fault)
    )
    occurred_at = pl.col("occurred_at")
    occurred_at = (
        pl.when(fault == "clock_ahead").then(pl.col("received_at").dt.offset_by("3h"))
        .when(fault == "clock_years_off").then(occurred_at.dt.offset_by("-3y"))
        .otherwise(occurred_at)
    )  # fmt: skip
    texts = events.with_columns(
        pl.when(fault == "name_unknown").then(pl.lit("teleport")).otherwise("event_name")
        .alias("event_name"),
        pl.when(fault == "time_impossible").then(pl.lit("2016-13-45T25:61:00"))
        .otherwise(_iso(occurred_at)).alias("occurred_at"),
        _iso(pl.col("received_at")).alias("received_at"),
    )  # fmt: skip
    missing = {
        "event_id": "id_missing",
        "player_id": "player_missing",
        "level": "level_missing",
        "currency": "currency_missing",
    }
    fields = []
    for name in _COLUMNS:
        value = pl.col(name).cast(pl.String)
        if name in missing:
            value = pl.when(fault.ne_missing(missing[name])).then(value)
        shown = "{}" if name in _NUMBERS else '"{}"'
        fields.append(pl.format(f'"{name}":{shown}', value))
    record = pl.concat_str(fields, separator=",", ignore_nulls=True)
    line = pl.concat_str(pl.lit("{"), record, pl.lit("}"))
    half = line.str.slice(0, line.str.len_chars() // 2)
    return texts.select(line=pl.when(fault == "line_cut").then(half).otherwise(line)).to_series()


def _iso(moment: pl.Expr) -> pl.Expr:
    return moment.dt.to_string("%Y-%m-%dT%H:%M:%S%.6f")


def _faulty_files(file: GeneratedFile, good: Document) -> Iterator[GeneratedFile]:
    accented = good.records.str.replace('"player_id":"', '"player_id":"José-', literal=True)
    renamed = good.records.str.replace('"event_id":', '"id":', literal=True)
    yield from write_faulty_files(
        file, good=good, latin1=Document(accented), wrong_columns=Document(renamed)
    )
