"""Numbers in JSON text come through a reader of doubles as they were written."""

import json
import re
from typing import Any

import duckdb
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from boathouse.ingest import json_text
from boathouse.ingest.json_text import as_digits, as_written, is_json, prepare, without_marks
from boathouse.sql import literal

NUMBERS = [
    "0",
    "7",
    "-0",
    "1.10",
    "-1.5E-7",
    "1e3",
    "12345678901234567890.1234",
    "1" * 19,
    "9" * 40,
]
TEXTS = ["", "x", ": 1.50 ", ",", "{", '"', '\\": 1.5', "\\", "1.5", "é", "[1.5]", "NaN"]
VALID = [
    "[]", "{}", "0", "-1.50e+10", '"x"', "true", "null", '{"a":[1,{"b":""}]}', "[1,\t2 , 3]",
    '"\\u0041\\/\\b"', '{"a":1,"a":2}', ' [1] ', '"NaN, ] inf"', '["a,]", ",}", "[nan"]',
    '"a\\", NaN"', "1e400", "123456789012345678901234567890", '{"":0}', "[[[[[[]]]]]]", "-0.0",
]  # fmt: skip
INVALID = [
    "NaN", "nan", "Infinity", "-Infinity", "[NaN]", '{"a":-inf}', "[1,]", '{"a":1,}', "[1 ,\t]",
    "[,1]", "[1,,2]", "01", "1.", ".5", "+1", "-", "1e", "0x1", "'a'", "{a:1}", '{"a"}', "[1",
    "1]", '{"a":1}}', '"\\x"', '"\\u12"', '"', "tru", "True", "[1]x", "//", "[1/**/]", "[\f1]",
    '"\\', "[-01]", "[1.2.3]", "[1e5.0]", '{"a":1 "b":2}', "[1 2]", '["a"', "{]", "[}", "",
    " ", "\ufeff[]", '["\t"]', '["\\u0000\x01"]', "[++1]", "[1+2]", '{"a":1,,}', "[]]", "\\",
    '"a" NaN',
]  # fmt: skip

scalars = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(TEXTS).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from(["true", "null"]),
)
spaces = st.sampled_from(["", " ", "\t", " \t "])


def join(parts: list[str], space: str) -> str:
    return f"{space},{space}".join(parts)


documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.tuples(st.lists(inner, max_size=3), spaces).map(
            lambda drawn: f"[{drawn[1]}{join(*drawn)}{drawn[1]}]"
        ),
        st.tuples(
            st.lists(st.tuples(st.sampled_from(TEXTS), spaces, inner), max_size=3), spaces
        ).map(
            lambda drawn: (
                "{" + join([f"{json.dumps(k)}{s}:{s}{v}" for k, s, v in drawn[0]], drawn[1]) + "}"
            )
        ),
    ),
    max_leaves=8,
)


def unmarked(text: str) -> str:
    return re.sub(f'"{json_text._MARK}([^"]*)"', r"\1", text)


def keep(text: str) -> Any:
    return json.loads(
        text,
        parse_float=lambda written: ("number", written),
        parse_int=lambda written: ("number", written),
    )


def kept(value: Any) -> Any:
    """Return what was read of marked text with the marks taken for what they say."""
    match value:
        case str() if value.startswith(json_text._MARK):
            return ("number", value.removeprefix(json_text._MARK))
        case list():
            return [kept(each) for each in value]
        case dict():
            return {key: kept(each) for key, each in value.items()}
    return value


@given(st.lists(documents, min_size=1, max_size=4))
@example(['{"b":": 1.5"}'])
@example(['{"b,":": 1.5"}', "[1.5]"])
def test_numbers_become_strings_and_nothing_else_changes(found: list[str]) -> None:
    records = [f'{{"it":{each}}}' for each in found]
    lines, _ = prepare("".join(f"{each}\n" for each in records).encode(), is_flat=False)
    marked = lines.decode().splitlines()
    assert [unmarked(each) for each in marked] == records
    assert [kept(keep(each)) for each in marked] == [keep(each) for each in records]
    assert not re.search(
        r"[:,\[]\s*-?\d+[.eE]", "".join(re.sub(r'"(?:[^"\\]|\\.)*"', "", each) for each in marked)
    )


@given(
    st.lists(
        st.sampled_from(['"', "\\", "1.5", ":", ",", "{", "[", "x", "\n", " ", "NaN"]), max_size=12
    )
)
@example(["\\", "\\", "[", "1.5", ",", '"', '"'])
@example([":", "1.5", "\\", '"', ",", '"', '"', "\n"])
def test_what_is_no_json_differs_in_nothing_but_marks(parts: list[str]) -> None:
    text = "".join(parts)
    assert unmarked(prepare(text.encode(), is_flat=False)[0].decode()) == text


@pytest.mark.parametrize(("texts", "expected"), [(VALID, True), (INVALID, False)])
def test_json_is_what_rfc_8259_says(texts: list[str], *, expected: bool) -> None:
    con = duckdb.connect()
    for text in texts:
        value = literal(text).replace("\0", "")
        assert con.execute(f"select {is_json(value)}").fetchall() == [(expected,)], text


@pytest.mark.parametrize(
    ("number", "scale", "expected"),
    [
        ("5.0", 0, "5"),
        ("5.000", 2, "5"),
        ("1e3", 0, "1000"),
        ("1.5e1", 0, "15"),
        ("1.50e0", 0, "1.50e0"),
        ("15e-1", 1, "1.5"),
        ("15e-1", 0, "15e-1"),
        ("1e400", 2, "1e400"),
        ("12345678901234567890.1234", 4, "12345678901234567890.1234"),
        ("-0", 0, "-0"),
        ("-2.5e-3", 4, "-0.0025"),
    ],
)
def test_a_number_is_given_in_digits_where_it_has_them(
    number: str, scale: int, expected: str
) -> None:
    con = duckdb.connect()
    con.execute("create table texts (it varchar)")
    marked = json.loads(prepare(f'{{"it":{number}}}\n'.encode(), is_flat=True)[0])["it"]
    con.execute("insert into texts values (?)", [marked])
    found = con.execute(
        f"select {as_written('it')}, {as_digits('it', scale, 'it')}, "
        f"{without_marks(literal(json.dumps({'a': [marked]})))} from texts"
    ).fetchall()
    written, digits, document = found[0]
    assert (written, document) == (number, f'{{"a": [{number}]}}')
    assert digits.rstrip("0") == expected.rstrip("0") if "." in expected else digits == expected
