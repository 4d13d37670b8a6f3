"""Demo data of the domain `actions`: doors that are opened and closed all day.

A day's file is CSV on one day and JSON lines on the next. Times come in all the forms that the
contract knows. A file depends on nothing but the seed, the day and the actions per day.
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
    choose,
    choose_faults,
    choose_index,
    random_for,
    write_faulty_files,
    write_file,
)

SOURCE = "actions"

ACTIONS = 15_000  # over all days, at scale 1
KINDS = {"Open": 0.495, "Close": 0.495, "Reset": 0.007, "Alarm": 0.003}
# No id tells a double click from two actions: both rows count.
REPEATED = 0.01
LATE = 0.005
ON_AN_EDGE = 0.02
FORMS = {"epoch": 0.5, "fraction": 0.1, "utc": 0.2, "zulu": 0.1, "offset": 0.1}

SECONDS_PER_DAY = 24 * 3600
WINDOW_SECONDS = 600
HOUR_WEIGHTS = (
    2, 1, 1, 1, 2, 6, 18, 45, 70, 62, 55, 58, 72, 60, 54, 56, 64, 75, 52, 30, 18, 11, 6, 3,
)  # fmt: skip

FAULTS = ("time_missing", "time_impossible", "time_1970", "time_future", "action_missing")


def write_actions(folder: Path, options: DemoOptions) -> Iterator[GeneratedFile]:
    """Write `actions_YYYY-MM-DD.csv` or `.jsonl` for each day, in turns, and yield the files.

    With `dirty`, faulty files come beside the last day's.
    """
    for day in options.day_range():
        actions = _actions(day, options)
        rng = random_for(options, SOURCE, "faults", day)
        cells = _faulty(actions, choose_faults(rng, actions.height, options.dirty, FAULTS))
        is_csv = day.toordinal() % 2 == 0
        document = Document(_as_csv(cells), "time,action") if is_csv else Document(_as_json(cells))
        name = f"actions_{day}.{'csv' if is_csv else 'jsonl'}"
        file = GeneratedFile(SOURCE, write_file(folder, name, document.encode()), actions.height)
        yield file
        if options.dirty and day == options.last_day:
            yield from _faulty_files(file, document.head(), is_csv=is_csv)


def _actions(day: date, options: DemoOptions) -> pl.DataFrame:
    """The day's actions: `time` as text, whether it `is_number`, and `action`."""
    rng = random_for(options, SOURCE, day)
    count = max(1, round(ACTIONS * options.scale / options.days))
    second = choose_index(rng, count, HOUR_WEIGHTS) * 3600 + rng.integers(3600, size=count)
    is_on_edge = rng.random(count) < ON_AN_EDGE
    second = np.where(is_on_edge, second // WINDOW_SECONDS * WINDOW_SECONDS, second)
    second = second - SECONDS_PER_DAY * (rng.random(count) < LATE)
    # A repeated action is the one before it once more.
    place = np.arange(count) - (rng.random(count) < REPEATED)
    at = pl.lit(day).cast(pl.Datetime("us")) + pl.duration(seconds="second")
    form = pl.col("form")
    iso = "%Y-%m-%dT%H:%M:%S"
    return (
        pl.DataFrame(
            {
                "second": second,
                "millisecond": rng.integers(1000, size=count),
                "form": choose(rng, count, FORMS),
                "action": choose(rng, count, KINDS),
            }
        )
        .with_columns(at=at, epoch=at.dt.epoch("s").cast(pl.String))
        .select(
            pl.when(form == "epoch").then("epoch")
            .when(form == "fraction")
            .then(pl.concat_str("epoch", pl.format(".{}", pl.col("millisecond"))))
            .when(form == "utc").then(pl.col("at").dt.to_string("%Y-%m-%d %H:%M:%S"))
            .when(form == "zulu").then(pl.col("at").dt.to_string(f"{iso}Z"))
            .otherwise(
                (pl.col("at") + pl.duration(hours=2)).dt.to_string(f"{iso}+02:00")
            )
            .alias("time"),
            form.is_in(["epoch", "fraction"]).alias("is_number"),
            "action",
        )[np.maximum(place, 0)]
    )  # fmt: skip


def _faulty(actions: pl.DataFrame, faults: pl.Series) -> pl.DataFrame:
    """The actions, faulty where `faults` names a fault; what is missing is null."""
    fault = pl.col("fault")
    return actions.with_columns(faults).select(
        pl.when(fault == "time_missing").then(pl.lit(None, pl.String))
        .when(fault == "time_impossible").then(pl.lit("2016-02-30T12:00:00"))
        .when(fault == "time_1970").then(pl.lit("0"))
        .when(fault == "time_future").then(pl.lit("32503680000"))
        .otherwise("time")
        .alias("time"),
        (pl.col("is_number") & (fault.is_null() | (fault == "action_missing"))).alias("is_number"),
        pl.when(fault == "action_missing").then(pl.lit(None, pl.String))
        .otherwise("action")
        .alias("action"),
    )  # fmt: skip


def _as_csv(cells: pl.DataFrame) -> pl.Series:
    present = pl.col("time", "action").fill_null("")
    return cells.select(pl.concat_str(present, separator=",")).to_series()


def _as_json(cells: pl.DataFrame) -> pl.Series:
    quoted = pl.format('"{}"', "time")
    time = pl.when("is_number").then("time").otherwise(quoted).fill_null("null")
    action = pl.format('"{}"', "action").fill_null("null")
    return cells.select(pl.format('{{"time":{},"action":{}}}', time, action)).to_series()


def _faulty_files(file: GeneratedFile, good: Document, *, is_csv: bool) -> Iterator[GeneratedFile]:
    before = r"^([^,]*,)" if is_csv else r'^(.*"action":")'
    accented = good.records.str.replace(before, "${1}é")
    if is_csv:
        wrong = Document(good.records, "when,action")
    else:
        wrong = Document(good.records.str.replace('"time"', '"when"', literal=True))
    yield from write_faulty_files(
        file, good=good, latin1=Document(accented, good.header), wrong_columns=wrong
    )
