"""The demo telemetry holds the oddities it promises, in about the promised shares."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from boathouse.demo import DemoOptions, generate

UNTIL = date(2024, 3, 10)
TEXTS = ("event_id", "player_id", "session_id", "event_name", "item_id", "currency", "platform")


def read(path: Path) -> pl.DataFrame:
    schema = dict.fromkeys((*TEXTS, "occurred_at", "received_at"), pl.String)
    lines = pl.read_ndjson(path, schema={**schema, "level": pl.Int64, "amount": pl.Float64})
    return lines.with_columns(
        pl.col("occurred_at", "received_at").str.to_datetime("%Y-%m-%dT%H:%M:%S%.6f"),
        file_day=pl.lit(date.fromisoformat(path.name[12:22])),
    )


@pytest.fixture(scope="module")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    landing = tmp_path_factory.mktemp("landing")
    files = generate(landing, ["game_events"], DemoOptions(until=UNTIL))
    assert [file.path.name for file in files] == [
        f"game_events_{UNTIL - timedelta(days=back)}.jsonl" for back in reversed(range(14))
    ]
    return pl.concat(read(file.path) for file in files)


@pytest.fixture(scope="module")
def events(deliveries: pl.DataFrame) -> pl.DataFrame:
    return deliveries.sort("received_at").unique("event_id", keep="first")


def test_scale_one_is_about_15000_events(events: pl.DataFrame) -> None:
    assert events.height == pytest.approx(15_000, rel=0.1)


def test_a_file_holds_what_was_received_on_its_day_and_nothing_from_the_future(
    deliveries: pl.DataFrame,
) -> None:
    assert (deliveries["received_at"].dt.date() == deliveries["file_day"]).all()
    assert (deliveries["occurred_at"] < deliveries["received_at"]).all()
    late = deliveries.filter(pl.col("occurred_at").dt.date() < pl.col("file_day"))
    assert 0.005 < late.height / deliveries.height < 0.1


def test_some_batches_come_twice_the_same_but_for_when_they_were_received(
    deliveries: pl.DataFrame,
) -> None:
    copies = deliveries.group_by("event_id").agg(
        copies=pl.len(),
        contents=pl.struct(pl.exclude("event_id", "received_at", "file_day")).n_unique(),
        times=pl.col("received_at").n_unique(),
        files=pl.col("file_day").n_unique(),
    )
    assert (copies["contents"] == 1).all()
    assert (copies["times"] == copies["copies"]).all()
    twice = copies.filter(pl.col("copies") > 1)
    assert twice.height / copies.height == pytest.approx(0.04, abs=0.015)
    assert set(twice["files"]) == {1, 2}


def test_events_have_what_their_kind_requires(events: pl.DataFrame) -> None:
    kinds = {"session_start", "level_start", "level_complete", "level_fail", "purchase", "action"}
    assert set(events["event_name"]) == kinds
    is_level = events["event_name"].str.starts_with("level_")
    assert (events["level"].is_not_null() == is_level).all()
    is_purchase = events["event_name"] == "purchase"
    assert (events["amount"].is_not_null() == is_purchase).all()
    assert (events["currency"].is_not_null() == is_purchase).all()
    assert set(events["currency"].drop_nulls()) == {"USD", "EUR", "GBP", "usd"}


def test_fewer_players_come_back_each_day_and_levels_are_not_all_completed(
    events: pl.DataFrame,
) -> None:
    newcomers = events.filter(pl.col("level") == 1)["player_id"].unique()
    days = events.filter(pl.col("player_id").is_in(newcomers.implode())).select(
        "player_id", day=pl.col("occurred_at").dt.date()
    )
    first = pl.col("day").min().over("player_id")
    ages = days.unique().with_columns(age=(pl.col("day") - first).dt.total_days())["age"]
    assert (ages == 0).sum() > (ages == 1).sum() > (ages == 7).sum() > 0
    counts = dict(events["event_name"].value_counts().iter_rows())
    assert counts["level_start"] > counts["level_complete"] > counts["level_fail"] > 0


def test_dirty_events_have_every_promised_fault(tmp_path: Path) -> None:
    options = DemoOptions(days=1, dirty=0.7, scale=0.2, until=UNTIL)
    text = generate(tmp_path, ["game_events"], options)[0].path.read_text()
    for fault in (
        '{"player_id"',
        '"event_name":"teleport"',
        '"event_name":"level_start","platform"',
        '"occurred_at":"2021-03-',
        '"occurred_at":"2016-13-45T',
    ):
        assert fault in text, fault
    assert [line for line in text.splitlines() if not line.endswith("}")]
