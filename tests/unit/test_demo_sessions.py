"""The demo session events hold the oddities they promise, in about the promised shares."""

import bz2
import gzip
import re
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from boathouse.demo import DemoOptions, GeneratedFile, generate

UNTIL = date(2024, 3, 10)
NAME = re.compile(r"session_events_\d{4}-\d{2}-\d{2}\.jsonl(\.gz|\.bz2)?")
SCHEMA = {
    "event": pl.String,
    "country": pl.String,
    "player_id": pl.String,
    "session_id": pl.String,
    "ts": pl.String,
}


def read(path: Path) -> pl.DataFrame:
    opened = {".gz": gzip.decompress, ".bz2": bz2.decompress}.get(path.suffix, bytes)
    lines = opened(path.read_bytes())
    day = date.fromisoformat(path.name[15:25])
    return (
        pl.read_ndjson(lines, schema=SCHEMA)
        .with_columns(raw_ts=pl.col("ts"), file_day=pl.lit(day))
        .with_columns(pl.col("ts").str.to_datetime("%Y-%m-%dT%H:%M:%S%.6f", time_unit="us"))
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[GeneratedFile]:
    landing = tmp_path_factory.mktemp("landing")
    return generate(landing, ["session_events"], DemoOptions(until=UNTIL))


@pytest.fixture(scope="module")
def events(files: list[GeneratedFile]) -> pl.DataFrame:
    return pl.concat(read(file.path) for file in files)


@pytest.fixture(scope="module")
def sessions(events: pl.DataFrame) -> pl.DataFrame:
    """One row per session, but those whose events may lie in files not written."""
    return (
        events.group_by("session_id")
        .agg(
            start=pl.col("ts").filter(pl.col("event") == "start").min(),
            end=pl.col("ts").filter(pl.col("event") == "end").max(),
            first_at=pl.col("ts").min(),
        )
        .filter(pl.col("first_at").dt.date().is_between(date(2024, 2, 27), date(2024, 3, 7)))
    )


def test_one_file_per_day_one_of_them_gz_and_one_bz2(files: list[GeneratedFile]) -> None:
    assert len(files) == 14
    assert all(NAME.fullmatch(file.path.name) for file in files)
    assert sorted(file.path.suffix for file in files) == [".bz2", ".gz"] + 12 * [".jsonl"]


def test_scale_one_is_about_100000_events(events: pl.DataFrame) -> None:
    assert events.height == pytest.approx(100_000, rel=0.02)


def test_ids_and_times_have_the_form_of_the_public_data_set(events: pl.DataFrame) -> None:
    uuid4 = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
    assert events["player_id"].str.contains("^[0-9a-f]{32}$").all()
    assert events["session_id"].str.contains(uuid4).all()
    assert events["raw_ts"].str.contains(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$").all()
    assert set(events["event"]) == {"start", "end"}


def test_starts_have_a_country_and_ends_mostly_not(events: pl.DataFrame) -> None:
    has_country = events.group_by("event").agg(pl.col("country").is_not_null().mean())
    share = dict(has_country.iter_rows())
    assert share["start"] == 1
    assert 0 < share["end"] < 0.1
    assert events["country"].drop_nulls().str.contains("^[A-Z]{2}$").all()
    assert 35 <= events["country"].drop_nulls().n_unique() <= 45


def test_about_8_percent_of_starts_have_no_end(sessions: pl.DataFrame) -> None:
    started = sessions.filter(pl.col("start").is_not_null())
    assert started["end"].is_null().mean() == pytest.approx(0.08, abs=0.01)


def test_about_1_percent_of_ends_have_no_start(sessions: pl.DataFrame) -> None:
    ended = sessions.filter(pl.col("end").is_not_null())
    assert ended["start"].is_null().mean() == pytest.approx(0.01, abs=0.004)


def test_a_few_sessions_end_before_they_start(sessions: pl.DataFrame) -> None:
    skewed = sessions.filter(pl.col("end") < pl.col("start")).height / sessions.height
    assert 0 < skewed < 0.01


def test_sessions_last_some_minutes_and_some_run_over_midnight(sessions: pl.DataFrame) -> None:
    in_order = sessions.filter(pl.col("end") >= pl.col("start"))
    median = (in_order["end"] - in_order["start"]).dt.total_seconds().median()
    assert median == pytest.approx(6.5 * 60, rel=0.1)
    assert (in_order["end"].dt.date() > in_order["start"].dt.date()).sum() > 50


def test_an_end_after_midnight_is_in_the_next_days_file(events: pl.DataFrame) -> None:
    assert (events["file_day"] >= events["ts"].dt.date()).all()


def test_some_events_are_late_by_a_day(events: pl.DataFrame) -> None:
    late = (events["file_day"] > events["ts"].dt.date()).mean()
    assert late == pytest.approx(0.0075, abs=0.003)  # 0.5 % late, half of 0.5 % repeated


def test_some_events_come_twice_in_the_same_file_or_a_later_one(events: pl.DataFrame) -> None:
    copies = events.group_by(pl.exclude("file_day")).agg(
        copies=pl.len(), files=pl.col("file_day").n_unique()
    )
    twice = copies.filter(pl.col("copies") > 1)
    assert twice.height / copies.height == pytest.approx(0.005, abs=0.002)
    assert set(twice["files"]) == {1, 2}


def test_few_players_make_most_of_the_sessions(events: pl.DataFrame) -> None:
    per_player = events["player_id"].value_counts()["count"].sort(descending=True)
    busiest = per_player.head(len(per_player) // 10).sum()
    assert 0.3 < busiest / events.height < 0.9


def test_people_play_in_the_evening_of_their_country(events: pl.DataFrame) -> None:
    germans = events.filter((pl.col("country") == "DE") & (pl.col("event") == "start"))
    by_hour = germans["ts"].dt.hour().value_counts().sort("count")
    assert by_hour["ts"][-1] in (18, 19, 20)  # 19 to 21 in Berlin
    assert by_hour["ts"][0] in (1, 2, 3, 4)


def test_dirty_events_have_every_promised_fault(tmp_path: Path) -> None:
    options = DemoOptions(scale=0.05, days=2, dirty=0.5, until=UNTIL)
    text = generate(tmp_path, ["session_events"], options)[0].path.read_text()
    for fault in (
        '"event":"pause"',
        '"event":1,',
        '"event":"start","player_id"',
        '"event":"start","country":"US","session_id"',
        '"player_id":{"id":"',
        '"ts":"2016-13-45T',
        '"ts":"1970-01-01T',
        '"ts":"2999-12-31T',
    ):
        assert fault in text
    assert [line for line in text.splitlines() if not line.endswith("}")]


@pytest.mark.parametrize(("scale", "ending"), [(0.1, ".bz2"), (1.0, ".jsonl")])
def test_bz2_is_for_small_days_only(scale: float, ending: str, tmp_path: Path) -> None:
    options = DemoOptions(scale=scale, days=1, until=date(2024, 2, 27))
    [file] = generate(tmp_path, ["session_events"], options)
    assert file.path.suffix == ending
