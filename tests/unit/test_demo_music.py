"""The demo logs and songs hold the oddities they promise."""

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from boathouse.demo import DemoOptions, GeneratedFile, generate

UNTIL = date(2024, 3, 10)


@pytest.fixture(scope="module")
def song_files(tmp_path_factory: pytest.TempPathFactory) -> list[GeneratedFile]:
    return generate(tmp_path_factory.mktemp("songs"), ["songs"], DemoOptions(until=UNTIL))


@pytest.fixture(scope="module")
def songs(song_files: list[GeneratedFile]) -> pl.DataFrame:
    return pl.DataFrame([json.loads(file.path.read_text()) for file in song_files])


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    landing = tmp_path_factory.mktemp("events")
    files = generate(landing, ["listening_events"], DemoOptions(until=UNTIL))
    assert files[0].path == landing / "listening_events/log_data/2024/02/2024-02-26-events.json"
    return pl.concat(pl.read_ndjson(file.path, infer_schema_length=None) for file in files)


def test_songs_are_one_object_a_file_in_folders_after_their_letters(
    song_files: list[GeneratedFile],
) -> None:
    for file in song_files:
        *_, root, a, b, c, name = file.path.parts
        assert (root, len(name)) == ("song_data", len("TR.json") + 16)
        assert name.startswith(f"TR{a}{b}{c}")
    assert len({file.path for file in song_files}) == len(song_files)


def test_a_few_songs_come_twice_and_some_years_and_places_are_missing(songs: pl.DataFrame) -> None:
    assert songs["song_id"].n_unique() == 60 < songs.height
    assert songs.unique().height == 60
    assert 0.4 < (songs["year"] == 0).mean() < 0.8
    assert 0.1 < (songs["artist_location"] == "").mean() < 0.6
    assert songs["artist_latitude"].is_null().any()


def test_plays_are_of_users_and_some_of_songs_that_are_known(
    events: pl.DataFrame, songs: pl.DataFrame
) -> None:
    assert events.height == pytest.approx(12_000, rel=0.01)
    plays = events.filter(pl.col("page") == "NextSong")
    assert plays.height / events.height == pytest.approx(0.82, abs=0.02)
    assert plays["song"].is_not_null().all()
    assert (plays["userId"] != "").all()
    known = plays.join(
        songs.unique(),
        left_on=["song", "artist", "length"],
        right_on=["title", "artist_name", "duration"],
    )
    assert 0.2 < known.height / plays.height < 0.6


def test_who_is_logged_out_has_an_empty_id_and_no_name(events: pl.DataFrame) -> None:
    logged_out = events.filter(pl.col("auth") == "Logged Out")
    assert logged_out.height / events.height == pytest.approx(0.035, abs=0.01)
    assert (logged_out["userId"] == "").all()
    assert logged_out["firstName"].is_null().all()


def test_some_users_change_their_level_and_some_events_come_twice(events: pl.DataFrame) -> None:
    levels = (
        events.filter(pl.col("userId") != "").group_by("userId").agg(pl.col("level").n_unique())
    )
    assert levels["level"].max() == 2
    repeated = 1 - events.unique().height / events.height
    assert repeated == pytest.approx(0.002, abs=0.0015)


def test_dirty_records_have_every_promised_fault(tmp_path: Path) -> None:
    options = DemoOptions(scale=1, days=1, dirty=0.5, until=UNTIL)
    files = generate(tmp_path, ["songs", "listening_events"], options)
    text = "".join(file.path.read_text() for file in files if "_" not in file.path.name)
    for fault in (
        '"song_id": ""', '"artist_id": null', '"duration": "three minutes"', '"duration": -1',
        '"ts": null', '"ts": "yesterday"', '"ts": 32503679999000', '"page": ""',
        '"userId": "somebody"',
    ):  # fmt: skip
        assert fault in text
    assert '"ts": 17' in text
