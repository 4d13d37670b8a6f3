"""A watch whose runs fail: how often it tries, what it tells, and how others see that it lives."""

import json
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import generate_latest
from support.servers import Webhook, webhook

from api.observe import Metrics
from boathouse import heartbeat, watch
from boathouse.doctor.home_checks import check_watch
from boathouse.errors import (
    AlertError,
    BoathouseError,
    BuildError,
    ContractError,
    UnexpectedError,
)
from boathouse.heartbeat import Heartbeat, last_beat
from boathouse.settings import Settings

BROKEN = "sources: [{name: raw, tables: [{name: things, columns: [{}]}]}]"
SOUND = """
sources:
  - name: raw
    tables:
      - name: things
        config: {meta: {landing: {files: "*.csv", format: csv}}}
        columns: [{name: id, data_type: bigint}]
"""
FIRST_PAUSE_SECONDS = watch.FIRST_PAUSE_SECONDS  # which tests make shorter
CONTRACT = "models/staging/things/_things__sources.yml"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(watch, "FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project in which no run goes well."""
    contract = tmp_path / "project" / CONTRACT
    contract.parent.mkdir(parents=True)
    contract.write_text(BROKEN)
    (tmp_path / "project/dbt_project.yml").touch()
    (tmp_path / "project/profiles.yml").touch()
    return tmp_path / "project"


@pytest.fixture
def settings(project: Path, hook: Webhook, tmp_path: Path) -> Settings:
    return Settings(
        project=project, home=tmp_path / "data", alert_webhook=hook.address, settle_seconds=0
    )


def errors_of_watch(settings: Settings, most: int = 3) -> list[BoathouseError]:
    """Return the errors of the first tries of a watch whose runs all fail."""
    stop, errors = threading.Event(), list[BoathouseError]()

    def on_error(error: BoathouseError) -> None:
        errors.append(error)
        if len(errors) == most:
            stop.set()

    watch.watch(settings, interval=0.001, stop=stop, on_run=pytest.fail, on_error=on_error)
    return errors


def test_trouble_is_told_once_not_at_every_try(hook: Webhook, settings: Settings) -> None:
    assert [type(error) for error in errors_of_watch(settings)] == [ContractError] * 3
    (posted,) = hook.posted
    assert "things" in posted["what"]


def test_watch_outlives_what_nobody_has_foreseen(
    hook: Webhook, settings: Settings, project: Path
) -> None:
    (project / CONTRACT).unlink()
    (project / CONTRACT).mkdir()  # no file
    assert [type(error) for error in errors_of_watch(settings)] == [UnexpectedError] * 3
    (posted,) = hook.posted
    assert posted["what"].startswith("Unexpected: IsADirectoryError")


def test_watch_outlives_a_terminal_that_is_gone(settings: Settings) -> None:
    stop, tries = threading.Event(), list[BoathouseError]()

    def on_error(error: BoathouseError) -> None:
        tries.append(error)
        if len(tries) == 2:
            stop.set()
        raise BrokenPipeError

    watch.watch(settings, interval=0.001, stop=stop, on_run=pytest.fail, on_error=on_error)
    assert len(tries) == 2


class Clock(threading.Event):
    """What a watch waits for, and its time (seconds), which passes only while it waits."""

    def __init__(self, end: float = math.inf) -> None:
        super().__init__()
        self.now, self._end = 0.0, end

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0.0
        if self.now >= self._end:
            self.set()
        return self.is_set()


def pauses_of_watch(settings: Settings, interval: float, most: int) -> list[float]:
    """Return the seconds between the tries of a watch whose runs all fail."""
    clock, tried = Clock(), list[float]()

    def on_error(_: BoathouseError) -> None:
        tried.append(clock.now)
        if len(tried) > most:
            clock.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "FIRST_PAUSE_SECONDS", FIRST_PAUSE_SECONDS)
        patch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: clock.now))
        watch.watch(settings, interval=interval, stop=clock, on_run=pytest.fail, on_error=on_error)
    return [after - before for before, after in pairwise(tried)]


def test_pauses_between_tries_grow_up_to_a_minute(settings: Settings, project: Path) -> None:
    (project / CONTRACT).unlink()
    (project / CONTRACT).mkdir()  # which nobody has foreseen
    assert pauses_of_watch(settings, 1, most=8) == [1, 2, 4, 8, 16, 32, 60, 60]


def test_pauses_after_what_people_have_to_mend_grow_up_to_an_hour(settings: Settings) -> None:
    pauses = pauses_of_watch(settings, 225, most=14)
    assert pauses == sorted(pauses) and pauses[-2:] == [3600, 3600]


def require_second_try(settings: Settings, after_first: Callable[[], object]) -> BoathouseError:
    """Check that a watch tries again at once after something; return what it has failed of."""
    clock, errors = Clock(end=5), list[BoathouseError]()

    def on_error(error: BoathouseError) -> None:
        errors.append(error)
        if len(errors) == 1:
            after_first()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "FIRST_PAUSE_SECONDS", 1e6)
        watch.watch(settings, interval=1, stop=clock, on_run=pytest.fail, on_error=on_error)
    assert len(errors) == 2
    return errors[0]


def test_edit_that_may_have_mended_it_is_tried_at_once(settings: Settings, project: Path) -> None:
    error = require_second_try(settings, (project / "models/new.sql").touch)
    assert isinstance(error, ContractError)


def test_files_that_may_have_mended_it_are_tried_at_once(settings: Settings, project: Path) -> None:
    (project / CONTRACT).write_text(SOUND)
    file = settings.landing_folder / "things/a.csv"
    file.parent.mkdir(parents=True)
    error = require_second_try(settings, lambda: file.write_text("id\n1\n"))
    assert isinstance(error, BuildError), "dbt cannot read an empty project"


def test_alert_that_cannot_be_sent_is_sent_at_the_next_try(
    hook: Webhook, settings: Settings
) -> None:
    hook.answers = [400, 400]
    errors = errors_of_watch(settings, most=6)
    failed, unsent = ContractError, AlertError
    assert [type(error) for error in errors] == [failed, unsent, failed, unsent, failed, failed]
    assert len(hook.posted) == 1


def test_every_look_beats_and_says_what_ails_it_until_the_watch_is_told_to_end(
    settings: Settings,
) -> None:
    noted: list[dict[str, Any]] = []
    stop = threading.Event()

    def on_error(_: BoathouseError) -> None:
        if heartbeat.file(settings).exists():  # from the look before
            noted.append(json.loads(heartbeat.file(settings).read_text()))
            os.utime(heartbeat.file(settings), (1, 1))
            threading.Event().wait(0.05)  # fifty looks long
            assert last_beat(settings) == 1, "nothing beats while it hangs"
            stop.set()

    watch.watch(settings, interval=0.001, stop=stop, on_run=pytest.fail, on_error=on_error)
    assert noted[0]["pid"] == os.getpid() and "things" in noted[0]["trouble"]
    assert last_beat(settings) is None


def test_doctor_tells_of_a_watch_that_has_stopped_beating(settings: Settings) -> None:
    def levels() -> list[str]:
        return [each.level for each in check_watch(settings)]

    assert levels() == []
    Heartbeat(settings).beat()
    assert levels() == ["ok"]
    os.utime(heartbeat.file(settings), (1, 1))
    assert levels() == ["warning"]


def test_beat_changes_the_time_and_comes_back_when_the_file_is_deleted(settings: Settings) -> None:
    assert last_beat(settings) is None
    heart = Heartbeat(settings)
    heart.beat()
    os.utime(heartbeat.file(settings), (1, 1))
    heart.beat()
    assert (last_beat(settings) or 0) > time.time() - 60
    heartbeat.file(settings).unlink()
    heart.beat()
    assert json.loads(heartbeat.file(settings).read_text())["trouble"] == ""
    assert [path.name for path in settings.home_folder.iterdir()] == ["watch.json"]


def test_systemd_is_told_that_it_is_ready_and_that_it_lives(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(10)
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        Heartbeat(settings).beat()
        assert [systemd.recv(100), systemd.recv(100)] == [b"READY=1", b"WATCHDOG=1"]
    Heartbeat(settings).beat()  # nobody listens any more


class Switch(BaseHTTPRequestHandler):
    """A dead man's switch."""

    called: threading.Semaphore

    def do_GET(self) -> None:
        self.called.release()
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def wait_for_call() -> None:
    """Return when no call of the URL is on its way."""
    for thread in threading.enumerate():
        if thread.name == heartbeat.THREAD:
            thread.join()


def test_url_is_called_after_a_round_but_not_after_each(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = threading.Semaphore(0)
    switch = type("Counted", (Switch,), {"called": called})
    with ThreadingHTTPServer(("127.0.0.1", 0), switch) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/ping/open-sesame"
        heart = Heartbeat(Settings(**{**settings.model_dump(), "heartbeat_url": url}))
        heart.end_round()
        assert called.acquire(timeout=10)
        wait_for_call()
        heart.end_round()
        wait_for_call()
        assert not called.acquire(timeout=0)
        monkeypatch.setattr(heartbeat, "CALL_SECONDS", 0.0)
        heart.end_round()
        assert called.acquire(timeout=10)
        server.shutdown()


def test_url_that_nobody_answers_holds_up_nothing(settings: Settings) -> None:
    url = "http://127.0.0.1:1/"
    heart = Heartbeat(Settings(**{**settings.model_dump(), "heartbeat_url": url}))
    heart.end_round()
    assert last_beat(settings) is not None
    assert url not in repr(Settings(heartbeat_url=url))


def test_api_exports_the_time_of_the_last_beat(settings: Settings) -> None:
    metrics = Metrics(settings)
    name = "boathouse_watch_last_beat_timestamp_seconds"
    assert f"{name} 0.0" in generate_latest(metrics.registry).decode()
    Heartbeat(settings).beat()
    os.utime(heartbeat.file(settings), (1000, 1000))
    assert f"{name} 1000.0" in generate_latest(metrics.registry).decode()
