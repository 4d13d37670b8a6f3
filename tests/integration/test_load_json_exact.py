"""JSON arrives as it is written, and nothing is JSON that RFC 8259 does not know."""

import json
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from yards import Yard

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from test_json_text import INVALID, VALID

NUMBERS = [
    "12345678901234567890.1234",
    "1234567890123456789.0",
    "1.10",
    "1e3",
    "-0",
    "0.1e-7",
    "1e400",
    "9007199254740993",
    "123456789012345678901234567890",
    "100",
]
# What stands around a number: flat objects and others.
RECORDS = [
    '{"it":%s}',
    '{ "it" : %s }',
    '{"it":%s,"other":[1.50,{"x":2.50}]}',
    '{"text":"a \\"b\\": 1.50, \\\\","it":%s}',
    '{"text":": 1.50 ","it":%s}',
    '{"it":%s,"text":"x, : 7.50 }"}',
]


@pytest.mark.parametrize("layout", ["lines", "array", "broken lines"])
def test_numbers_are_the_text_they_are_written_as(tmp_path: Path, layout: str) -> None:
    yard = Yard(tmp_path).source(
        columns={"it": "varchar", "text": "varchar"},
        format=["json", "jsonl"],
        new_columns="rescue",
    )
    expected = []
    for group, record in enumerate(RECORDS):  # in files of their own: each is read in its own way
        records = [record % number for number in NUMBERS]
        text = {
            "lines": "\n".join(records),
            "array": f"[{', '.join(records)}]",
            "broken lines": "[\n"
            + ",\n".join(each.replace("{", "{\n", 1) for each in records)
            + "]",
        }[layout]
        yard.deliver(f"{group}.{'jsonl' if layout == 'lines' else 'json'}", text)
        extra = '{"other":[1.50,{"x":2.50}]}' if "other" in record else None
        text = json.loads(record % 0).get("text")
        expected += [(number, text, extra) for number in NUMBERS]
    yard.load()
    assert yard.raw("it, text, _extra::varchar") == expected


def test_numbers_of_json_are_read_by_the_type_of_their_column(tmp_path: Path) -> None:
    columns = {"whole": "bigint", "price": "decimal(38,4)", "ratio": "double", "all": "json"}
    yard = Yard(tmp_path).source(columns=columns, format="jsonl")
    yard.deliver(
        "a.jsonl",
        '{"whole": 9007199254740993.0, "price": 12345678901234567890.1234, "ratio": 0.1,'
        ' "all": [1.10, {"x": 1e3}, "1.10"]}\n'
        '{"whole": 1.0E3, "price": 1e2, "ratio": 1e3, "all": 1.10}\n'
        '{"whole": 1.5, "price": 1.00001, "ratio": 1e400}\n'
        '{"whole": "1.000", "price": "1.5", "ratio": "1.5"}\n',
    )
    yard.load()
    assert yard.raw('whole, price, ratio, "all"') == [
        (9007199254740993, Decimal("12345678901234567890.1234"), 0.1, '[1.10,{"x":1e3},"1.10"]'),
        (1000, Decimal(100), 1000.0, "1.10"),
    ]
    numbers, text = yard.rejects()
    assert numbers.reasons == [
        "whole is 1.5, not a whole number",
        "price is 1.00001, not a decimal(38,4) without rounding",
        "ratio is 1e400, not a finite number",
    ]
    assert numbers.text == '{"whole": 1.5, "price": 1.00001, "ratio": 1e400}'
    assert text.reasons == ["whole is 1.000, not a whole number"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "json"])
def test_a_json_value_is_what_rfc_8259_says_in_every_format(tmp_path: Path, kind: str) -> None:
    yard = Yard(tmp_path).source(columns={"it": "json"}, format=kind, bad_rows="reject_file")
    good = [text for text in VALID if kind == "csv" or "\n" not in text]
    bad = [text for text in INVALID if text.strip() and "\0" not in text and "\n" not in text]
    for number, text in enumerate(good + bad):
        record = f'{{"it":{text}}}'
        if kind == "csv":
            record = f'it\n"{text.replace(chr(34), chr(34) * 2)}"'
        yard.deliver(f"{number}.{kind}", f"{record}\n")
    yard.load()
    status = {int(name.split(".")[0]): status for name, status, *_ in yard.ledger()}
    wrong = [
        text
        for number, text in enumerate(good + bad)
        if (status[number] == "loaded") != (number < len(good))
    ]
    assert wrong == []
