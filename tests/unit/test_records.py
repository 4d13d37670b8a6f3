"""Where in which file a line of a blob stood."""

from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boathouse.ingest.content import Part
from boathouse.ingest.records import (
    LONGEST_TEXT,
    BlobWriter,
    LongLine,
    Span,
    line_pieces,
    line_pieces_within,
    locate,
    shortened,
    shortened_sql,
    without_lines,
    wrong_width,
)

Place = tuple[int, int]


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    """Return spans as a blob has them: one after the other, some files in several."""
    found: list[Span] = []
    line = 0
    for file_no in draw(st.lists(st.integers(0, 5), max_size=6)):
        first_row = draw(st.integers(1, 9))
        count = draw(st.integers(1, 5))
        found.append(Span(file_no, first_row, count, line))
        line += count
    return found


def places(found: list[Span]) -> dict[int, Place]:
    """Return, for every line, its file and row: what spans are meant to say, slowly."""
    return {
        span.first_line + step: (span.file_no, span.first_row + step)
        for span in found
        for step in range(span.count)
    }


@given(spans())
@settings(max_examples=100)
def test_every_line_is_located(found: list[Span]) -> None:
    expected = places(found)
    assert {line: locate(found, line) for line in expected} == expected


@given(spans(), st.data())
@settings(max_examples=200)
def test_without_lines_leaves_exactly_the_other_lines(
    found: list[Span], data: st.DataObject
) -> None:
    expected = places(found)
    lines = data.draw(st.lists(st.sampled_from(sorted(expected) or [0]), unique=True))
    lines = sorted(line for line in lines if line in expected)
    remaining = without_lines(found, lines)
    assert places(remaining) == {n: p for n, p in expected.items() if n not in lines}
    assert all(span.count > 0 for span in remaining)
    assert [s.first_line for s in remaining] == sorted(s.first_line for s in remaining)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), max_size=8),
    st.integers(1, 40),
)
@settings(max_examples=50)
def test_a_blob_writer_knows_the_place_of_every_line(
    tmp_path_factory: object, additions: list[tuple[int, int]], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("blobs")  # type: ignore[attr-defined]
    writer = BlobWriter(folder, "blob", limit)
    rows = {0: 0, 1: 0, 2: 0}
    for file_no, count in additions:
        lines = b"".join(b"%d:%d\n" % (file_no, rows[file_no] + 1 + n) for n in range(count))
        writer.add(file_no, rows[file_no] + 1, lines, count)
        rows[file_no] += count
    seen = []
    for blob in writer.blobs:
        for line, text in enumerate(blob.path.read_text().splitlines()):
            file_no, row = locate(blob.spans, line)
            assert text == f"{file_no}:{row}"
            seen.append((file_no, row))
    assert sorted(seen) == sorted((f, r) for f, count in rows.items() for r in range(1, count + 1))


def test_a_full_blob_is_followed_by_another(tmp_path: Path) -> None:
    writer = BlobWriter(tmp_path, "blob", 4)
    for row, line in enumerate([b"a\n", b"b\n", b"c\n"], 1):
        writer.add(0, row, line, 1)
    assert [blob.path.read_bytes() for blob in writer.blobs] == [b"a\nb\n", b"c\n"]


@given(
    st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b"\r"]), max_size=12).map(b"".join),
    st.integers(1, 5),
)
@settings(max_examples=200)
def test_pieces_end_with_a_line_and_lose_nothing(data: bytes, size: int) -> None:
    class Pieces(Part):
        def pieces(self):  # type: ignore[no-untyped-def]
            return (data[at : at + size] for at in range(0, len(data), size))

    pieces = list(line_pieces(Pieces(data, len(data))))
    assert all(piece.endswith(b"\n") and b"\r" not in piece for piece in pieces)
    tidy = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    whole = b"".join(pieces)
    assert whole.split() == tidy.split()
    # A line that only the end of the file ends gets an end; a return there counts as one.
    assert whole.rstrip(b"\n") == tidy.rstrip(b"\n")


def test_only_the_first_piece_can_have_a_byte_order_mark() -> None:
    mark = b"\xef\xbb\xbf"
    assert list(line_pieces(Part(mark + b"a\n" + mark + b"b", 8))) == [b"a\n", mark + b"b\n"]


def test_empty_fields_beyond_the_header_are_no_fields() -> None:
    assert wrong_width(["a"], 3) == "the record has 1 field, the header 3"
    assert wrong_width(["a", "b", "c", "d"], 3) == "the record has 4 fields, the header 3"
    assert wrong_width(["a", "b", "", "", "e", ""], 3) == "the record has 5 fields, the header 3"
    assert wrong_width(["a", "", "", "", ""], 3) == ""
    assert wrong_width(["a", "", ""], 3) == ""


@pytest.mark.parametrize("extra", [-1, 0, 1, 2345])
def test_a_very_long_text_is_cut_and_says_so(extra: int) -> None:
    text = "ü" * (LONGEST_TEXT + extra)
    cut = shortened(text)
    assert (cut == text) == (extra <= 0)
    query = f"select {shortened_sql('text')} from (select repeat('ü', {len(text)}) as text)"
    assert duckdb.connect().execute(query).fetchall() == [(cut,)]
    if extra == 2345:
        assert cut.endswith("ü … (cut: 102,345 characters in the archived original)")


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
@pytest.mark.parametrize("size", [7, 30])
def test_a_line_that_is_too_long_ends_where_lines_end(end: bytes, size: int) -> None:
    data = end.join([b"a", b"x" * 100, b"b", b"c", b""])

    class Pieces(Part):
        def pieces(self):  # type: ignore[no-untyped-def]
            return (data[at : at + size] for at in range(0, len(data), size))

    found = list(line_pieces_within(Pieces(data, len(data)), 20))
    (long,) = [piece for piece in found if isinstance(piece, LongLine)]
    assert long.length == 100
    assert ("x" * 100).startswith(long.start)
    lines = b"".join(piece for piece in found if isinstance(piece, bytes))
    assert lines.split() == [b"a", b"b", b"c"]
