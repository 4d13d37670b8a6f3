"""Whatever goes wrong with one file, it is set aside with its reason and the others are loaded."""

import errno
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import duckdb
import houses
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from support.homes import clone
from support.servers import webhook
from yards import Yard

from boathouse.contracts import MOST_COLUMNS
from boathouse.errors import ContractError, DeniedError, UnreachableError
from boathouse.ingest.deliveries import Delivery
from boathouse.ingest.reading import Reading
from boathouse.pipeline import RunReport
from boathouse.settings import Settings
from boathouse.watch import watch


def fail_for(
    monkeypatch: pytest.MonkeyPatch, name: str, failure: Any, times: int = 99
) -> list[int]:
    """Let the reading of one file fail as nobody has foreseen; return how often it was tried."""
    read, tried = Reading._read_parts, [0]

    def failing(reading: Reading, file_no: int, file: Delivery) -> int:
        if file.name == name:
            tried[0] += 1
            if tried[0] <= times:
                failure(reading)
        return read(reading, file_no, file)

    monkeypatch.setattr(Reading, "_read_parts", failing)
    return tried


def out_of_memory(_: Reading) -> None:
    raise MemoryError("1 GiB")


def dead_engine(reading: Reading) -> None:
    reading.lake.con.close()
    reading.lake.con.execute("select 1")


def full_disk(_: Reading) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def silent_store(_: Reading) -> None:
    raise duckdb.HTTPException("HTTP Error: HTTP PUT error on 's3://b/k' (HTTP 503)")


def no_access(_: Reading) -> None:
    raise duckdb.HTTPException("HTTP Error: HTTP PUT error on 's3://b/k' (HTTP 403)")


@pytest.mark.usefixtures("read_here")
@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (out_of_memory, "unexpected: MemoryError: 1 GiB"),
        (
            dead_engine,
            "unexpected: ConnectionException: Connection Error: Connection already closed!",
        ),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_file_that_ends_the_reading_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Any, reason: str, count: int
) -> None:
    yard = Yard(tmp_path).source("one").source("two").source("zed")
    for number in range(count):
        yard.deliver(f"{number}.csv", f"id,name,amount\n{number},x,1\n", "two")
    for source in ("one", "zed"):
        yard.deliver("a.csv", "id,name,amount\n1,x,1\n", source)
    bad = f"{count // 2}.csv"
    fail_for(monkeypatch, bad, failure)
    report = yard.load()
    assert [(row[0], row[1]) for row in yard.ledger("two")].count((bad, "rejected")) == 1
    assert yard.reason(bad, "two") == reason
    assert [row[1] for row in yard.ledger("two")].count("loaded") == count - 1
    assert [yard.ledger(source)[0][1] for source in ("one", "zed")] == ["loaded", "loaded"]
    assert report.sources["two"].files_loaded == count - 1
    assert report.sources["two"].files_rejected == 1
    monkeypatch.undo()
    yard.replay()
    assert sorted(yard.raw("id", "two")) == [(number,) for number in range(count)]


@pytest.mark.usefixtures("read_here")
def test_watch_goes_on_after_a_file_that_ends_the_reading_and_sends_one_alert(
    _released: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    fail_for(monkeypatch, "session_events_bad.jsonl", out_of_memory)
    home = clone(_released, tmp_path / "data")
    stop, runs = threading.Event(), list[RunReport]()

    def deliver(report: RunReport | None = None) -> None:
        content = f'{{"event": "end", "session_id": "s{len(runs)}"}}\n'.encode()
        houses.put(home, "session_events", "session_events_bad.jsonl", content)
        if report is not None:
            runs.append(report)
        if len(runs) == 2:
            stop.set()

    with webhook() as hook:
        alerting = home.model_copy(update={"alert_webhook": SecretStr(hook.address)})
        deliver()
        watch(alerting, interval=0.01, stop=stop, on_run=deliver, on_error=pytest.fail)
    assert [report.load.sources["session_events"].files_rejected for report in runs] == [1, 1]
    (alert,) = hook.posted
    assert alert["title"] == "Boathouse: files were set aside" and alert["where"]
    assert "session_events/session_events_bad.jsonl: unexpected: MemoryError" in alert["what"]
    assert "quarantine replay" in alert["what"]


@pytest.mark.usefixtures("read_here")
def test_a_failure_that_passes_costs_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yard = Yard(tmp_path).source()
    yard.deliver("a.csv", "id,name,amount\n1,x,1\n")
    assert fail_for(monkeypatch, "a.csv", dead_engine, times=1) == [0]
    yard.load()
    assert yard.ledger() == [("a.csv", "loaded", 1, 0)]


@pytest.mark.usefixtures("read_here")
@pytest.mark.parametrize(
    ("failure", "error"),
    [(full_disk, OSError), (silent_store, UnreachableError), (no_access, DeniedError)],
)
def test_what_the_lake_stands_on_is_no_files_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Any, error: type[Exception]
) -> None:
    yard = Yard(tmp_path).source()
    path = yard.deliver("a.csv", "id,name,amount\n1,x,1\n")
    fail_for(monkeypatch, "a.csv", failure)
    with pytest.raises(error):
        yard.load()
    assert path.exists() and yard.ledger() == []


def test_a_rule_that_cannot_be_run_stops_its_source_alone(tmp_path: Path) -> None:
    broken = {"id": ["bigint", {"satisfies": {"condition": "nothing = 1", "otherwise": "x"}}]}
    yard = Yard(tmp_path).source("one", broken).source("two")
    waiting = yard.deliver("a.csv", "id\n1\n", "one")
    yard.deliver("a.csv", "id,name,amount\n1,x,1\n", "two")
    with pytest.raises(ContractError, match="table one"):
        yard.load()
    assert yard.ledger("two") == [("a.csv", "loaded", 1, 0)]
    assert waiting.exists()


@pytest.mark.parametrize("names", [("a.csv", "a.csv/b.csv"), ("a.csv/b.csv", "a.csv")])
@pytest.mark.parametrize("content", ["id,name,amount\n1,x,1\n", "nothing\n1\n"])
def test_a_file_called_like_a_folder_is_in_nobodys_way(
    tmp_path: Path, names: tuple[str, str], content: str
) -> None:
    yard = Yard(tmp_path).source(files="*.csv")
    for name in names:
        yard.deliver(name, content)
        yard.load()
        shutil.rmtree(yard.settings.landing_folder / "things")
    status = "rejected" if content.startswith("nothing") else "loaded"
    assert [row[:2] for row in yard.ledger()] == [(name, status) for name in names]
    yard.replay()
    yard.deliver("a.csv/b.csv", "id,name,amount\n2,x,1\n")
    (yard.settings.landing_folder / "a.csv").write_text("id,name,amount\n3,x,1\n")
    yard.load()
    assert [row[0] for row in yard.raw("id")][-2:] in ([2, 3], [3, 2])


def test_more_columns_than_a_table_can_have_are_refused_file_by_file(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(MOST_COLUMNS)]
    many, wide = ({"id": 1, **dict.fromkeys(names[:count], 1)} for count in (900, MOST_COLUMNS))
    other = {"id": 2, **dict.fromkeys((f"d{number}" for number in range(700)), 1)}
    yard = Yard(tmp_path).source(
        columns={"id": "bigint"}, format=["csv", "jsonl"], new_columns="add"
    )
    yard.deliver("a.jsonl", json.dumps(wide))
    yard.deliver("b.csv", f"{','.join(wide)}\n{','.join(['1'] * len(wide))}\n")
    yard.deliver("c.jsonl", json.dumps(many))
    yard.load()
    yard.deliver("d.jsonl", json.dumps(other))
    yard.deliver("e.jsonl", '{"id": 3}')
    yard.load()
    assert {name: status for name, status, *_ in yard.ledger()} == {
        "a.jsonl": "rejected", "b.csv": "rejected", "c.jsonl": "loaded",
        "d.jsonl": "rejected", "e.jsonl": "loaded",
    }  # fmt: skip
    assert "the table would have 1,501 columns" in yard.reason("a.jsonl")
    assert "the table would have 1,601 columns" in yard.reason("d.jsonl")
    with pytest.raises(ContractError, match="1,501 columns, more than the 1,500"):
        yard.source(columns=dict.fromkeys(["id", *names], "bigint")).load()


SEEDS: dict[str, bytes] = {
    "csv": b'id,name,amount\n1,"x, y",1.5\n2,"say ""hi""\nthere",\n3,,7\n',
    "jsonl": b'{"id":1,"name":"\\u00e9","amount":1.5}\n{"id":2,"name":null,"m":[{"a":1e3}]}\n',
    "json": b'[{"id":1,"name":"x","amount":1.5},\n {"id":2,"name":"\\"y\\"","more":{"a":[true]}}]',
}
pieces = st.one_of(
    st.binary(min_size=0, max_size=3),
    st.sampled_from(
        [
            b'"',
            b"\\",
            b"\n",
            b"\r",
            b"\0",
            b",",
            b"{",
            b"}",
            b"[",
            b"]",
            b":",
            b"\xff",
            b"\xef\xbb\xbf",
            b"\\u0000",
            b"1e999",
            b"NaN",
            b"null",
            b" ",
        ]
    ),
)


@given(
    st.sampled_from(sorted(SEEDS)),
    st.lists(st.tuples(st.integers(0, 100), st.integers(0, 4), pieces), min_size=1, max_size=4),
    st.sampled_from(["reject", "add", "rescue"]),
)
@settings(max_examples=15)
def test_no_bytes_make_the_loader_fail(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    changes: list[tuple[int, int, bytes]],
    new_columns: str,
) -> None:
    content = SEEDS[kind]
    for place, removed, added in changes:
        at = place * len(content) // 100
        content = content[:at] + added + content[at + removed :]
    yard = Yard(tmp_path_factory.mktemp("home")).source(format=kind, new_columns=new_columns)
    yard.deliver(f"bad.{kind}", content)
    yard.deliver(f"good.{kind}", SEEDS["csv"] if kind == "csv" else b'{"id": 9}')
    yard.load()
    status = {name: status for name, status, *_ in yard.ledger()}
    assert set(status) == {f"bad.{kind}", f"good.{kind}"}
    assert status[f"good.{kind}"] == "loaded"
    assert "unexpected" not in yard.reason(f"bad.{kind}")
