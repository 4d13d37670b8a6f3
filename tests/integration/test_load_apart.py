"""Files are read in a process of its own: whatever becomes of it, the load goes on."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pytest
from support.command import PATIENCE_SECONDS
from yards import Yard

from boathouse.ingest import apart
from boathouse.ingest.reading import Found, Job

MIB = 1024 * 1024
# It recurses, and no record is a reason to look how deep.
CRASHES = "json_merge_patch(name::json, '{}'::json) is not null"
TAKES_MEMORY = "length(list_aggregate(range(id), 'max')::varchar) > 0"
DEEP = '{""a"":' * 200_000 + "1" + "}" * 200_000


def yard_with(folder: Path, rule: str, **settings: Any) -> Yard:
    satisfies = {"satisfies": {"condition": rule, "otherwise": "it is not so"}}
    return Yard(folder, **settings).source(
        columns={"id": "bigint!", "name": ["varchar", satisfies]}
    )


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_file_that_kills_the_process_is_set_aside(tmp_path: Path, place: int) -> None:
    yard = yard_with(tmp_path, CRASHES)
    for number in range(5):
        name = DEEP if number == place else "{}"
        yard.deliver(f"{number}.csv", f'id,name\n{number},"{name}"\n')
    yard.load()
    bad = f"{place}.csv"
    reason = "unexpected: the process that read it has ended (signal SIGSEGV)"
    assert yard.reason(bad) == reason
    assert {name for name, status, *_ in yard.ledger() if status == "loaded"} == {
        f"{number}.csv" for number in range(5)
    } - {bad}
    yard.deliver("6.csv", "id,name\n6,{}\n")
    yard.load()
    yard.replay()
    assert len(yard.raw()) == 5
    assert yard.reason(bad) == reason


def test_a_file_of_many_columns_takes_little_memory(tmp_path: Path) -> None:
    yard = Yard(tmp_path, reader_bytes=500 * MIB)
    yard.source(columns={"c0": "double"}, format="parquet", new_columns="rescue")
    values = ", ".join(f"(i + {number}) / 7.0 as c{number}" for number in range(300))
    duckdb.execute(
        f"copy (select {values} from range(3000) as t (i)) to '{yard.path('a.parquet')}'"
    )
    yard.load()
    last = "(_extra ->> 'c299')::double"
    query = f"select count(*), sum({last}) = sum((c0 * 7 + 299) / 7) from lake.raw.things"
    assert yard.rows(query) == [(3000, True)]


def test_flat_lines_of_many_fields_are_read_like_others(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(60)]
    yard = Yard(tmp_path).source(columns=dict.fromkeys(names, "bigint"), format="jsonl")
    rows = [dict(zip(names, range(start, start + 60), strict=True)) for start in range(50)]
    yard.deliver("a.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    yard.load()
    assert yard.raw(", ".join(names)) == [tuple(row.values()) for row in rows]


def test_a_file_that_takes_too_much_memory_is_set_aside(tmp_path: Path) -> None:
    yard = yard_with(tmp_path, TAKES_MEMORY, reader_bytes=300 * MIB)
    yard.deliver("a.csv", "id,name\n1,x\n")
    yard.deliver("b.csv", "id,name\n1000000000,x\n")
    yard.load()
    assert [row[:2] for row in yard.ledger()] == [("a.csv", "loaded"), ("b.csv", "rejected")]
    assert yard.reason("b.csv") == (
        "unexpected: reading it takes more than 300 MiB of memory (BOATHOUSE_READER_BYTES)"
    )


def test_rows_whose_file_kills_the_process_stay_in_quarantine(tmp_path: Path) -> None:
    yard = yard_with(tmp_path, "id < 0")
    for number, name in enumerate(["{}", DEEP, "{}"]):
        yard.deliver(f"{number}.csv", f'id,name\n{number},"{name}"\n')
    yard.load()
    assert len(yard.rejects()) == 3
    report = yard_with(tmp_path, CRASHES).replay()
    assert sorted(yard.raw("id")) == [(0,), (2,)]
    reason = "unexpected: the process that read it has ended (signal SIGSEGV)"
    assert [(each.file, each.reason) for each in report.problems] == [("1.csv", reason)]


class Meddling:
    """Does something to the process whenever it is given a job."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, times: int) -> None:
        self.done = 0
        real = apart._Reader.read

        def read(reader: apart._Reader, job: Job) -> Found | Exception:
            if self.done < times:
                self.done += 1
                os.kill(reader._process.pid, number)
            return real(reader, job)

        monkeypatch.setattr(apart._Reader, "read", read)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_an_end_that_is_no_files_fault_costs_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    yard = Yard(tmp_path, reader_seconds=5).source()
    yard.deliver("a.csv", "id,name,amount\n1,x,1\n")
    meddling = Meddling(monkeypatch, number, times=1)
    yard.load()
    assert meddling.done == 1
    assert yard.ledger() == [("a.csv", "loaded", 1, 0)]


def test_a_process_that_is_stuck_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yard = Yard(tmp_path, reader_seconds=0.5).source()
    yard.deliver("a.csv", "id,name,amount\n1,x,1\n")
    Meddling(monkeypatch, signal.SIGSTOP, times=2)
    yard.load()
    assert yard.reason("a.csv") == (
        "unexpected: reading it takes longer than 0.5 seconds (BOATHOUSE_READER_SECONDS)"
    )


def test_an_interrupted_load_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = Yard(tmp_path).source()
    yard.deliver("a.csv", "id,name,amount\n1,x,1\n")
    apart.make_ready()
    assert apart._idle._reader is not None
    reader = apart._idle._reader._process
    Meddling(monkeypatch, signal.SIGSTOP, times=1)

    def press_ctrl_c() -> None:
        while reader.status() != psutil.STATUS_STOPPED:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_ctrl_c, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        yard.load()
    assert not reader.is_running()
    yard.load()
    assert yard.ledger() == [("a.csv", "loaded", 1, 0)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("first", ["", "import threading; threading.Timer(600, print).start(); "])
def test_the_process_ends_with_whoever_has_started_it(first: str, number: signal.Signals) -> None:
    code = (  # with one thread it is a fork
        f"{first}import time; from boathouse.ingest import apart; apart.make_ready();"
        "print('ready', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        (reader,) = psutil.Process(started.pid).children()
        started.send_signal(number)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while reader.is_running() and reader.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
