"""The demo purchases tell a history: new, changed, deleted and returning ones, day by day."""

import re
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from boathouse.demo import DemoOptions, GeneratedFile, generate

UNTIL = date(2024, 3, 10)
FIRST = date(2024, 2, 26)
NAME = re.compile(r"purchases_\d{4}-\d{2}-\d{2}\.csv")


def day_of(path: Path) -> date:
    return date.fromisoformat(path.name[10:20])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[GeneratedFile]:
    return generate(tmp_path_factory.mktemp("landing"), ["purchases"], DemoOptions(until=UNTIL))


@pytest.fixture(scope="module")
def snapshots(files: list[GeneratedFile]) -> pl.DataFrame:
    return pl.concat(
        pl.read_csv(file.path, try_parse_dates=True).with_columns(day=pl.lit(day_of(file.path)))
        for file in files
    )


@pytest.fixture(scope="module")
def steps(snapshots: pl.DataFrame) -> pl.DataFrame:
    """Each purchase and day from the second on, with the row of the day before."""
    after = snapshots.filter(pl.col("day") > FIRST)
    before = snapshots.filter(pl.col("day") < UNTIL).with_columns(pl.col("day") + timedelta(days=1))
    return after.join(before, on=["PurchaseID", "day"], how="full", suffix="_old", coalesce=True)


def test_one_snapshot_per_day_under_the_promised_header(files: list[GeneratedFile]) -> None:
    assert [day_of(file.path) for file in files] == [FIRST + timedelta(days=n) for n in range(14)]
    assert all(NAME.fullmatch(file.path.name) for file in files)
    for file in files:
        assert file.path.read_text().startswith("PurchaseID,product,user,date\n1002313000,")


def test_first_snapshot_has_2000_purchases_of_up_to_three_years(snapshots: pl.DataFrame) -> None:
    first = snapshots.filter(pl.col("day") == FIRST)
    assert first.height == 2_000
    assert (first["date"] < FIRST).all()
    assert (first["date"] >= FIRST - timedelta(days=3 * 365)).all()


def test_a_purchase_is_once_in_a_snapshot_and_never_from_the_future(
    snapshots: pl.DataFrame,
) -> None:
    assert not snapshots.select("PurchaseID", "day").is_duplicated().any()
    assert (snapshots["date"] <= snapshots["day"]).all()
    assert snapshots.null_count().sum_horizontal().item() == 0


def test_about_2_percent_are_new_each_day_with_the_day_as_date(snapshots: pl.DataFrame) -> None:
    first_seen = snapshots.group_by("PurchaseID").agg(pl.col("day", "date").sort_by("day").first())
    new = first_seen.filter(pl.col("day") > FIRST)
    assert new.height / snapshots.filter(pl.col("day") < UNTIL).height == pytest.approx(
        0.02, rel=0.2
    )
    assert (new["date"] == new["day"]).all()


def test_about_1_percent_change_product_and_mostly_the_date(steps: pl.DataFrame) -> None:
    kept = steps.drop_nulls()
    changed = kept.filter(pl.col("product") != pl.col("product_old"))
    assert changed.height / kept.height == pytest.approx(0.01, rel=0.25)
    assert changed.select((pl.col("date") == pl.col("day")).mean()).item() == pytest.approx(
        0.8, abs=0.1
    )
    assert changed.filter(pl.col("date") == pl.col("date_old")).height > 0
    assert (kept["user"] == kept["user_old"]).all()
    unchanged = kept.filter(pl.col("product") == pl.col("product_old"))
    assert (unchanged["date"] == unchanged["date_old"]).all()


def test_about_half_a_percent_are_deleted_each_day(steps: pl.DataFrame) -> None:
    deleted = steps.filter(pl.col("product").is_null()).height
    existing = steps.filter(pl.col("product_old").is_not_null()).height
    assert deleted / existing == pytest.approx(0.005, rel=0.35)


def test_some_deleted_purchases_return_days_later_as_they_were(snapshots: pl.DataFrame) -> None:
    by_purchase = (
        snapshots.sort("PurchaseID", "day")
        .with_columns(
            away=pl.col("day").diff().over("PurchaseID").dt.total_days(),
            product_old=pl.col("product").shift().over("PurchaseID"),
        )
        .filter(pl.col("away") > 1)
    )
    assert by_purchase.height > 5
    assert by_purchase["away"].n_unique() > 2
    assert (by_purchase["product"] == by_purchase["product_old"]).all()


def test_dirty_rows_have_every_promised_fault(tmp_path: Path) -> None:
    options = DemoOptions(scale=0.2, days=1, dirty=0.5, until=UNTIL)
    text = generate(tmp_path, ["purchases"], options)[0].path.read_text()
    for fault in (
        r"^-\d+,\d+,\d+,[\d-]+$",
        r"^\d+,,\d+,[\d-]+$",
        r"^\d+,\d+,,[\d-]+$",
        r"^\d+,\d+,\d+,$",
        r"^\d+,\d+,\d+,2023-02-30$",
        r"^\d+,\d+,\d+,2199-01-01$",
    ):
        assert re.search(fault, text, re.MULTILINE), fault
