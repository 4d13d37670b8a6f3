"""Files that would take all of the memory, and large ones that are good: how much they do take."""

import gzip
import json
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, cast

import psutil

from benchmarks.measure import REPOSITORY, Bench, BenchmarkError, process_environment, tell
from benchmarks.report import Limit, Row, Section

MIB = 2**20
MOST_MIB = 1024
LOOK_SECONDS = 0.02

INTRODUCTION = """\
`boathouse load` of one file at a time into a new home, beside a good small one, which is loaded
whatever becomes of the other. Seconds are those of the whole command. Memory is the most that all
of its processes together held at one instant (looked at every 20 ms)."""

CONTRACT = """\
sources:
  - name: raw
    tables:
      - name: things
        config: {{meta: {{landing: {{files: "*", format: {format}, new_columns: rescue}}}}}}
        columns:
          - {{name: id, data_type: bigint}}
          - {{name: name, data_type: varchar}}
"""
GOOD = {
    "csv": b"id,name\n1,x\n",
    "jsonl": b'{"id": 1, "name": "x"}\n',
    "json": b'[{"id": 1, "name": "x"}]',
    "parquet": b"",
    "xlsx": b"",
}


def run(bench: Bench) -> Section:
    """Measure every file."""
    section = Section(INTRODUCTION)
    size = bench.size(256, 16) * MIB
    bench.need_disk(5 * size)
    for name, (kind, write) in FILES.items():
        with bench.folder("hostile") as folder:
            target = folder / "data" / "landing" / "things" / f"b.{name.split()[0]}"
            target.parent.mkdir(parents=True)
            write(target, size)
            if GOOD[kind]:
                (target.parent / f"a.{kind}").write_bytes(GOOD[kind])
            seconds, peak, told = _load(bench, folder, kind)
            limit = Limit.at_most(peak, MOST_MIB, " MiB")
            section.rows.append(Row(name, told, [seconds], "", limit, peak))
            tell(f"  {name}: {peak:,.0f} MiB, {seconds:.1f} s, {told}")
    return section


def _load(bench: Bench, folder: Path, kind: str) -> tuple[float, float, str]:
    """Run the command; return its seconds, its peak (MiB), and what became of the file."""
    project = folder / "project"
    contract = project / "models" / "staging" / "things" / "_things__sources.yml"
    contract.parent.mkdir(parents=True)
    contract.write_text(CONTRACT.format(format=kind))
    (project / "dbt_project.yml").write_text("name: hostile\n")
    home = {"BOATHOUSE_HOME": str(folder / "data"), "BOATHOUSE_PROJECT": str(project)}
    environment = process_environment(bench, {**home, "BOATHOUSE_SETTLE_SECONDS": "0"})
    command = [sys.executable, "-m", "boathouse", "load", "--json"]
    started = time.perf_counter()
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        peak = [0.0]
        watching = threading.Thread(target=_watch, args=(process, peak))
        watching.start()
        output, _ = process.communicate()
        watching.join()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise BenchmarkError(output.decode()[-3000:])
    report = json.loads(output)
    reasons = [problem["reason"] for problem in report["problems"]]
    if "things" not in report["sources"]:
        raise BenchmarkError(output.decode()[-3000:])
    loaded = report["sources"]["things"]["rows_loaded"]
    return seconds, peak[0], reasons[0][:100] if reasons else f"{loaded:,} rows loaded"


def _watch(process: "subprocess.Popen[bytes]", peak: list[float]) -> None:
    root = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        try:
            for each in (root, *root.children(recursive=True)):
                total += each.memory_info().rss
        except psutil.NoSuchProcess:
            pass
        peak[0] = max(peak[0], total / MIB)
        time.sleep(LOOK_SECONDS)


def _repeated(start: bytes, piece: bytes, end: bytes = b"") -> Callable[[Path, int], None]:
    def write(path: Path, size: int) -> None:
        with _opened(path) as file:
            file.write(start)
            for part in _parts(piece, size):
                file.write(part)
            file.write(end)

    return write


def _line(*cells: object) -> bytes:
    return (",".join(map(str, cells)) + "\n").encode()


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "wb", compresslevel=1))
    return path.open("wb")


def _parts(piece: bytes, size: int) -> Iterator[bytes]:
    block = piece * max(1, MIB // len(piece))
    for _ in range(max(1, size // len(block))):
        yield block


def _parquet(rows: str) -> Callable[[Path, int], None]:
    def write(path: Path, size: int) -> None:
        import duckdb

        duckdb.execute(f"copy ({rows.format(size=size)}) to '{path}' (format parquet)")

    return write


def _workbook(part: str, start: bytes, piece: bytes, end: bytes) -> Callable[[Path, int], None]:
    """Write a workbook of one good record, but for a part of it."""

    def write(path: Path, size: int) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, content in WORKBOOK.items():
                if name != part:
                    archive.writestr(name, content)
            with archive.open(part, "w", force_zip64=True) as stream:
                stream.write(start)
                for each in _parts(piece, size):
                    stream.write(each)
                stream.write(end)

    return write


OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
SPREADSHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
SHEET = (
    f"<worksheet {SPREADSHEET}><sheetData><row><c t='str'><v>id</v></c><c t='str'><v>name</v></c>"
    "</row><row><c><v>1</v></c><c t='s'><v>0</v></c></row>"
)
TEXTS = f"<sst {SPREADSHEET}><si><t>x</t></si>"
WORKBOOK = {
    "_rels/.rels": (
        f'<Relationships xmlns="{PACKAGE}"><Relationship Id="a" Type="{OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook {SPREADSHEET} xmlns:r="{OFFICE}"><sheets><sheet name="S" sheetId="1" '
        'r:id="a"/></sheets></workbook>'
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{PACKAGE}"><Relationship Id="a" Type="{OFFICE}/worksheet" '
        f'Target="worksheets/sheet1.xml"/><Relationship Id="b" Type="{OFFICE}/sharedStrings" '
        'Target="sharedStrings.xml"/></Relationships>'
    ),
    "xl/worksheets/sheet1.xml": SHEET + "</sheetData></worksheet>",
    "xl/sharedStrings.xml": TEXTS + "</sst>",
}
RECORD = b'{"id": 7, "name": "' + b"x" * 60 + b'", "more": [1, 2, {"a": null}]}'
LONG = b'{"id": 7, "name": "' + b"y" * MIB + b'"}'
LONGEST = b'{"id": 7, "name": "' + b"z" * 15 * MIB + b'"}'
FILES: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "csv.gz of one line": ("csv", _repeated(b"id,name\n1,", b"x")),
    "csv.gz with a quote that is never closed": ("csv", _repeated(b'id,name\n1,"', b"x\n")),
    "csv.gz of one record in quotes": ("csv", _repeated(b'id,name\n1,"', b"x\n", b'"\n2,y\n')),
    "csv.gz of empty lines": ("csv", _repeated(b"id,name\n1,x\n", b"\n")),
    "csv.gz of delimiters": ("csv", _repeated(b"id,name\n1,x\n", b",")),
    "csv of good records, with quotes": ("csv", _repeated(b"id,name\n", b'1,"x"\n')),
    "csv of good records of 2 lines": ("csv", _repeated(b"id,name\n", b'1,"x\ny"\n')),
    "csv of good records of 15 MiB": (
        "csv", _repeated(b"id,name\n", b'1,"' + b"x" * 15 * MIB + b'\n"\n')
    ),
    "csv of 2,000 columns": (
        "csv", _repeated(_line("id", "name", *(f"c{n}" for n in range(1998))), _line(*[7] * 2000))
    ),
    "jsonl.gz of one line": ("jsonl", _repeated(b'{"id": 1, "name": "', b"x", b'"}\n')),
    "jsonl.gz of one list": ("jsonl", _repeated(b'{"id": 1, "name": [', b"[],", b"[]]}\n")),
    "jsonl of good records": ("jsonl", _repeated(b"", RECORD + b"\n")),
    "jsonl of good records of 1 MiB": ("jsonl", _repeated(b"", LONG + b"\n")),
    "jsonl of good records of 15 MiB": ("jsonl", _repeated(b"", LONGEST + b"\n")),
    "json.gz of one text": ("json", _repeated(b'[{"id": 1, "name": "', b"x", b'"}]')),
    "json.gz of brackets": ("json", _repeated(b"", b"[")),
    "json.gz of one deep record": ("json", _repeated(b'[{"id": 1, "name": ', b'{"a":', b"1")),
    "json of good records": ("json", _repeated(b"[", RECORD + b",", RECORD + b"]")),
    "json of good records of 2 lines": (
        "json", _repeated(b"[", RECORD.replace(b", ", b",\n") + b",", RECORD + b"]")
    ),
    "json of good records of 15 MiB, 2 lines each": (
        "json", _repeated(b"[", LONGEST.replace(b", ", b",\n") + b",", RECORD + b"]")
    ),
    "parquet of one text, many times": (
        "parquet", _parquet("select 1 as id, repeat('x', 1000) as name from range({size} // 1000)")
    ),
    "parquet of one long text, many times": (
        "parquet", _parquet("select 1 as id, repeat('x', 8000000) as name from range(500)")
    ),
    "parquet of 500 columns": (
        "parquet", _parquet(
            "select i as id, hash(i)::varchar as name, " + ", ".join(
                f"hash(i + {n}) as c{n}" for n in range(498)
            ) + " from range({size} // 4000) as t (i)"
        )
    ),
    "parquet of nothing, many times": (
        "parquet", _parquet("select null::bigint as id, null as name from range({size} // 10)")
    ),
    "xlsx of good records": (
        "xlsx", _workbook(
            "xl/worksheets/sheet1.xml", SHEET.encode(),
            b"<row><c><v>7</v></c><c t='s'><v>0</v></c></row>", b"</sheetData></worksheet>",
        )
    ),
    "xlsx of shared texts": (
        "xlsx", _workbook(
            "xl/sharedStrings.xml", TEXTS.encode(), b"<si><t>some text</t></si>", b"</sst>"
        )
    ),
}  # fmt: skip
