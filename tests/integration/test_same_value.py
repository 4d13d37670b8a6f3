"""The same value gives the same row, whatever format it arrives in."""

import csv
import io
import json
import re
import tempfile
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from yards import Yard

COLUMNS = {
    "k": "bigint!",
    "whole": "bigint",
    "exact": "decimal(38,4)",
    "real": "double",
    "words": "varchar",
    "is_so": "boolean",
    "day": "date",
    "moment": "timestamp",
    "doc": "json",
}
# A workbook stores numbers as doubles, times to the millisecond, and its calendar begins in 1900.
MOST_DIGITS = 15
FIRST_DAY = date(1900, 3, 1)

_CODE = re.compile("_x[0-9A-Fa-f]{4}_")  # a character, in a workbook
Row = dict[str, Any]

# Without what XML cannot hold, or hands over as something else.
texts = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"),
        st.sampled_from("\"',;\n\t\\{}[]:=+ é0.e"),
    ),
    min_size=1,
    max_size=8,
).filter(lambda text: not _CODE.search(text))
doubles = st.floats(allow_nan=False, allow_infinity=False)
numbers = st.one_of(st.integers(-(10**20), 10**20), doubles)
documents = st.recursive(
    st.one_of(numbers, texts, st.booleans()),
    lambda inner: st.one_of(
        st.lists(st.one_of(inner, st.none()), max_size=3),
        st.dictionaries(texts, st.one_of(inner, st.none()), max_size=3),
    ),
    max_leaves=5,
)
rows = st.fixed_dictionaries(
    {
        "whole": st.integers(-(2**63), 2**63 - 1) | st.none(),
        "exact": st.builds(
            lambda digits: Decimal(digits).scaleb(-4), st.integers(1 - 10**37, 10**37 - 1)
        )
        | st.decimals(-1000, 1000, places=2)
        | st.sampled_from([Decimal("1e33"), Decimal("0.0001")])
        | st.none(),
        "real": doubles | st.none(),
        "words": texts | st.sampled_from(["1.10", "1e3", "0012", "true", "NA", "null"]) | st.none(),
        "is_so": st.booleans() | st.none(),
        "day": st.dates() | st.none(),
        "moment": st.datetimes() | st.none(),
        "doc": documents | st.none(),
    }
)


def as_csv(found: list[Row]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in found:
        writer.writerow(["" if value is None else written(value) for value in row.values()])
    return file.getvalue().encode()


def as_json(found: list[Row], between: str = ",") -> bytes:
    """Write numbers as numbers, also those that are no double, and documents as themselves."""

    def one(name: str, value: Any) -> str:
        if name == "doc" or isinstance(value, bool | int | float | Decimal):
            text = written(value)
        else:
            text = json.dumps(None if value is None else written(value), ensure_ascii=False)
        return f"{json.dumps(name)}:{'null' if value is None else text}"

    objects = ("{" + ",".join(one(*pair) for pair in row.items()) + "}" for row in found)
    return between.join(objects).encode()


def as_array(found: list[Row]) -> bytes:
    return b"[\n" + as_json(found, ",\n") + b"\n]"


def as_lines(found: list[Row]) -> bytes:
    return as_json(found, "\n") + b"\n"


def as_parquet(found: list[Row]) -> bytes:
    kinds = {
        "bigint": pa.int64(),
        "bigint!": pa.int64(),
        "decimal(38,4)": pa.decimal128(38, 4),
        "double": pa.float64(),
        "boolean": pa.bool_(),
        "date": pa.date32(),
        "timestamp": pa.timestamp("us"),
    }
    schema = pa.schema([(name, kinds.get(kind, pa.string())) for name, kind in COLUMNS.items()])
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(found, schema), file)
    return file.getvalue()


def as_workbook(found: list[Row]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(list(COLUMNS))
    for number, row in enumerate(found, 2):
        for column, value in enumerate(row.values(), 1):
            cell = sheet.cell(number, column)
            is_text = isinstance(value, str) or not fits_workbook(value)
            cell.value = written(value) if is_text and value is not None else value
            if is_text and value is not None:
                cell.data_type = "s"  # a text that begins with `=` is no formula
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def fits_workbook(value: Any) -> bool:
    """Return whether a workbook's own numbers and times can hold a value."""
    if isinstance(value, datetime):
        return value.date() >= FIRST_DAY and value.microsecond % 1000 == 0
    if isinstance(value, date):
        return value >= FIRST_DAY
    if isinstance(value, float):
        return float(f"{value:.16g}") == value  # what openpyxl writes
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return len(f"{value:f}".strip("-").replace(".", "").strip("0")) <= MOST_DIGITS
    return True


def written(value: Any) -> str:
    """Return a value as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return str(value)


FORMATS: dict[str, Callable[[list[Row]], bytes]] = {
    "csv": as_csv,
    "json": as_array,
    "jsonl": as_lines,
    "parquet": as_parquet,
    "xlsx": as_workbook,
}


@given(st.lists(rows, min_size=1, max_size=6))
@settings(max_examples=10, deadline=None)
def test_a_value_gives_the_same_row_in_every_format(found: list[Row]) -> None:
    given = [
        {name: k if name == "k" else row[name] for name in COLUMNS} for k, row in enumerate(found)
    ]
    for row in given:
        if row["doc"] is not None:
            row["doc"] = json.dumps(row["doc"], ensure_ascii=False, separators=(",", ":"))
    with tempfile.TemporaryDirectory() as folder:
        yard = Yard(Path(folder))
        for kind, write in FORMATS.items():
            yard.source(f"as_{kind}", COLUMNS, format=kind)
            yard.deliver(f"a.{kind}", write(given), f"as_{kind}")
        yard.load()
        expected = [tuple(row.values()) for row in given]
        loaded = yard.rows_of(", ".join(COLUMNS), [f"as_{kind}" for kind in FORMATS])
        for source, there in loaded.items():
            assert there == expected, (source, yard.rejects(source=source))
