"""Files that would take all of the memory, and large ones that are good: how much they do take."""

import gzip
import json
import subprocess
import sys
import threading
import time
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


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path, "wb", compresslevel=1))
    return path.open("wb")


def _parts(piece: bytes, size: int) -> Iterator[bytes]:
    block = piece * max(1, MIB // len(piece))
    for _ in range(size // len(block)):
        yield block


def _parquet(rows: str) -> Callable[[Path, int], None]:
    def write(path: Path, size: int) -> None:
        import duckdb

        duckdb.execute(f"copy ({rows.format(size=size)}) to '{path}' (format parquet)")

    return write


RECORD = b'{"id": 7, "name": "' + b"x" * 60 + b'", "more": [1, 2, {"a": null}]}'
LONG = b'{"id": 7, "name": "' + b"y" * MIB + b'"}'
FILES: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "csv.gz of one line": ("csv", _repeated(b"id,name\n1,", b"x")),
    "csv.gz with a quote that is never closed": ("csv", _repeated(b'id,name\n1,"', b"x\n")),
    "csv.gz of one record in quotes": ("csv", _repeated(b'id,name\n1,"', b"x\n", b'"\n2,y\n')),
    "csv.gz of empty lines": ("csv", _repeated(b"id,name\n1,x\n", b"\n")),
    "csv.gz of delimiters": ("csv", _repeated(b"id,name\n1,x\n", b",")),
    "csv of good records, with quotes": ("csv", _repeated(b"id,name\n", b'1,"x"\n')),
    "csv of good records of 2 lines": ("csv", _repeated(b"id,name\n", b'1,"x\ny"\n')),
    "jsonl.gz of one line": ("jsonl", _repeated(b'{"id": 1, "name": "', b"x", b'"}\n')),
    "jsonl.gz of one list": ("jsonl", _repeated(b'{"id": 1, "name": [', b"[],", b"[]]}\n")),
    "jsonl of good records": ("jsonl", _repeated(b"", RECORD + b"\n")),
    "jsonl of good records of 1 MiB": ("jsonl", _repeated(b"", LONG + b"\n")),
    "json.gz of one text": ("json", _repeated(b'[{"id": 1, "name": "', b"x", b'"}]')),
    "json.gz of brackets": ("json", _repeated(b"", b"[")),
    "json.gz of one deep record": ("json", _repeated(b'[{"id": 1, "name": ', b'{"a":', b"1")),
    "json of good records": ("json", _repeated(b"[", RECORD + b",", RECORD + b"]")),
    "json of good records of 2 lines": (
        "json", _repeated(b"[", RECORD.replace(b", ", b",\n") + b",", RECORD + b"]")
    ),
    "parquet of one text, many times": (
        "parquet", _parquet("select 1 as id, repeat('x', 1000) as name from range({size} // 1000)")
    ),
    "parquet of one long text, many times": (
        "parquet", _parquet("select 1 as id, repeat('x', 8000000) as name from range(500)")
    ),
    "parquet of nothing, many times": (
        "parquet", _parquet("select null::bigint as id, null as name from range({size} // 10)")
    ),
}  # fmt: skip
