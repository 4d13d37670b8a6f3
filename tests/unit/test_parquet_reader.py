"""What becomes of a Parquet file: every value exact, or rejected with a reason."""

import io
import json
import uuid
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.tables import Loaded, loaded

from boathouse.contracts import Column
from boathouse.ingest.content import RefusedFileError
from boathouse.ingest.loader import work_folder
from boathouse.settings import Settings

Read = Callable[..., Loaded]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads a Parquet file under a contract with the columns given."""

    def read_file(content: bytes, columns: Any, **rest: Any) -> Loaded:
        return loaded(content, columns, tmp_path, "parquet", **rest)

    return read_file


def parquet(columns: dict[str, Any], **options: Any) -> bytes:
    target = io.BytesIO()
    pq.write_table(pa.table(columns), target, **options)
    return target.getvalue()


def one(read: Read, value: Any, kind: pa.DataType, data_type: str, **options: Any) -> Any:
    """Return what a value gives in a column of a type, or the reasons against it."""
    found = read(parquet({"x": pa.array([value], kind)}, **options), {"x": data_type})
    return found.reasons[1] if found.reasons else found.rows[0][0]


def refusal(read: Read, content: bytes, columns: Any, **rest: Any) -> str:
    with pytest.raises(RefusedFileError) as caught:
        read(content, columns, **rest)
    return str(caught.value)


AT = datetime(2024, 1, 2, 10, 30, 0, 123456)
DAY = date(2024, 1, 2)
SOME_ID = uuid.UUID(int=7)
EXACT = [
    (5, pa.int64(), "bigint", 5),
    (-(2**63), pa.int64(), "bigint", -(2**63)),
    (2**63 - 1, pa.uint64(), "bigint", 2**63 - 1),
    (7, pa.uint8(), "smallint", 7),
    (1, pa.int32(), "boolean", True),
    (5.0, pa.float64(), "bigint", 5),
    (5.0, pa.float32(), "integer", 5),
    (1e15, pa.float64(), "bigint", 10**15),
    (5.0, pa.float64(), "varchar", "5"),
    (0.1, pa.float64(), "varchar", "0.1"),
    (0.1 + 0.2, pa.float64(), "double", 0.1 + 0.2),
    (5e-324, pa.float64(), "double", 5e-324),
    (0.1, pa.float32(), "double", 0.1),
    (2.5, pa.float16(), "double", 2.5),
    (9.99, pa.float64(), "decimal(9,2)", Decimal("9.99")),
    (3, pa.int8(), "decimal(9,2)", Decimal("3.00")),
    (Decimal("5.00"), pa.decimal128(10, 2), "bigint", 5),
    (Decimal("1234567890123456789012345678.12"), pa.decimal128(38, 2), "decimal(38,2)",
     Decimal("1234567890123456789012345678.12")),
    (Decimal("9.90"), pa.decimal128(10, 4), "decimal(9,2)", Decimal("9.90")),
    (Decimal("5.00"), pa.decimal256(20, 2), "varchar", "5.00"),
    (True, pa.bool_(), "boolean", True),
    (True, pa.bool_(), "varchar", "true"),
    (DAY, pa.date32(), "date", DAY),
    (DAY, pa.date32(), "timestamp", datetime(2024, 1, 2)),
    (datetime(2024, 1, 2), pa.timestamp("us"), "date", DAY),
    (datetime(2024, 1, 2), pa.timestamp("ns"), "date", DAY),
    (AT, pa.timestamp("us"), "timestamp", AT),
    (AT, pa.timestamp("ns"), "timestamp", AT),
    (AT, pa.timestamp("us", "Europe/Berlin"), "timestamp", AT),
    (AT, pa.timestamp("us"), "varchar", "2024-01-02 10:30:00.123456"),
    (time(10, 30), pa.time64("ns"), "varchar", "10:30:00"),
    (time(10, 30, 0, 5000), pa.time32("ms"), "varchar", "10:30:00.005"),
    ("Zoë", pa.string(), "varchar", "Zoë"),
    ("Zoë".encode(), pa.binary(), "varchar", "Zoë"),
    (b"abcd", pa.binary(4), "varchar", "abcd"),
    ("b", pa.dictionary(pa.int8(), pa.string()), "varchar", "b"),
    ("5", pa.string(), "bigint", 5),
    (SOME_ID.bytes, pa.uuid(), "varchar", str(SOME_ID)),
    ([1, None], pa.list_(pa.int64()), "json", "[1,null]"),
    ([b"ab"], pa.list_(pa.binary()), "json", '["ab"]'),
    ({"a": 1.5}, pa.struct({"a": pa.float64()}), "json", '{"a":1.5}'),
    ([("k", 1)], pa.map_(pa.string(), pa.int64()), "json", '{"k":1}'),
    (["NaN,"], pa.list_(pa.string()), "json", '["NaN,"]'),
    (None, pa.null(), "bigint", None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "kind", "data_type", "expected"), EXACT)
def test_a_value_comes_through_exactly(
    read: Read, value: Any, kind: pa.DataType, data_type: str, expected: Any
) -> None:
    assert one(read, value, kind, data_type) == expected


REJECTED = [
    (2**64 - 1, pa.uint64(), "bigint", "x is 18446744073709551615, not a whole number"),
    (40_000, pa.int32(), "smallint", "x is 40000, not a whole number"),
    (2, pa.int32(), "boolean", "x is 2, not true or false"),
    (1.5, pa.float64(), "bigint", "x is 1.5, not a whole number"),
    (1e18, pa.float64(), "bigint", "x is 1e+18, not a whole number"),
    (float("nan"), pa.float64(), "double", "x is nan, not a finite number"),
    (float("-inf"), pa.float32(), "double", "x is -inf, not a finite number"),
    (float("nan"), pa.float64(), "bigint", "x is nan, not a whole number"),
    (0.1 + 0.2, pa.float64(), "decimal(9,2)", "x is 0.30000000000000004, not a decimal(9,2)"),
    (Decimal("1.239"), pa.decimal128(9, 3), "decimal(9,2)", "x is 1.239, not a decimal(9,2)"),
    (Decimal("1.5"), pa.decimal128(9, 1), "bigint", "x is 1.5, not a whole number"),
    (True, pa.bool_(), "bigint", "x is true, not a whole number"),
    (AT, pa.timestamp("us"), "date", "x is 2024-01-02 10:30:00.123456, not a date that exists"),
    ([1.0, float("nan")], pa.list_(pa.float64()), "json", "x is [1.0,NaN], not valid JSON"),
    ([1], pa.list_(pa.int64()), "varchar", "x is an object or array, not text"),
    (2**31 - 2, pa.date32(), "date", "x is 5881580-07-10, not a date that exists"),
    (2**31 - 2, pa.date32(), "timestamp", "x is 5881580-07-10, not a time that exists"),
]


@pytest.mark.parametrize(("value", "kind", "data_type", "reason"), REJECTED)
def test_a_value_that_would_be_bent_is_rejected_with_one_reason(
    read: Read, value: Any, kind: pa.DataType, data_type: str, reason: str
) -> None:
    [found] = one(read, value, kind, data_type)
    assert found.startswith(reason)


@given(st.floats(), st.sampled_from(["double", "varchar"]))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_double_is_the_same_or_rejected(read: Read, value: float, data_type: str) -> None:
    found = one(read, value, pa.float64(), data_type)
    if not isinstance(found, list):
        assert float(found) == value or value != value


# -- times finer than a microsecond --------------------------------------------------------

FINE = 1_704_191_400_123_456_789
PAST = -1
NANOSECONDS = [
    (FINE, pa.timestamp("ns"), "2024-01-02 10:30:00.123456789", {}),
    (FINE, pa.timestamp("ns", "UTC"), "2024-01-02 10:30:00.123456789+00", {}),
    (FINE, pa.timestamp("ns"), "2024-01-02 10:30:00.123456789", {"int96": True}),
    (PAST, pa.timestamp("ns"), "1969-12-31 23:59:59.999999999", {}),
    (PAST, pa.timestamp("ns", "UTC"), "1969-12-31 23:59:59.999999999+00", {}),
    (PAST, pa.timestamp("ns"), "1969-12-31 23:59:59.999999999", {"int96": True}),
    (37_800_000_000_100, pa.time64("ns"), "10:30:00.0000001", {}),
]


@pytest.mark.parametrize(("value", "kind", "shown", "written"), NANOSECONDS)
def test_nanoseconds_are_kept_as_text_and_rejected_as_times(
    read: Read, value: int, kind: pa.DataType, shown: str, written: dict[str, bool]
) -> None:
    values = pa.array([0, value, None], kind)
    int96 = written.get("int96", False)
    content = parquet({"n": [1, 2, 3], "x": values}, use_deprecated_int96_timestamps=int96)
    kept = read(content, {"n": "bigint", "x": "varchar"})
    assert kept.rows[1:] == [(2, shown), (3, None)]
    found = read(content, {"n": "bigint", "x": "timestamp"})
    assert found.reasons[2] == [f"x is {shown}, finer than a microsecond"]
    assert json.loads(found.texts[2]) == {"n": 2, "x": shown}
    assert found.rows[-1] == (3, None)


def test_int96_beyond_the_nanoseconds_of_64_bits_is_read(read: Read) -> None:
    # 9999-12-31, which stands for “no end”
    content = parquet(
        {"x": pa.array([datetime(2024, 1, 2)], pa.timestamp("ns"))},
        use_deprecated_int96_timestamps=True,
        use_dictionary=False,
        compression="none",
    )
    day = (2_460_312).to_bytes(4, "little")  # the Julian day of 2024-01-02
    late = content.replace(bytes(8) + day, bytes(8) + (5_373_484).to_bytes(4, "little"))
    assert late != content
    assert read(late, {"x": "timestamp"}).rows == [(datetime(9999, 12, 31),)]


def test_nanoseconds_in_lists_refuse_the_file(read: Read) -> None:
    def written(value: int) -> bytes:
        return parquet({"x": pa.array([[0, value]], pa.list_(pa.timestamp("ns", "UTC")))})

    assert read(written(1000), {"x": "json"}).rows
    reason = refusal(read, written(FINE), {"x": "json"})
    assert reason.startswith("its column x has times finer than a microsecond in a list")


# -- files ---------------------------------------------------------------------------------


def test_a_row_number_is_the_place_in_the_file_whatever_columns_are_called(read: Read) -> None:
    content = parquet({"file_row_number": [7, 8], "id": ["a", None]})
    found = read(content, {"file_row_number": "bigint", "id": "bigint"})
    assert (found.rows, list(found.reasons)) == ([(8, None)], [1])


def test_a_column_may_be_told_by_its_header(read: Read) -> None:
    columns = {"number": Column("number", "bigint", (), header="Nr."), "id": "bigint"}
    assert read(parquet({"id": [2], "Nr.": [1.0]}), columns).rows == [(1, 2)]


def test_columns_of_one_name_are_refused(read: Read) -> None:
    target = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["id", "ID"]), target)
    reason = refusal(read, target.getvalue(), {"id": "bigint"}, new_columns="rescue")
    assert reason == "the header has id more than once"


@pytest.mark.parametrize(
    "values",
    [
        pa.array([b"ok", b"\xff"]),
        pa.array([b"ok", b"\xff\xfe"], pa.binary()).view(pa.string()),
        pa.array([b"\0\0\xff\xff"], pa.binary(4)),
        pa.array([[b"ok"], [b"\xff"]]),
    ],
)
def test_text_that_is_not_utf_8_refuses_the_file(read: Read, values: pa.Array) -> None:
    for data_type in ("varchar", "json"):
        reason = refusal(read, parquet({"x": values}), {"x": data_type})
        assert reason.startswith("it cannot be read as Parquet file: Invalid Input Error: Inv")
        assert "table-0" not in reason


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("1::variant", "its column x is of the type VARIANT, which cannot be read"),
        ("'POINT(1 2)'::geometry", "its column x is of the type GEOMETRY, which cannot be read"),
    ],
)
def test_types_that_duckdb_cannot_read_safely_are_refused(
    read: Read, tmp_path: Path, query: str, reason: str
) -> None:
    path = tmp_path / "made.parquet"
    duckdb.connect().execute(f"copy (select {query} as x) to '{path}' (format parquet)")
    assert refusal(read, path.read_bytes(), {"x": "varchar"}) == reason


def test_decimals_that_duckdb_bends_are_refused(read: Read) -> None:
    wide = parquet({"x": pa.array([Decimal(5)], pa.decimal256(60, 2))})
    assert "a decimal of more than 38 digits" in refusal(read, wide, {"x": "varchar"})


def test_new_columns_are_rescued_as_they_are(read: Read) -> None:
    content = parquet(
        {
            "id": [1, 2, 3],
            "f": pa.array([0.1, None, float("nan")], pa.float32()),
            "t": pa.array([FINE, None, None], pa.timestamp("ns", "UTC")),
            "l": [[1], None, None],
        }
    )
    found = read(content, {"id": "bigint"}, new_columns="rescue")
    [(_, first), (_, second)] = found.rows
    assert json.loads(first) == {"f": 0.1, "t": "2024-01-02 10:30:00.123456789+00", "l": [1]}
    assert second is None
    assert found.reasons == {3: ["f is nan, not a finite number"]}


def test_rows_of_many_columns_stay_together(read: Read) -> None:
    fine = [None if n % 3 else FINE + n for n in range(5000)]
    numbers = {f"c{n}": range(n, n + 5000) for n in range(150)}
    content = parquet(
        {**numbers, "at": pa.array(fine, pa.timestamp("ns", "UTC"))}, row_group_size=700
    )
    columns = dict.fromkeys(numbers, "bigint") | {"at": "varchar"}
    found = read(content, columns)
    assert not found.reasons
    assert [row[:-1] for row in found.rows] == list(zip(*numbers.values(), strict=True))
    assert [row[-1] for row in found.rows] == [
        None if n % 3 else f"2024-01-02 10:30:00.{123456789 + n}".rstrip("0") + "+00"
        for n in range(5000)
    ]


# -- damage --------------------------------------------------------------------------------

NUMBERS = {"id": list(range(3000)), "name": [f"name {n % 100}" for n in range(3000)]}
COLUMNS = {"id": "bigint", "name": "varchar"}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_a_page_that_is_not_what_its_checksum_says_refuses_the_file(
    read: Read, version: str, compression: str
) -> None:
    content = parquet(
        NUMBERS,
        compression=compression,
        data_page_version=version,
        write_page_checksum=True,
        data_page_size=1000,
        use_dictionary=["name"],
    )
    assert len(read(content, COLUMNS).rows) == 3000
    for place in range(200, 2000, 300):
        damaged = bytearray(content)
        damaged[place] ^= 1
        assert refusal(read, bytes(damaged), COLUMNS) == (
            "the Parquet file is damaged: the checksum of a page of id (row group 0) is wrong; "
            "deliver it again"
        )


def test_every_bit_of_a_page_with_a_checksum_counts(read: Read) -> None:
    content = parquet({"id": [1, 2, 3]}, write_page_checksum=True, compression="none")
    place = content.index((1).to_bytes(8, "little") + (2).to_bytes(8, "little"))
    for bit in range(8):
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        assert "the checksum of a page of id" in refusal(read, bytes(damaged), {"id": "bigint"})


def test_a_small_file_that_unpacks_to_very_much_is_refused(read: Read) -> None:
    zeros = pa.array([0] * 40_000_000, pa.int64())
    content = parquet({"id": zeros}, compression="zstd", use_dictionary=False)
    assert len(content) < 320_000
    reason = refusal(read, content, {"id": "bigint"})
    assert reason.startswith("it would unpack to 320,")
    assert refusal(read, parquet(NUMBERS), COLUMNS, max_unpacked_bytes=1000).startswith(
        "it would unpack to"
    )


def small() -> bytes:
    columns = {
        "id": [1, None, 3],
        "name": ["a", "é", None],
        "at": pa.array([FINE, 0, None], pa.timestamp("ns", "UTC")),
        "tags": [["x"], [], None],
        "point": [{"a": 1, "b": 2.5}] * 3,
    }
    return parquet(columns, write_page_checksum=False, compression="none", row_group_size=2)


SMALL = small()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_read_or_refused(read: Read, data: st.DataObject) -> None:
    content = bytearray(SMALL)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    columns = {"id": "bigint", "name": "varchar", "at": "timestamp", "tags": "json"}
    try:
        read(bytes(content), columns, new_columns="rescue")
    except RefusedFileError as error:
        assert str(error)


@pytest.mark.parametrize("size", [0, 3, 8, len(SMALL) // 2, len(SMALL) - 1])
def test_a_file_that_is_cut_off_is_refused(read: Read, size: int) -> None:
    reason = refusal(read, SMALL[:size], COLUMNS)
    assert reason.startswith("it cannot be read as Parquet file: ")


def test_no_two_batches_have_files_of_one_name(tmp_path: Path) -> None:
    given = Settings(project=tmp_path, home=tmp_path)
    with work_folder(given) as first, work_folder(given) as second:
        assert first != second
    assert not list((given.work).rglob("*.parquet"))
