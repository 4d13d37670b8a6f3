"""What becomes of an Excel workbook: every value exact, or rejected with a reason."""

import io
import json
import resource
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.tables import MAIN, Loaded, cell, loaded, sheet, text, under, workbook

from boathouse.contracts import Column
from boathouse.ingest.content import RefusedFileError
from boathouse.ingest.workbook.numbers import Shows, number_text, shows
from boathouse.ingest.workbook.strings import unescape
from boathouse.ingest.workbook_reader import FoundSheet, choose_sheet

Read = Callable[..., Loaded]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads a workbook under a contract with the columns given."""

    def read_workbook(content: bytes, columns: Any = None, **rest: Any) -> Loaded:
        return loaded(content, columns or {"id": "bigint", "name": "varchar"}, tmp_path, **rest)

    return read_workbook


def one(read: Read, given: str, data_type: str, **rest: Any) -> Any:
    """Return the value of one cell, or the reasons against it."""
    found = read(workbook(under("x", [given]), **rest), {"x": data_type})
    return found.reasons[1] if found.reasons else found.rows[0][0]


def refusal(read: Read, content: bytes, **rest: Any) -> str:
    with pytest.raises(RefusedFileError) as caught:
        read(content, **rest)
    return str(caught.value)


ROWS = under("id name", [cell(1), text("a")])
GOOD = workbook(ROWS)

# -- sheets --------------------------------------------------------------------------------

EMPTY = sheet([cell(style=1), cell("", "str")], [cell()])


def test_several_sheets_with_cells_are_refused_by_their_names(read: Read) -> None:
    reason = refusal(read, workbook(ROWS, ROWS, names=["Jan", "Feb"]))
    assert reason.startswith("the workbook has 2 visible sheets with something in them: 'Jan', ")


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_hidden_sheets_are_not_read(read: Read, state: str) -> None:
    other = under("secret", [cell(9)])
    found = read(workbook(other, ROWS, other, states=[state, "visible", state]))
    assert found.rows == [(1, "a")]


def test_empty_sheets_are_not_counted(read: Read) -> None:
    assert read(workbook(EMPTY, ROWS, EMPTY, formats=["0"])).rows == [(1, "a")]


def test_a_workbook_without_a_visible_sheet_with_cells_is_refused(read: Read) -> None:
    reason = "the workbook has no visible sheet with anything in it"
    assert refusal(read, workbook(EMPTY, formats=["0"])) == reason
    assert refusal(read, workbook(ROWS, states=["hidden"])) == reason


def test_a_chart_is_no_sheet_of_cells(read: Read) -> None:
    book = openpyxl.Workbook()
    book.create_chartsheet("chart", 0)
    book.active = 1
    for row in (["id", "name"], [1, "a"]):
        book["Sheet"].append(row)
    target = io.BytesIO()
    book.save(target)
    assert read(target.getvalue()).rows == [(1, "a")]


def test_very_many_sheets_are_named_in_part() -> None:
    with pytest.raises(RefusedFileError, match="'s9' and 20 more; say"):
        choose_sheet([FoundSheet(f"s{n}", True, True) for n in range(30)])


# -- rows and header -----------------------------------------------------------------------


def test_a_cell_beyond_the_header_rejects_its_record_and_is_kept(read: Read) -> None:
    content = workbook(
        under("id name", [cell(1), text("a"), cell(), text("lost")], [cell(2), text("b"), cell()])
    )
    found = read(content)
    assert found.rows == [(2, "b")]
    assert found.reasons == {1: ["the record has 4 fields, the header 2"]}
    assert json.loads(found.texts[1]) == {"A2": "1", "B2": "a", "D2": "lost"}


def test_a_sheet_may_begin_below_and_to_the_right(read: Read) -> None:
    found = read(
        workbook(
            f'<worksheet xmlns="{MAIN}"><sheetData>'
            '<row r="3"><c r="C3" t="str"><v>id</v></c><c r="D3" t="str"><v>name</v></c></row>'
            '<row r="5"><c r="D5" t="str"><v>a</v></c><c r="C5"><v>1</v></c></row>'
            '<row r="6"><c r="A6"><v>7</v></c><c r="C6"><v>2</v></c></row>'
            "</sheetData></worksheet>"
        )
    )
    assert found.rows == [(1, "a")]
    assert found.reasons == {2: ["the record has a cell left of the header's first one (A6)"]}


def test_blank_rows_are_no_records(read: Read) -> None:
    blank = [cell(), cell("", "str")]
    content = workbook(
        under(
            "id name",
            blank,
            [cell(1), cell("", "str", formula='""')],
            blank,
            [cell("x", "str")],
            blank,
        )
    )
    found = read(content)
    assert (found.rows, list(found.reasons)) == ([(1, None)], [2])


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["id", "Name", "name"], "the header has name more than once"),
        (["id", "", "name"], "the header has a column without a name (number 2)"),
        (["id"], "the header lacks name; it has id"),
        (["id", "name", "other"], "the header has other, which the contract does not know"),
    ],
)
def test_a_header_must_meet_the_contract(read: Read, names: list[str], reason: str) -> None:
    content = workbook(sheet([text(name) for name in names], [cell(1), text("a")]))
    assert refusal(read, content).startswith(reason)


def test_a_column_may_be_told_by_its_header_or_its_place(read: Read) -> None:
    columns = {
        "number": Column("number", "bigint", (), position=1),
        "label": Column("label", "varchar", (), header="Label (DE)"),
        "note": Column("note", "varchar", (), position=3),
    }
    rows = [[cell(1), text("a"), text("b")], [cell("#N/A", "e")]]
    found = read(workbook(sheet([cell(), text("Label (DE)")], *rows)), columns)
    assert found.rows == [(1, "a", "b")]
    assert found.reasons == {2: ["number is #N/A, an error in the workbook"]}
    assert found.texts[2] == '{"":"#N/A","Label (DE)":null,"":null}'


def test_numbers_and_dates_are_names_as_they_are_shown(read: Read) -> None:
    content = workbook(sheet([cell(2024), cell(45293, style=1)], [cell(1)]), formats=["yyyy/mm/dd"])
    assert read(content, {"2024": "bigint", "2024_01_02": "varchar"}).rows == [(1, None)]


def test_an_error_in_the_header_is_no_name(read: Read) -> None:
    content = workbook(sheet([text("id"), cell("#REF!", "e")]))
    assert refusal(read, content) == "a name in the header is #REF!, an error in the workbook"


def test_a_cell_that_is_given_twice_rejects_its_record(read: Read) -> None:
    twice = '<row><c r="A2"><v>1</v></c><c r="A2"><v>2</v></c></row>'
    content = workbook(under("id name").replace("</sheetData>", f"{twice}</sheetData>"))
    assert read(content).reasons == {1: ["the row gives the cell A2 twice"]}


def test_merged_cells_among_the_records_are_refused(read: Read) -> None:
    def merged(ref: str) -> bytes:
        after = f'<mergeCells count="1"><mergeCell ref="{ref}"/></mergeCells>'
        return workbook(under("id name", [cell(1), text("a")], [cell(2)], after=after))

    assert "the cells B2:B3 are merged" in refusal(read, merged("B2:B3"))
    assert "the cells A1:B1 are merged" in refusal(read, merged("A1:B1"))
    for elsewhere in ("A4:B9", "C1:F9", "A2:A2"):
        assert len(read(merged(elsewhere)).rows) == 2


def test_a_new_column_is_added_or_rescued_and_its_errors_reject(read: Read) -> None:
    content = workbook(
        under("id extra", [cell(1), cell(5.5)], [cell(2), cell("#N/A", "e")], [cell(3)])
    )
    found = read(content, {"id": "bigint"}, new_columns="rescue")
    assert found.rows == [(1, '{"extra":"5.5"}'), (3, None)]
    assert found.reasons == {2: ["extra is #N/A, an error in the workbook"]}


def test_a_record_that_is_too_long_is_rejected(read: Read) -> None:
    content = workbook(
        under("id name", [cell(1), text("x" * 2000)], [cell(2), cell(0, "s")], [cell(3)]),
        shared=f"<si><t>{'y' * 2000}</t></si>",
    )
    found = read(content, max_record_bytes=1000)
    assert found.rows == [(3, None)]
    assert all("more than the limit of 1,000" in reasons[0] for reasons in found.reasons.values())
    assert len(found.reasons) == 2


# -- values --------------------------------------------------------------------------------

DATE = ["yyyy-mm-dd"]


@pytest.mark.parametrize(
    ("given", "data_type", "value"),
    [
        (cell(1, "b"), "varchar", "true"),
        (cell(0, "b"), "boolean", False),
        (cell(1), "boolean", True),
        (cell("5.0"), "varchar", "5"),
        (cell(5.0), "bigint", 5),
        (cell("1.1000000000000001"), "varchar", "1.1"),
        (cell("0.30000000000000004"), "double", 0.1 + 0.2),
        (cell("1E-3"), "varchar", "0.001"),
        (cell("-0"), "varchar", "0"),
        (cell("123456789012345"), "varchar", "123456789012345"),
        (cell("1E+15"), "bigint", 10**15),
        (cell("12345678901234567"), "bigint", 12345678901234567),
        (cell("1234567890123456.78"), "decimal(18,2)", Decimal("1234567890123456.78")),
        (cell("9.9900000000000002"), "decimal(9,2)", Decimal("9.99")),
        (cell(" 7 "), "bigint", 7),
        (cell(45293, style=1), "varchar", "2024-01-02"),
        (cell(45293.4375, style=1), "varchar", "2024-01-02 10:30:00"),
        (cell(45293, style=1), "date", date(2024, 1, 2)),
        (cell(45293.4375, style=1), "timestamp", datetime(2024, 1, 2, 10, 30)),
        (cell("2024-01-02T00:00:00", "d"), "varchar", "2024-01-02"),
        (cell("2024-01-02T10:30:00.5", "d"), "timestamp", datetime(2024, 1, 2, 10, 30, 0, 500000)),
        (text("2024-01-02T10:30:00+02:00"), "timestamp", datetime(2024, 1, 2, 8, 30)),
        (text("TRUE"), "varchar", "TRUE"),
        (text("00123"), "varchar", "00123"),
        (cell("done", "str", formula="A1"), "varchar", "done"),
        (cell(6, formula="2*3"), "bigint", 6),
        (cell(0, formula="1-1"), "bigint", 0),
        (text('{"a": 1}'), "json", '{"a": 1}'),
    ],
)
def test_a_cell_gives_its_value(read: Read, given: str, data_type: str, value: Any) -> None:
    assert one(read, given, data_type, formats=DATE) == value


UNREADABLE = [
    (cell(45293), "date", "x is 45293, not a date that exists (YYYY-MM-DD)"),
    (cell(45293.5), "timestamp", "x is 45293.5, not a time that exists"),
    (cell(20240102), "date", "x is 20240102, not a date that exists (YYYY-MM-DD)"),
    (cell(45293, style=1), "bigint", "x is 2024-01-02, not a whole number"),
    (cell(45293, style=1), "double", "x is 2024-01-02, not a finite number"),
    (cell(45293, style=1), "boolean", "x is 2024-01-02, not true or false"),
    (cell(45293.5, style=1), "date", "x is 2024-01-02 12:00:00, not a date that exists"),
    (cell(60, style=1), "varchar", "x is day 60 of the workbook's calendar, not a date"),
    (cell(0, style=1), "date", "x is day 0 of the workbook's calendar, not a date"),
    (cell(-1, style=1), "varchar", "x is day -1 of the workbook's calendar, not a date"),
    (cell(2958466, style=1), "varchar", "x is day 2958466 of the workbook's calendar, not a"),
    (cell("1E+300", style=1), "varchar", "x is day 1E+300 of the workbook's calendar, not"),
    (cell(1, "b"), "bigint", "x is true, not a whole number"),
    (cell("1.239"), "decimal(9,2)", "x is 1.239, not a decimal(9,2) without rounding"),
    (cell("1E+20"), "bigint", "x is 1e+20, not a whole number"),
    (cell("1E+999"), "varchar", "x is 1E+999, more than a number"),
    (cell("NaN"), "double", "x is NaN, not a number, though the workbook says it is one"),
    (cell("1_0"), "varchar", "x is 1_0, not a number, though the workbook says it is one"),
    (cell("maybe", "b"), "varchar", "x is maybe, not what the workbook says it is (b)"),
    (cell("1", "zz"), "varchar", "x is 1, not what the workbook says it is (zz)"),
    (cell(None, formula="2*3"), "bigint", "x is a formula (=2*3) without a stored value: open"),
    (cell("", formula="A1"), "varchar", "x is a formula (=A1) without a stored value: open the"),
    (cell(None, "str", formula="A1"), "varchar", "x is a formula (=A1) without a stored value"),
]
UNREADABLE += [
    (cell(name, "e"), kind, f"x is {name}, an error in the workbook")
    for name in ("#N/A", "#REF!", "#DIV/0!")
    for kind in ("varchar", "bigint", "date", "json")
]


@pytest.mark.parametrize(("given", "data_type", "reason"), UNREADABLE)
def test_a_cell_that_gives_no_value_is_rejected_with_one_reason(
    read: Read, given: str, data_type: str, reason: str
) -> None:
    [found] = one(read, given, data_type, formats=DATE)
    assert found.startswith(reason)


def test_a_zero_that_nobody_calculated_is_no_value(read: Read) -> None:
    content = workbook(
        under("id", [cell(0, formula="1+1")], [cell(7, formula="7")], [cell(0)]), calculates=False
    )
    found = read(content, {"id": "bigint"})
    assert found.rows == [(7,), (0,)]
    assert list(found.reasons) == [1]


@pytest.mark.parametrize(
    ("serial", "is_1904", "shown"),
    [
        (1, False, "1900-01-01"),
        (59, False, "1900-02-28"),
        (61, False, "1900-03-01"),
        (2958465, False, "9999-12-31"),
        (0, True, "1904-01-01"),
        (42735, True, "2021-01-01"),
        (44197, False, "2021-01-01"),
        (44197.9999999999, False, "2021-01-02"),
        (44197.00000001157, False, "2021-01-01 00:00:00.001"),
    ],
)
def test_dates_follow_the_calendar_of_the_workbook(
    read: Read, serial: float, is_1904: bool, shown: str
) -> None:
    given = cell(serial, style=1)
    assert one(read, given, "varchar", formats=DATE, is_1904=is_1904) == shown


@pytest.mark.parametrize(
    ("code", "serial", "shown"),
    [
        ("h:mm AM/PM", 0.4375, "10:30:00"),
        ("mm:ss.0", 0.00001, "00:00:00.864"),
        ("[h]:mm:ss", 10.6320601851852, "255:10:10"),
        ("[mm]", 1 / 24, "01:00:00"),
        ("h:mm", 45293.5, "2024-01-02 12:00:00"),
        ("h:mm", 0, "00:00:00"),
    ],
)
def test_times_and_durations_are_hours_minutes_and_seconds(
    read: Read, code: str, serial: float, shown: str
) -> None:
    assert one(read, cell(serial, style=1), "varchar", formats=[code]) == shown


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("General", Shows.NUMBER),
        ("0.00E+00", Shows.NUMBER),
        ('#,##0.00\\ "days"', Shows.NUMBER),
        ("[$€-407]#,##0;[Red]-0", Shows.NUMBER),
        ("@", Shows.NUMBER),
        ('General" h"', Shows.NUMBER),
        ("[>100]0;0_d", Shows.NUMBER),
        ("0;yyyy", Shows.NUMBER),
        ("DD/MM/YY", Shows.DATE),
        ("mmm", Shows.DATE),
        ("[$-404]e/m/d", Shows.DATE),
        ("[$-F800]dddd\\,\\ mmmm", Shows.DATE),
        ("yyyy-mm-dd;@", Shows.DATE),
        ("m/d/yy h:mm", Shows.DATE),
        ("hh:mm", Shows.TIME),
        ("mm:ss", Shows.TIME),
        ("[ss]", Shows.DURATION),
    ],
)
def test_a_format_tells_dates_from_numbers(code: str, kind: Shows) -> None:
    assert shows(164, code) is kind


def test_built_in_formats_tell_dates_from_numbers() -> None:
    kinds = {number: shows(number, None) for number in (0, 2, 14, 20, 22, 31, 46, 49, 99)}
    assert kinds == {
        0: Shows.NUMBER, 2: Shows.NUMBER, 14: Shows.DATE, 20: Shows.TIME, 22: Shows.DATE,
        31: Shows.DATE, 46: Shows.DURATION, 49: Shows.NUMBER, 99: Shows.NUMBER,
    }  # fmt: skip


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_double_that_is_stored(value: float) -> None:
    for written in (repr(value), f"{value:.16E}"):
        found = number_text(written)
        assert not found.problem
        assert float(found.text) == value


def test_what_openpyxl_writes_is_read_as_it_was(read: Read) -> None:
    day, at, clock = date(2024, 1, 2), datetime(2024, 1, 2, 10, 30, 0, 123000), time(10, 30)
    book = openpyxl.Workbook()
    book.active.append(["a", "b", "c", "d", "e"])
    book.active.append([day, at, clock, timedelta(hours=30), "漢 <&>\n x"])
    target = io.BytesIO()
    book.save(target)
    columns = {"a": "date", "b": "timestamp", "c": "varchar", "d": "varchar", "e": "varchar"}
    assert read(target.getvalue(), columns).rows == [
        (day, at, "10:30:00", "30:00:00", "漢 <&>\n x")
    ]


# -- texts ---------------------------------------------------------------------------------


def test_shared_texts_are_those_of_their_own_number(read: Read) -> None:
    shared = (
        "<si><t/></si><si/><si><t>漢</t><rPh sb='0' eb='1'><t>kan</t></rPh><phoneticPr/></si>"
        "<si><r><t xml:space='preserve'> b </t></r><r><rPr/><t>c</t></r></si>"
        "<si><t>x_x000D_y_x005F_x000D_</t></si>"
    )
    rows = [[cell(n), cell(n, "s")] for n in range(5)]
    assert read(workbook(under("id name", *rows), shared=shared)).rows == [
        (0, None), (1, None), (2, "漢"), (3, " b c"), (4, "x\ry_x000D_")
    ]  # fmt: skip


def test_inline_texts_are_read_like_shared_ones(read: Read) -> None:
    rich = (
        "<c t='inlineStr'><is><r><t>a</t></r><r><t>_x0041_</t></r>"
        "<rPh sb='0' eb='1'><t>no</t></rPh></is></c>"
    )
    assert read(workbook(under("id name", [cell(1), rich]))).rows == [(1, "aA")]


def test_codes_of_characters_are_the_characters() -> None:
    assert unescape("_xD83D__xDE00_") == "😀"
    assert unescape("_xD83D_") == "_xD83D_"
    assert unescape("a_x_b_x00_") == "a_x_b_x00_"


def test_prefixes_and_the_strict_form_make_no_difference(read: Read) -> None:
    strict = ROWS.replace(MAIN, "http://purl.oclc.org/ooxml/spreadsheetml/main")
    prefixed = (
        f'<x:worksheet xmlns:x="{MAIN}"><x:sheetData><x:row><x:c t="str"><x:v>id</x:v></x:c>'
        '<x:c t="str"><x:v>name</x:v></x:c></x:row><x:row><x:c><x:v>1</x:v></x:c></x:row>'
        "</x:sheetData></x:worksheet>"
    )
    assert read(workbook(strict)).rows == [(1, "a")]
    assert read(workbook(prefixed)).rows == [(1, None)]
    assert read(workbook(ROWS.encode("utf-16").decode("utf-16"))).rows == [(1, "a")]


# -- what is no workbook -------------------------------------------------------------------

OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)


def patched(content: bytes, **attributes: int) -> bytes:
    """Return a workbook whose first sheet's entry says something else of itself."""
    source, target = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for member in source.infolist():
            archive.writestr(member.filename, source.read(member))
        for name, value in attributes.items():
            setattr(archive.getinfo("xl/worksheets/sheet1.xml"), name, value)
    return target.getvalue()


LAUGHS = f'<!DOCTYPE w [<!ENTITY a "ha">]><worksheet xmlns="{MAIN}">&a;</worksheet>'
SHEET = "xl/worksheets/sheet1.xml"
NO_WORKBOOKS = {
    "text": (b"id,name\n1,a\n", "it cannot be read as Excel workbook: its content is something"),
    "old": (OLD, "it is a file of Excel before 2007 (.xls); save it as .xlsx"),
    "encrypted": (
        OLD + "EncryptedPackage".encode("utf-16-le"),
        "the workbook is protected by a password; save it without one",
    ),
    "cut": (GOOD[: len(GOOD) // 2], "it cannot be read as Excel workbook: File is not a zip file"),
    "protected member": (patched(GOOD, flag_bits=1), "the workbook is protected by a password"),
    "no parts": (workbook(parts={"_rels/.rels": None}), "it is no whole Excel workbook: _rels/"),
    "no sheet": (
        workbook(ROWS, parts={SHEET: None}),
        "it is no whole Excel workbook: xl/worksheets/sheet1.xml is missing in it",
    ),
    "not related": (
        workbook(ROWS, parts={"xl/_rels/workbook.xml.rels": None}),
        "it cannot be read as Excel workbook: 'r1'",
    ),
    "binary": (
        workbook(parts={"_rels/.rels": "<R xmlns='r'><Relationship Id='r' "
                        "Type='x/officeDocument' Target='xl/workbook.bin'/></R>"}),
        "it is a binary workbook (.xlsb); save it as .xlsx",
    ),
    "no xml": (workbook("sheet"), "xl/worksheets/sheet1.xml in the workbook is damaged: syntax"),
    "cut xml": (workbook(ROWS[:-12]), "xl/worksheets/sheet1.xml in the workbook is damaged: no"),
    "entities": (workbook(LAUGHS), "xl/worksheets/sheet1.xml in the workbook declares a document"),
    "no such text": (
        workbook(under("id name", [cell(3, "s")]), shared="<si/>"),
        "the workbook is damaged: there is no shared text 3, which row 2 of its sheet asks for",
    ),
    "no such style": (
        workbook(under("id name", [cell(3, style=9)]), formats=DATE),
        "the workbook is damaged: there is no cell style 9",
    ),
    "no such column": (
        workbook(ROWS.replace("<c>", "<c r='ZZZZ2'>", 1)),
        "the workbook is damaged: there can be no column 'ZZZZ'",
    ),
    "too many cells": (
        workbook(sheet(["<c/>"] * 16_385)),
        "the workbook is damaged: a row has too many cells",
    ),
    "comment": (
        workbook(f"<!--{'x' * 9_000_000}-->{ROWS}"),
        "xl/worksheets/sheet1.xml in the workbook is no XML that a workbook has",
    ),
    "deep": (
        workbook("<a>" * 300_000),
        "xl/worksheets/sheet1.xml in the workbook is no XML that a workbook has",
    ),
    "names": (
        workbook(f"<a>{''.join(f'<a{n}/>' for n in range(50_000))}</a>"),
        "xl/worksheets/sheet1.xml in the workbook is no XML that a workbook has",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(NO_WORKBOOKS))
def test_what_is_no_workbook_is_refused_with_a_reason(read: Read, name: str) -> None:
    content, reason = NO_WORKBOOKS[name]
    assert refusal(read, content).startswith(reason)


def test_a_workbook_that_unpacks_to_too_much_is_refused_before_it_is_read(read: Read) -> None:
    content = workbook(ROWS, shared=f"<si><t>{'x' * 500_000}</t></si>")
    reason = refusal(read, content, max_workbook_bytes=400_000)
    assert "(BOATHOUSE_MAX_WORKBOOK_BYTES)" in reason
    content = workbook(ROWS + " " * 300_000, shared=f"<si><t>{'x' * 300_000}</t></si>")
    reason = refusal(read, content, max_workbook_bytes=400_000)
    assert reason == (
        "the workbook unpacks to more than 400,000 bytes (BOATHOUSE_MAX_WORKBOOK_BYTES)"
    )


def test_a_size_that_the_archive_declares_too_small_is_damage(read: Read) -> None:
    reason = refusal(read, patched(workbook(ROWS), file_size=100))
    assert "it cannot be read as Excel workbook: Bad CRC-32" in reason or "damaged" in reason


def test_a_cell_far_away_takes_no_memory(read: Read) -> None:
    far = "<row r='1048576'><c r='XFD1048576'><v>1</v></c></row>"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read(workbook(ROWS.replace("</sheetData>", f"{far}</sheetData>")))
    assert found.reasons == {2: ["the record has 16384 fields, the header 2"]}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_workbooks_are_read_or_refused(read: Read, data: st.DataObject) -> None:
    # Parts are mutated, since the archive's checksums tell any other damage.
    text_cells = [cell(1), cell(0, "s"), cell(45293.5, style=1), cell(1, "b"), cell(2, formula="2")]
    content = workbook(under("id name a b c", text_cells), shared="<si><t>x</t></si>", formats=DATE)
    archive = zipfile.ZipFile(io.BytesIO(content))
    name = data.draw(st.sampled_from(archive.namelist()))
    part = bytearray(archive.read(name))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(part) - 1))
        part[place : place + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=4))
    parts = {other: archive.read(other) for other in archive.namelist()} | {name: bytes(part)}
    try:
        read(workbook(parts=parts), dict.fromkeys(["id", "name", "a", "b", "c"], "varchar"))
    except RefusedFileError as error:
        assert str(error)
