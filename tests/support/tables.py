"""Workbooks written part by part, and what becomes of a table under a contract."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import duckdb

from boathouse.contracts import Column, Contract, Landing
from boathouse.ingest.content import Part
from boathouse.ingest.parser import Parser
from boathouse.ingest.table_reader import TableReader
from boathouse.lake import Lake
from boathouse.settings import Settings

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def loaded(
    content: bytes,
    columns: Mapping[str, str | Column],
    work: Path,
    kind: Literal["xlsx", "parquet"] = "xlsx",
    new_columns: str = "reject",
    **settings: Any,
) -> "Loaded":
    """Return what a file gives under a contract with these columns: their types, or all of them."""
    landing = Landing(files=("*",), format=(kind,), new_columns=new_columns)
    listed = tuple(
        given if isinstance(given, Column) else Column(name, given, ())
        for name, given in columns.items()
    )
    contract = Contract("things", "tests", work, landing, listed, None)
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        reader = TableReader(con, contract, Settings(project=work, home=work, **settings), work)
        part = Part(content, len(content))
        count = reader.add(0, part, 1, is_workbook=kind == "xlsx")
        [chunk] = reader.chunks()
        parser = Parser(Lake(con), contract, work)
        assert not parser.parse([chunk], list(listed))
        found = con.sql(parser.records(list(listed)))
        good = found.filter("_reasons is null").order("_row")
        bad = found.filter("_reasons is not null").order("_row")
        assert len(good) + len(bad) == count
        assert not good.filter("_text is not null")
        return Loaded(
            good.project("* exclude (_file_no, _row, _reasons, _text)").fetchall(),
            dict(bad.project("_row, _reasons").fetchall()),
            dict(bad.project("_row, _text").fetchall()),
        )


class Loaded:
    """Good rows, and the reasons and texts of rejected ones by row number."""

    def __init__(
        self, rows: list[Any], reasons: dict[int, list[str]], texts: dict[int, str]
    ) -> None:
        self.rows = rows
        self.reasons = reasons
        self.texts = texts


def cell(value: Any = None, kind: str = "", style: int = 0, formula: str | None = None) -> str:
    """Return a cell's XML; `value` None is a cell without one."""
    attributes = (f' t="{kind}"' if kind else "") + (f' s="{style}"' if style else "")
    inner = "" if formula is None else f"<f>{escape(formula)}</f>"
    if kind == "inlineStr":
        inner += f"<is><t>{escape(value)}</t></is>"
    elif value is not None:
        inner += f"<v>{escape(str(value))}</v>"
    return f"<c{attributes}>{inner}</c>"


def text(value: str) -> str:
    """Return a text cell's XML."""
    return cell(value, "inlineStr")


def sheet(*rows: Sequence[str], after: str = "") -> str:
    """Return a sheet's XML: rows of cells, and what follows them."""
    listed = "".join(f"<row>{''.join(cells)}</row>" for cells in rows)
    return f'<worksheet xmlns="{MAIN}"><sheetData>{listed}</sheetData>{after}</worksheet>'


def under(names: str, *rows: Sequence[str], after: str = "") -> str:
    """Return a sheet's XML with a header of names, with spaces between them."""
    return sheet([text(name) for name in names.split()], *rows, after=after)


def workbook(
    *sheets: str,
    states: Sequence[str] = (),
    names: Sequence[str] = (),
    shared: str | None = None,
    formats: Sequence[str] = (),
    is_1904: bool = False,
    calculates: bool = True,
    parts: Mapping[str, str | bytes | None] | None = None,
) -> bytes:
    """Return a workbook.

    `shared` is what `<sst>` holds; cell style 1 has the first of `formats`, and so on; `parts`
    replaces parts of the archive, or leaves them out (None).
    """
    listed, related = "", ""
    found: dict[str, str | bytes | None] = {}
    for n, content in enumerate(sheets, 1):
        name = names[n - 1] if names else f"Sheet{n}"
        state = f' state="{states[n - 1]}"' if states else ""
        listed += f'<sheet name={quoteattr(name)} sheetId="{n}"{state} r:id="r{n}"/>'
        related += _related(f"r{n}", "worksheet", f"worksheets/sheet{n}.xml")
        found[f"xl/worksheets/sheet{n}.xml"] = content
    if shared is not None:
        related += _related("rs", "sharedStrings", "sharedStrings.xml")
        found["xl/sharedStrings.xml"] = f'<sst xmlns="{MAIN}">{shared}</sst>'
    if formats:
        related += _related("rf", "styles", "styles.xml")
        codes = "".join(
            f'<numFmt numFmtId="{163 + n}" formatCode={quoteattr(code)}/>'
            for n, code in enumerate(formats, 1)
        )
        styles = "".join(f'<xf numFmtId="{163 + n}"/>' for n in range(1, len(formats) + 1))
        found["xl/styles.xml"] = (
            f'<styleSheet xmlns="{MAIN}"><numFmts>{codes}</numFmts>'
            f'<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>'
            f'<cellXfs><xf numFmtId="0"/>{styles}</cellXfs></styleSheet>'
        )
    found["xl/workbook.xml"] = (
        f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><workbookPr date1904="{int(is_1904)}"/>'
        f"<sheets>{listed}</sheets>"
        f'<calcPr fullCalcOnLoad="{int(not calculates)}"/></workbook>'
    )
    found["xl/_rels/workbook.xml.rels"] = _relations(related)
    found["_rels/.rels"] = _relations(_related("r1", "officeDocument", "xl/workbook.xml"))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, part in (found | dict(parts or {})).items():
            if part is not None:
                archive.writestr(path, part)
    return target.getvalue()


def _related(name: str, kind: str, target: str) -> str:
    return f'<Relationship Id="{name}" Type="{OFFICE}/{kind}" Target="{target}"/>'


def _relations(related: str) -> str:
    return f'<Relationships xmlns="{_RELATIONS}">{related}</Relationships>'
