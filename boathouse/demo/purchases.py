"""Demo data of the domain `purchases`: a shop's table, delivered whole every day.

The table is simulated forward, day by day, from a state made on the first day of the range. The
files therefore depend on the seed, the scale and the first day: one day more at the end (`days`
and `until` both one later) leaves the files before as they were, another first day makes another
history.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from boathouse.demo.common import (
    DemoOptions,
    Document,
    Flags,
    Floats,
    GeneratedFile,
    Ints,
    choose_faults,
    choose_index,
    random_for,
    write_faulty_files,
    write_file,
)

SOURCE = "purchases"

PURCHASES = 2_000  # on the first day, at scale 1
FEWEST_PURCHASES = 20
FIRST_PURCHASE_ID = 1_002_313_000
FIRST_USER_ID = 1_003_000
OLDEST_DAYS = 3 * 365
PRODUCTS = 200

# Shares of the table, per day.
NEW = 0.02
CHANGED = 0.01
DELETED = 0.005
# Of the changed ones, those whose date becomes the day of the change.
DATE_CHANGES = 0.8
# A deleted purchase stays away two days at least, then comes back with this share per day.
DAYS_AWAY = 2
RETURNING = 0.1

HEADER = ("PurchaseID", "product", "user", "date")
FAULTS = (
    "product_empty",
    "user_empty",
    "date_empty",
    "id_negative",
    "date_impossible",
    "date_in_future",
)


@dataclass(frozen=True)
class Shop:
    """The table on a day, what was deleted from it (with `deleted_on`), and the next free id."""

    purchases: pl.DataFrame
    deleted: pl.DataFrame
    next_id: int


def write_purchases(folder: Path, options: DemoOptions) -> Iterator[GeneratedFile]:
    """Write `purchases_YYYY-MM-DD.csv`, the whole table of each day, and yield the files.

    Each day some purchases are new, some changed, some deleted, and some deleted earlier are back
    as they were. With `dirty`, faulty files come beside the last day's.
    """
    shop: Shop | None = None
    for day in options.day_range():
        shop = _first_day(day, options) if shop is None else _next_day(shop, day, options)
        count = shop.purchases.height
        rng = random_for(options, SOURCE, "faults", day)
        cells = _cells(shop.purchases, choose_faults(rng, count, options.dirty, FAULTS))
        document = Document(_as_lines(cells), ",".join(HEADER))
        path = write_file(folder, f"purchases_{day}.csv", document.encode())
        file = GeneratedFile(SOURCE, path, count)
        yield file
        if options.dirty and day == options.last_day:
            yield from _faulty_files(file, document.head(), cells.head())


def _first_day(day: date, options: DemoOptions) -> Shop:
    """The table to start with: ids in the order of their dates, of the last three years."""
    rng = random_for(options, SOURCE, day)
    count = max(FEWEST_PURCHASES, round(PURCHASES * options.scale))
    age_days = np.sort(rng.integers(1, OLDEST_DAYS, size=count))[::-1]
    dates = pl.select(pl.lit(day) - pl.duration(days=pl.lit(pl.Series(age_days)))).to_series()
    purchases = _purchases(rng, FIRST_PURCHASE_ID, dates, options)
    deleted = purchases.clear().with_columns(deleted_on=pl.lit(day))
    return Shop(purchases, deleted, FIRST_PURCHASE_ID + count)


def _next_day(shop: Shop, day: date, options: DemoOptions) -> Shop:
    """The shop a day later."""
    rng = random_for(options, SOURCE, day)
    before = shop.purchases
    count = before.height
    fate = rng.random(count)
    is_deleted = fate < DELETED
    is_changed = ~is_deleted & (fate < DELETED + CHANGED)
    stayed = _changed(rng, before, is_changed, day).filter(pl.Series(~is_deleted))

    days_away = (pl.lit(day) - pl.col("deleted_on")).dt.total_days()
    chance = pl.Series(rng.random(shop.deleted.height))
    is_back = (days_away >= DAYS_AWAY) & (chance < RETURNING)
    back = shop.deleted.filter(is_back).drop("deleted_on")
    away = shop.deleted.filter(~is_back)

    bought = int(rng.binomial(count, NEW))
    dates = pl.Series([day], dtype=pl.Date).new_from_index(0, bought)
    new = _purchases(rng, shop.next_id, dates, options)
    return Shop(
        purchases=pl.concat([stayed, back, new]).sort("PurchaseID"),
        deleted=pl.concat(
            [away, before.filter(pl.Series(is_deleted)).with_columns(deleted_on=pl.lit(day))]
        ),
        next_id=shop.next_id + bought,
    )


def _purchases(
    rng: np.random.Generator, first_id: int, dates: pl.Series, options: DemoOptions
) -> pl.DataFrame:
    """Purchases of these dates with ids from `first_id` on."""
    count = len(dates)
    users = max(10, round(PURCHASES * options.scale / 3))
    return pl.DataFrame(
        {
            "PurchaseID": np.arange(first_id, first_id + count),
            "product": _products(rng, count),
            "user": FIRST_USER_ID + rng.integers(users, size=count),
            "date": dates,
        }
    )


def _products(rng: np.random.Generator, count: int) -> Ints:
    """Product numbers 1 … PRODUCTS, low ones bought most."""
    weights: Floats = np.power(np.arange(1.0, PRODUCTS + 1), -0.7)
    return 1 + choose_index(rng, count, weights)


def _changed(
    rng: np.random.Generator, purchases: pl.DataFrame, is_changed: Flags, day: date
) -> pl.DataFrame:
    """The purchases, the changed ones with another product and mostly with the day as date."""
    product = purchases["product"].to_numpy()
    # 1 … PRODUCTS - 1 steps further round the list: always another product.
    another = (product - 1 + rng.integers(1, PRODUCTS, size=len(product))) % PRODUCTS + 1
    has_new_date = is_changed & (rng.random(len(product)) < DATE_CHANGES)
    return purchases.with_columns(
        product=pl.Series(np.where(is_changed, another, product)),
        date=pl.when(pl.Series(has_new_date)).then(pl.lit(day)).otherwise("date"),
    )


def _cells(purchases: pl.DataFrame, faults: pl.Series) -> pl.DataFrame:
    """The rows as text for the file, faulty where `faults` names a fault."""
    instead = {
        "PurchaseID": {"id_negative": pl.format("-{}", "PurchaseID")},
        "product": {"product_empty": pl.lit("")},
        "user": {"user_empty": pl.lit("")},
        "date": {
            "date_empty": pl.lit(""),
            "date_impossible": pl.lit("2023-02-30"),
            "date_in_future": pl.lit("2199-01-01"),
        },
    }
    return purchases.select(
        pl.coalesce(
            *(pl.when(faults == kind).then(text) for kind, text in instead[column].items()),
            pl.col(column).cast(pl.String),
        ).alias(column)
        for column in HEADER
    )


def _as_lines(cells: pl.DataFrame) -> pl.Series:
    return cells.select(pl.concat_str(pl.all(), separator=",")).to_series()


def _faulty_files(
    file: GeneratedFile, good: Document, cells: pl.DataFrame
) -> Iterator[GeneratedFile]:
    # The words stand before the product's number: 1002313000,Café 12,…
    accented = Document(good.records.str.replace(",", ",Café ", literal=True), good.header)
    without_user = cells.drop("user")
    yield from write_faulty_files(
        file,
        good=good,
        latin1=accented,
        wrong_columns=Document(_as_lines(without_user), ",".join(without_user.columns)),
    )
