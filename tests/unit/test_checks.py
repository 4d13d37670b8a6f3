"""The typing of texts and the rules for rows, over a plain DuckDB connection."""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from boathouse.contracts import Column
from boathouse.ingest.checks import filename_select, typed_select
from boathouse.ingest.records import Blob, Chunk, Value
from boathouse.rules import row_rules
from boathouse.sql import literal

REJECTED = object()


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    found = duckdb.connect()
    found.execute("set timezone = 'UTC'")
    return found


def column(name: str, data_type: str, *tests: Any) -> Column:
    rules = tuple(rule for test in tests for rule in row_rules(name, test, "here"))
    return Column(name, data_type, rules)


def check(
    con: duckdb.DuckDBPyConnection, columns: list[Column], *texts: str | None, **chunk: Any
) -> tuple[list[Any], list[str] | None]:
    """Return one record's typed values, and the reasons against it."""
    listed = ", ".join(
        f"{'null' if text is None else literal(text)}::varchar as c{at}"
        for at, text in enumerate(texts)
    )
    values = {column.name: Value(f"c{at}") for at, column in enumerate(columns)}
    found = Chunk(f"(select {listed})", values, blob=Blob(Path("none")), **chunk)
    [row] = con.execute(typed_select(columns, found, has_rescue=False)).fetchall()
    return list(row[: len(columns)]), row[len(columns)]


def typed(con: duckdb.DuckDBPyConnection, data_type: str, text: str) -> Any:
    [value], reasons = check(con, [column("it", data_type)], text)
    assert (reasons is not None) == (value is None), f"{text!r}: {value!r}, but {reasons}"
    return REJECTED if reasons else value


WHOLE = [
    ("0", 0),
    ("-0", 0),
    ("+5", 5),
    ("007", 7),
    (" 18 ", 18),
    ("5.0", REJECTED),
    ("1.000", REJECTED),
    ("1.5", REJECTED),
    ("1e3", REJECTED),
    ("5.", REJECTED),
    ("1_000", REJECTED),
    ("1,000", REJECTED),
    ("0x10", REJECTED),
    ("five", REJECTED),
    ("NaN", REJECTED),
    (" ", REJECTED),
    ("99999999999999999999", REJECTED),
]


@pytest.mark.parametrize("data_type", ["smallint", "integer", "bigint"])
@pytest.mark.parametrize(("text", "expected"), WHOLE)
def test_whole_numbers(con: Any, data_type: str, text: str, expected: Any) -> None:
    assert typed(con, data_type, text) == expected


@pytest.mark.parametrize(
    ("data_type", "least", "most"),
    [
        ("smallint", -(2**15), 2**15 - 1),
        ("integer", -(2**31), 2**31 - 1),
        ("bigint", -(2**63), 2**63 - 1),
    ],
)
def test_whole_numbers_end_where_their_type_ends(
    con: Any, data_type: str, least: int, most: int
) -> None:
    assert typed(con, data_type, str(least)) == least
    assert typed(con, data_type, str(most)) == most
    assert typed(con, data_type, str(least - 1)) is REJECTED
    assert typed(con, data_type, str(most + 1)) is REJECTED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        (" 18 ", 18.0),
        ("NaN", REJECTED),
        ("nan", REJECTED),
        ("Infinity", REJECTED),
        ("-inf", REJECTED),
        ("1e400", REJECTED),
        ("1,5", REJECTED),
        ("1_000", REJECTED),
        ("0x10", REJECTED),
        ("x", REJECTED),
    ],
)
def test_doubles(con: Any, text: str, expected: Any) -> None:
    assert typed(con, "double", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9.99", Decimal("9.99")),
        ("-9.9", Decimal("-9.90")),
        ("9", Decimal("9.00")),
        ("9.9900", Decimal("9.99")),
        (".5", Decimal("0.50")),
        (" 1.00 ", Decimal("1.00")),
        ("9.999", REJECTED),
        ("0.001", REJECTED),
        ("1e2", Decimal("100.00")),
        ("-.10E+1", Decimal("-1.00")),
        ("1.50e-1", Decimal("0.15")),
        ("1.5e-2", REJECTED),
        ("1e-300", REJECTED),
        ("1e4", REJECTED),
        ("1e", REJECTED),
        ("e1", REJECTED),
        ("12345.00", REJECTED),
        ("", None),
        (".", REJECTED),
        ("-", REJECTED),
        ("NaN", REJECTED),
    ],
)
def test_decimals_are_never_rounded(con: Any, text: str, expected: Any) -> None:
    if text == "":
        assert check(con, [column("it", "decimal(6,2)")], text) == ([None], None)
    else:
        assert typed(con, "decimal(6,2)", text) == expected


def test_decimals_without_places_are_whole(con: Any) -> None:
    assert typed(con, "decimal(6, 0)", "12.0") == Decimal(12)
    assert typed(con, "decimal(6, 0)", "12.5") is REJECTED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("t", True),
        ("f", False),
        ("1", True),
        ("0", False),
        ("yes", True),
        ("no", False),
        (" true ", True),
        ("2", REJECTED),
        ("on", REJECTED),
        ("maybe", REJECTED),
    ],
)
def test_booleans(con: Any, text: str, expected: Any) -> None:
    assert typed(con, "boolean", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-07-21", date(2023, 7, 21)),
        ("2023/07/21", date(2023, 7, 21)),
        ("2023-7-1", date(2023, 7, 1)),
        ("2024-02-29", date(2024, 2, 29)),
        ("2023-07-21T00:00:00.000", date(2023, 7, 21)),
        ("2023-07-21 00:00", date(2023, 7, 21)),
        ("2023-02-29", REJECTED),
        ("2023-02-30", REJECTED),
        ("2023-13-01", REJECTED),
        ("2023-00-01", REJECTED),
        ("0000-00-00", REJECTED),
        ("2023-07-21 10:00", REJECTED),
        ("21.07.2023", REJECTED),
        ("07/21/2023", REJECTED),
        ("23-07-21", REJECTED),
        ("20230721", REJECTED),
        ("2023-07-21 (BC)", REJECTED),
        ("infinity", REJECTED),
        ("epoch", REJECTED),
        ("today", REJECTED),
    ],
)
def test_dates(con: Any, text: str, expected: Any) -> None:
    assert typed(con, "date", text) == expected


TEN = datetime(2023, 7, 21, 10)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2023-07-21T10:00:00", TEN),
        ("2023-07-21 10:00", TEN),
        ("2023-07-21T10:00:00Z", TEN),
        ("2023-07-21 10:00:00 UTC", TEN),
        ("2023-07-21T10:00:00+00:00", TEN),
        ("2023-07-21T12:00:00+02:00", TEN),
        ("2023-07-21T12:00:00+0200", TEN),
        ("2023-07-21T12:00:00+02", TEN),
        ("2023-07-21T04:30:00-05:30", TEN),
        ("2023-07-22T00:00:00+14:00", TEN),
        ("2023-07-21T10:00:00.123456", TEN.replace(microsecond=123456)),
        ("2023-07-21T10:00:00.123456789Z", TEN.replace(microsecond=123456)),
        ("2023-07-21", datetime(2023, 7, 21)),
        ("2023-07-20T24:00:00", datetime(2023, 7, 21)),
        ("2023-7-21 9:05", datetime(2023, 7, 21, 9, 5)),
        ("2023-02-30T10:00:00", REJECTED),
        ("2023-07-21T25:00:00", REJECTED),
        ("2023-07-21T24:00:01", REJECTED),
        ("2023-07-21T10:60:00", REJECTED),
        ("2023-07-21T10:00:60", REJECTED),
        ("2023-07-21T10", REJECTED),
        ("2023-07-21T10:00:00+25:00", REJECTED),
        ("2023-07-21T10:00:00 Europe/Berlin", REJECTED),
        ("2023-07-21T10:00:00 CEST", REJECTED),
        ("2023-07-21 10:00:00 (BC)", REJECTED),
        ("2023-07-21 (BC)", REJECTED),
        ("12023-07-21", REJECTED),
        ("1689933600", REJECTED),
        ("infinity", REJECTED),
        ("-infinity", REJECTED),
        ("epoch", REJECTED),
        ("now", REJECTED),
    ],
)
def test_timestamps_are_utc(con: Any, text: str, expected: Any) -> None:
    assert typed(con, "timestamp", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": [1, 2]}', '{"a": [1, 2]}'),
        ("[]", "[]"),
        ("12", "12"),
        ('"text"', '"text"'),
        ("text", REJECTED),
        ('{"a": 1', REJECTED),
        ("{'a': 1}", REJECTED),
    ],
)
def test_json(con: Any, text: str, expected: Any) -> None:
    assert typed(con, "json", text) == expected


@pytest.mark.parametrize("text", [" x ", "NULL", "\\N", "a\tb", "ünï", "0"])
def test_text_stays_as_it_is(con: Any, text: str) -> None:
    assert typed(con, "varchar", text) == text


@pytest.mark.parametrize(
    "data_type", ["varchar", "bigint", "double", "boolean", "date", "timestamp", "json"]
)
def test_empty_text_is_no_value(con: Any, data_type: str) -> None:
    assert check(con, [column("it", data_type)], "") == ([None], None)
    assert check(con, [column("it", data_type, "not_null")], "") == ([None], ["it is missing"])


@pytest.mark.parametrize(
    ("data_type", "expected"),
    [
        ("bigint", "it is x, not a whole number"),
        ("double", "it is x, not a finite number"),
        ("boolean", "it is x, not true or false"),
        ("date", "it is x, not a date that exists (YYYY-MM-DD)"),
        (
            "timestamp",
            "it is x, not a time that exists (YYYY-MM-DD HH:MM:SS, with or without offset)",
        ),
        ("decimal(6,2)", "it is x, not a decimal(6,2) without rounding"),
        ("json", "it is x, not valid JSON"),
    ],
)
def test_a_reason_names_column_value_and_what_was_expected(
    con: Any, data_type: str, expected: str
) -> None:
    assert check(con, [column("it", data_type)], "x")[1] == [expected]


def test_a_long_value_is_cut_in_its_reason(con: Any) -> None:
    [reason] = check(con, [column("it", "bigint")], "x" * 5000)[1] or []
    assert reason == f"it is {'x' * 100}, not a whole number"


def test_all_reasons_are_given(con: Any) -> None:
    columns = [
        column("id", "bigint", "not_null"),
        column("kind", "varchar", {"accepted_values": {"values": ["a", "b"]}}),
        column("age", "integer", {"accepted_range": {"min_value": 10, "max_value": 30}}),
        column("code", "varchar", {"matches_pattern": {"pattern": "[A-Z]{2}"}}),
    ]
    assert check(con, columns, "1", "a", "30", "AB") == ([1, "a", 30, "AB"], None)
    assert check(con, columns, "", "c", "31", "ABC")[1] == [
        "id is missing",
        "kind is c, not one of a, b",
        "age is 31, above 30",
        "code is ABC, which does not match [A-Z]{2}",
    ]
    assert check(con, columns, "x", None, "9", None)[1] == [
        "id is x, not a whole number",
        "age is 9, below 10",
    ]


@pytest.mark.parametrize("test", ["not_null", {"accepted_range": {"min_value": 3}}])
def test_a_value_that_cannot_be_read_is_told_once(con: Any, test: Any) -> None:
    assert check(con, [column("it", "bigint", test)], "x")[1] == ["it is x, not a whole number"]


def test_a_rule_with_where_holds_only_there(con: Any) -> None:
    where = {"config": {"where": "event = 'start'"}}
    columns = [column("event", "varchar"), column("country", "varchar", {"not_null": where})]
    assert check(con, columns, "start", "")[1] == ["country is missing (where event = 'start')"]
    assert check(con, columns, "end", "")[1] is None
    assert check(con, columns, "", "")[1] is None, "a condition that is null does not hold"


@pytest.mark.parametrize(
    ("data_type", "values", "good", "bad"),
    [
        ("bigint", [1, 2], "02", "3"),
        ("double", [1, 2], "2", "2.5"),
        ("boolean", [True], "yes", "no"),
        ("date", ["2023-07-21"], "2023/7/21", "2023-07-22"),
        ("varchar", ["it's"], "it's", "its"),
    ],
)
def test_accepted_values_are_compared_as_values_not_as_text(
    con: Any, data_type: str, values: list[Any], good: str, bad: str
) -> None:
    columns = [column("it", data_type, {"accepted_values": {"values": values}})]
    assert check(con, columns, good)[1] is None
    assert check(con, columns, bad)[1] is not None


@pytest.mark.parametrize(
    "name", ["row", "file_no", "t0", "n0", "d0", "c0", "doc", "object", "date"]
)
def test_any_column_name_may_be_used(con: Any, name: str) -> None:
    columns = [column(name, "bigint", "not_null"), column("other", "varchar")]
    assert check(con, columns, "1", "x") == ([1, "x"], None)
    assert check(con, columns, "", "x")[1] == [f"{name} is missing"]


def test_what_is_no_record_has_no_other_reasons(con: Any) -> None:
    columns = [column("id", "bigint", "not_null")]
    assert check(con, columns, None, not_a_record="'no object'")[1] == ["no object"]


def test_values_of_a_file_name_are_typed_and_checked(con: Any) -> None:
    columns = (
        column("day", "date", "not_null", {"accepted_range": {"min_value": "date '2000-01-01'"}}),
    )
    assert con.execute(filename_select(columns, {"day": "2023-07-21"})).fetchall()[0][:2] == (
        date(2023, 7, 21),
        None,
    )
    for text, reason in [
        ("2023-02-30", "day is 2023-02-30, not a date that exists (YYYY-MM-DD)"),
        ("1999-12-31", "day is 1999-12-31, below date '2000-01-01'"),
        (None, "day is missing"),
    ]:
        assert con.execute(filename_select(columns, {"day": text})).fetchall()[0][1] == [reason]


@pytest.mark.parametrize(
    ("kind", "test", "good", "bad"),
    [
        ("bigint", {"dbt_utils.accepted_range": {"min_value": 1, "max_value": 3}}, "3", "4"),
        (
            "bigint",
            {"dbt_utils.accepted_range": {"arguments": {"min_value": 1, "inclusive": False}}},
            "2",
            "1",
        ),
        ("varchar", "dbt_utils.not_empty_string", "x", " "),
        ("bigint", "dbt_expectations.expect_column_values_to_not_be_null", "1", ""),
        (
            "double",
            {
                "dbt_expectations.expect_column_values_to_be_between": {
                    "max_value": 3,
                    "strictly": True,
                }
            },
            "2.9",
            "3",
        ),
        (
            "varchar",
            {"dbt_expectations.expect_column_values_to_be_in_set": {"value_set": ["a", "b"]}},
            "b",
            "c",
        ),
        (
            "varchar",
            {"dbt_expectations.expect_column_values_to_match_regex": {"regex": "^[ab]"}},
            "ax",
            "xa",
        ),
    ],
)
def test_the_same_tests_of_packages_are_rules_too(
    con: Any, kind: str, test: Any, good: str, bad: str
) -> None:
    assert check(con, [column("it", kind, test)], good)[1] is None
    assert check(con, [column("it", kind, test)], bad)[1] is not None
