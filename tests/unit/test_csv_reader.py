"""Which CSV text DuckDB may split: text that every reader of CSV understands in the same way."""

import csv
import io

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from boathouse.ingest.csv_reader import has_quoted_fields_only

DELIMITERS = [",", ";", "\t", "|", "§"]
values = st.text(alphabet='x", ;|§\t', max_size=5)
records = st.lists(st.lists(values, min_size=1, max_size=4), min_size=1, max_size=4)


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@given(records)
@settings(max_examples=100, deadline=None)
def test_whatever_is_written_as_csv_passes(
    quoting: int, delimiter: str, rows: list[list[str]]
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)
    assert has_quoted_fields_only(text.getvalue().encode(), delimiter)


@pytest.mark.parametrize("bad", [' "x"', '"x" ', 'x"x', '""x', '"x"x"', '"', '"x\nx"'])
@given(records, records)
@settings(max_examples=30, deadline=None)
def test_one_field_quoted_in_another_way_does_not(
    bad: str, before: list[list[str]], after: list[list[str]]
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(before)
    text.write(f"x,{bad},x\n")
    writer.writerows(after)
    assert not has_quoted_fields_only(text.getvalue().encode(), ",")


@given(st.text(alphabet='x", \n', max_size=12))
@example('""x,""x')
@settings(max_examples=1000, deadline=None)
def test_lines_that_pass_are_valid_each_by_itself(text: str) -> None:
    lines = text.removesuffix("\n") + "\n"
    if has_quoted_fields_only(lines.encode(), ","):
        for line in lines.splitlines():
            list(csv.reader([line], strict=True))
