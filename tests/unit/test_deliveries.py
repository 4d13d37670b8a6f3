"""Which files wait, for which source, and which are left alone."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from boathouse.contracts import Contract, Landing
from boathouse.ingest import deliveries
from boathouse.ingest.deliveries import Delivery, find, is_open_for_writing, is_unchanged
from boathouse.settings import Settings


def contract(name: str, *patterns: str) -> Contract:
    return Contract(name, name, Path(), Landing(files=patterns, format=("csv",)), (), None)


CONTRACTS = {
    "apples": contract("apples", "apples*.csv", "fruit/**/*.csv"),
    "pears": contract("pears", "pears*.csv", "fruit_*.csv"),
    "plums": contract("plums", "fruit_*.csv"),
}


def settings(folder: Path, **values: Any) -> Settings:
    return Settings(project=folder, home=folder, **{"settle_seconds": 0, **values})


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / "landing" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def names(folder: Path, only: str | None = None) -> dict[str, list[str]]:
    found = find(settings(folder), CONTRACTS, only).by_source
    return {source: [delivery.name for delivery in files] for source, files in found.items()}


def test_files_are_found_in_the_order_of_their_names(tmp_path: Path) -> None:
    put(tmp_path, "pears/pears_2.csv", "apples/apples_b.csv", "apples/a/apples.csv")
    put(tmp_path, "apples/apples_a.csv")
    assert names(tmp_path) == {
        "apples": ["a/apples.csv", "apples_a.csv", "apples_b.csv"],
        "pears": ["pears_2.csv"],
    }
    assert names(tmp_path, "pears") == {"pears": ["pears_2.csv"]}


def test_a_file_in_landing_itself_belongs_to_the_one_source_whose_pattern_fits(
    tmp_path: Path,
) -> None:
    put(tmp_path, "apples_1.csv", "fruit_1.csv", "other.csv")
    waiting = find(settings(tmp_path), CONTRACTS)
    assert [d.name for d in waiting.by_source["apples"]] == ["apples_1.csv"]
    assert waiting.unknown == ["fruit_1.csv", "other.csv"], "no source, and two"
    assert waiting.count == 1


def test_a_folder_of_no_source_is_told(tmp_path: Path) -> None:
    put(tmp_path, "oranges/a.csv")
    assert find(settings(tmp_path), CONTRACTS).unknown == ["oranges"]


def test_no_landing_is_an_empty_landing(tmp_path: Path) -> None:
    assert find(settings(tmp_path), CONTRACTS).count == 0


@pytest.mark.parametrize(
    "name", ["apples.csv.tmp", "apples.csv.part", "apples.csv.PARTIAL", "apples.csv~"]
)
def test_a_name_that_says_unfinished_is_left_alone(tmp_path: Path, name: str) -> None:
    put(tmp_path, f"apples/{name}")
    waiting = find(settings(tmp_path), CONTRACTS)
    assert (waiting.count, waiting.unfinished) == (0, [f"apples/{name}"])


def test_hidden_files_do_not_exist(tmp_path: Path) -> None:
    put(tmp_path, "apples/.apples.csv", "apples/.git/apples.csv", ".DS_Store")
    waiting = find(settings(tmp_path), CONTRACTS)
    assert (waiting.count, waiting.unknown, waiting.unfinished) == (0, [], [])


def test_what_cannot_be_a_delivery_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "landing" / "apples"
    put(tmp_path, "apples/oranges.csv", "elsewhere/apples.csv")
    (folder / "apples_link.csv").symlink_to(tmp_path / "landing/elsewhere/apples.csv")
    (folder / "apples_folder.csv").symlink_to(tmp_path / "landing/elsewhere")
    (folder / "apples_nowhere.csv").symlink_to("nowhere")
    os.mkfifo(folder / "apples_pipe.csv")
    found = {d.name: d.refusal for d in find(settings(tmp_path), CONTRACTS).by_source["apples"]}
    link = "is a symbolic link, which is never followed; put the file itself here"
    assert found == {
        "apples_link.csv": link,
        "apples_folder.csv": link,
        "apples_nowhere.csv": link,
        "apples_pipe.csv": "is no regular file",
        "oranges.csv": "its name fits none of the patterns apples*.csv, fruit/**/*.csv",
    }


def test_a_folder_named_like_a_file_is_a_folder(tmp_path: Path) -> None:
    put(tmp_path, "apples/apples.csv/apples_1.csv")
    assert names(tmp_path) == {"apples": ["apples.csv/apples_1.csv"]}


def test_a_name_that_is_no_utf8_becomes_readable_everywhere(tmp_path: Path) -> None:
    put(tmp_path, "apples/x")
    landing = os.fsencode(tmp_path / "landing")
    for name in (b"/apples/apples\xff.csv", b"/apples/pear\xfe.tmp", b"/plum\xfd.csv"):
        with open(landing + name, "wb"):  # noqa: PTH123 - a Path is text
            pass
    waiting = find(settings(tmp_path), CONTRACTS)
    assert waiting.by_source["apples"][0].name == "apples\\xff.csv"
    assert waiting.by_source["apples"][0].path.exists()
    assert waiting.unfinished == ["apples/pear\\xfe.tmp"]
    assert waiting.unknown == ["plum\\xfd.csv"]


def delivery(path: Path) -> Delivery:
    status = path.stat()
    return Delivery("apples", path, path.name, status.st_size, status.st_mtime_ns)


def test_a_file_is_unchanged_only_with_its_size_and_time(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("1234")
    found = delivery(path)
    assert is_unchanged(found)
    os.utime(path, ns=(found.modified_ns, found.modified_ns + 1))
    assert not is_unchanged(found)
    path.write_text("12345")
    os.utime(path, ns=(found.modified_ns, found.modified_ns))
    assert not is_unchanged(found)
    path.unlink()
    assert not is_unchanged(found)


def test_a_file_that_grows_while_it_settles_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "apples/apples_1.csv", "apples/apples_2.csv")

    def grow(seconds: float) -> None:
        assert seconds == 5
        with (tmp_path / "landing/apples/apples_2.csv").open("a") as file:
            file.write("more")

    monkeypatch.setattr(deliveries.time, "sleep", grow)
    waiting = find(settings(tmp_path, settle_seconds=5), CONTRACTS)
    assert [d.name for d in waiting.by_source["apples"]] == ["apples_1.csv"]
    assert waiting.unfinished == ["apples/apples_2.csv"]


def test_nobody_waits_for_files_that_have_settled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "apples/apples_1.csv")
    an_hour_ago = time.time() - 3600
    os.utime(tmp_path / "landing/apples/apples_1.csv", (an_hour_ago, an_hour_ago))
    monkeypatch.setattr(deliveries.time, "sleep", lambda _: pytest.fail("it slept"))
    assert find(settings(tmp_path, settle_seconds=5), CONTRACTS).count == 1


def test_a_file_somebody_may_still_write_to_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    with path.open("rb") as reader:
        assert not is_open_for_writing(reader.fileno())
        with path.open("ab"):
            assert is_open_for_writing(reader.fileno())
        assert not is_open_for_writing(reader.fileno())


def test_whoever_opens_the_file_at_the_wrong_instant_does_not_end_us(tmp_path: Path) -> None:
    # The lease is broken before it is given back; by default the kernel's signal for that kills.
    script = """
import fcntl, os, sys
from boathouse.ingest import deliveries
path = sys.argv[1]
real = fcntl.fcntl
def meddling(descriptor, command, argument=0):
    result = real(descriptor, command, argument)
    if command == fcntl.F_SETLEASE and argument == fcntl.F_RDLCK:
        if os.fork() == 0:
            try:
                os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except BlockingIOError:
                pass
            os._exit(0)
        os.wait()
    return result
deliveries.fcntl.fcntl = meddling
with open(path, "rb") as file:
    deliveries.is_open_for_writing(file.fileno())
print("alive")
"""
    path = tmp_path / "a"
    path.write_text("x")
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alive\n")
