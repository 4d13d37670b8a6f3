"""Numbers in JSON text come through a reader of doubles as they were written."""

import json
import re
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
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
    lines, _ = prepare(
        "".join(f"{each}\n" for each in records).encode(), is_flat=False, any_point=True
    )
    marked = lines.decode().splitlines()
    assert [unmarked(each) for each in marked] == records
    assert [kept(keep(each)) for each in marked] == [keep(each) for each in records]
    assert not re.search(
        r"[:,\[]\s*-?\d+[.eE]", "".join(re.sub(r'"(?:[^"\\]|\\.)*"', "", each) for each in marked)
    )


flat = st.dictionaries(
    st.sampled_from(["a", "b:", "c ", "", "d,", "{", "e"]),
    st.sampled_from([*NUMBERS, *(json.dumps(text, ensure_ascii=False) for text in TEXTS)]),
    min_size=1,
)


@given(st.lists(flat, min_size=1, max_size=4), st.sampled_from([":", ": "]))
@example([{"a": '": 1.50 "'}], ":")
@settings(max_examples=500)
def test_in_flat_records_as_well(found: list[dict[str, str]], colon: str) -> None:
    records = [
        f"{{{','.join(f'{json.dumps(key)}{colon}{value}' for key, value in each.items())}}}"
        for each in found
    ]
    text = "".join(f"{each}\n" for each in records)
    lines, _ = prepare(text.encode(), is_flat=True, any_point=True)
    marked = lines.decode().splitlines()
    assert [unmarked(each) for each in marked] == records
    assert [kept(keep(each)) for each in marked] == [keep(each) for each in records]


@given(
    st.lists(
        st.sampled_from(['"', "\\", "1.5", ":", ",", "{", "[", "x", "\n", " ", "NaN"]), max_size=12
    )
)
@example(["\\", "\\", "[", "1.5", ",", '"', '"'])
@example([":", "1.5", "\\", '"', ",", '"', '"', "\n"])
def test_what_is_no_json_differs_in_nothing_but_marks(parts: list[str]) -> None:
    text = "".join(parts)
    assert unmarked(prepare(text.encode(), is_flat=False, any_point=True)[0].decode()) == text


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
    marked = json.loads(prepare(f'{{"it":{number}}}\n'.encode(), is_flat=True, any_point=True)[0])[
        "it"
    ]
    con.execute("insert into texts values (?)", [marked])
    found = con.execute(
        f"select {as_written('it')}, {as_digits('it', scale, 'it')}, "
        f"{without_marks(literal(json.dumps({'a': [marked]})))} from texts"
    ).fetchall()
    written, digits, document = found[0]
    assert (written, document) == (number, f'{{"a": [{number}]}}')
    assert digits.rstrip("0") == expected.rstrip("0") if "." in expected else digits == expected


digits = st.text("0123456789", max_size=12)
numbers = st.builds(
    lambda sign, first, more, point, exponent: (
        f"{sign}{first}{more if first != '0' else ''}{'.' + point if point else ''}{exponent}"
    ),
    st.sampled_from(["", "-"]),
    st.sampled_from("0123456789"),
    digits,
    digits,
    st.sampled_from(["", "", "", "e0", "E5", "e-3", "e+22"]),
)


AT_THE_EDGE = [
    *("0.0001", "0.001", "1.10", "5.0", "-0", "-0.0", "100", "1e3"),
    *("123456789012345.6", "1234567.12345678", "0.1234567890123456", "9007199254740993.5"),
    *("123456789012345678", "1234567890123456789", "12345678901234567890"),
]


@given(st.lists(numbers, min_size=1, max_size=30), st.sampled_from(["", " "]), st.booleans())
@example(AT_THE_EDGE, "", True)
@example(AT_THE_EDGE, " ", False)
@settings(max_examples=300)
def test_what_is_not_marked_duckdb_writes_as_it_was(
    found: list[str], space: str, is_flat: bool
) -> None:
    """However it looks at them: alone, in a list, in what is left of an object."""
    lines = "".join(f'{{"a":{space}{each},"b":{space}"x"}}\n' for each in found)
    if not is_flat:
        lines = "".join(f'{{"a":{space}[{each},{space}{each}]}}\n' for each in found)
    prepared, _ = prepare(lines.encode(), is_flat=is_flat, any_point=False)
    con = duckdb.connect()
    listed = ", ".join(literal(line) for line in prepared.decode().splitlines())
    con.execute(
        f"create table docs as select unnest([{listed}]) as doc, "
        f"unnest(range({len(found)})) as number"
    )
    place = "/a" if is_flat else "/a/1"
    looks = [
        f"json_extract_string(doc, ['{place}'])[1]",
        f"trim(json_extract(doc, '{place}')::varchar, '\"')",
        "trim(json_merge_patch(doc, '{\"b\":null}')::varchar, '{}\"a:[]')",
        "trim(map_entries(from_json(doc, '\"MAP(VARCHAR, JSON)\"'))[1].value::varchar, '[]\"')",
    ]
    for look in looks:
        rows = con.execute(f"select {look} from docs order by number").fetchall()
        texts = [text.replace(json_text._MARK, "").replace('"', "") for (text,) in rows]
        assert [text.split(",")[0] for text in texts] == found, look
