"""Which CSV text DuckDB may split: text that every reader of CSV understands in the same way.

What small pieces are asked with `re` and `bytes` is the same as what large ones are with numpy.
"""

import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from boathouse.ingest import counting
from boathouse.ingest.counting import count, has_quoted_fields_only

counting.make_ready()
FIXTURES = [HealthCheck.function_scoped_fixture]
DELIMITERS = [",", ";", "\t", "|", "§"]
values = st.text(alphabet='x", ;|§\t', max_size=5)


@pytest.fixture(params=[1 << 30, -1], ids=["small", "large"])
def _size(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "SMALL", request.param)
        yield


records = st.lists(st.lists(values, min_size=1, max_size=4), min_size=1, max_size=4)


@pytest.mark.usefixtures("_size")
@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@given(records)
@settings(max_examples=100, suppress_health_check=FIXTURES)
def test_whatever_is_written_as_csv_passes(
    quoting: int, delimiter: str, rows: list[list[str]]
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(rows)
    assert has_quoted_fields_only(text.getvalue().encode(), delimiter)


@pytest.mark.usefixtures("_size")
@pytest.mark.parametrize("bad", [' "x"', '"x" ', 'x"x', '""x', '"x"x"', '"', '"x\nx"'])
@given(records, records)
@settings(max_examples=30, suppress_health_check=FIXTURES)
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
@settings(max_examples=1000, suppress_health_check=FIXTURES)
def test_lines_that_pass_are_valid_each_by_itself(text: str) -> None:
    lines = text.removesuffix("\n") + "\n"
    if has_quoted_fields_only(lines.encode(), ","):
        for line in lines.splitlines():
            list(csv.reader([line], strict=True))


@given(st.text(alphabet='x", \n', max_size=30), st.sampled_from([",", " "]))
@example('"x""y""",""\n', ",")
@settings(max_examples=1000)
def test_large_pieces_are_judged_as_small_ones_are(text: str, delimiter: str) -> None:
    lines = f"{text}\n".encode()
    found = []
    for large in (1 << 30, -1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(counting, "SMALL", large)
            found.append(has_quoted_fields_only(lines, delimiter))
    assert found[0] == found[1]


@given(st.binary(max_size=50), st.sampled_from([b"\n", b'":', b'"}\n', b"\0\1"]), st.integers(1, 9))
@settings(max_examples=500)
def test_count_is_that_of_bytes(text: bytes, needle: bytes, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "SMALL", -1)
        patch.setattr(counting, "_BLOCK", block)
        repeated = needle.join([text, b"", text])
        assert count(repeated, needle) == repeated.count(needle)
