"""A watch meets what breaks under it, tells of it once, lives on, and tells that it works again."""

import fcntl
import os
import shutil
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.command import PATIENCE_SECONDS, House, Running, interrupt, wait_until
from support.homes import copy_project
from support.servers import Webhook, webhook
from support.shared import made_once

from boathouse.heartbeat import last_beat

GENERATE = ("generate", "--scale", "0.002", "--days", "1", "-s", "vehicle_events")
AGAIN = "Boathouse: it works again"


def deliver(house: House, day: int) -> None:
    """Let files of a day arrive."""
    house.boathouse(*GENERATE, "--until", f"2026-10-{day:02}", "--seed", str(day))


def prepare(folder: Path) -> House:
    """Make a house with one day, released."""
    house = House(copy_project(folder / "project", ["vehicles"]), folder / "home")
    deliver(house, 1)
    house.boathouse("run")
    return house


@pytest.fixture
def house(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    """Return a house in which the main job has run once."""
    return made_once(request, "watched", prepare).clone(tmp_path / "home")


@pytest.fixture
def editable_house(house: House, tmp_path: Path) -> House:
    """Return such a house with a project of its own, which a test may change."""
    return House(shutil.copytree(house.project, tmp_path / "project"), house.home)


@pytest.fixture
def hook() -> Iterator[Webhook]:
    with webhook() as running:
        yield running


@dataclass
class Watching:
    """A watch that runs, and what it has said."""

    house: House
    hook: Webhook
    process: Running
    said: list[str] = field(default_factory=list)

    def titles(self) -> list[str]:
        """Return what was posted, as titles."""
        return [posted["title"] for posted in self.hook.posted]

    def wait_for(self, is_so: Callable[[], bool], what: str) -> None:
        """Return when something is so; fails with what it has said."""
        try:
            wait_until(is_so, what, self.process, every=0.2)
        except AssertionError as error:
            raise AssertionError("\n".join([*map(str, error.args), *self.said])) from error

    def wait_for_alerts(self, number: int) -> None:
        """Return when so many alerts were posted."""
        self.wait_for(lambda: len(self.hook.posted) >= number, f"alert {number} is there")

    def wait_for_tries(self, number: int) -> None:
        """Return when it has failed so many more times."""
        before = self.failures()
        self.wait_for(lambda: self.failures() >= before + number, "it has tried again")

    def failures(self) -> int:
        """Return how many failures it has told of."""
        return sum(line.startswith("✗") for line in self.said)

    def wait_for_events(self, day: int) -> None:
        """Return when a day's events are released."""
        day_of = f"event_date = '2026-10-{day:02}'"
        query = f"select count(*) > 0 from marts.fct_vehicle_events where {day_of}"
        self.wait_for(lambda: self.house.released(query) == [(True,)], f"day {day} is released")


@contextmanager
def watching(house: House, hook: Webhook, **more: str) -> Iterator[Watching]:
    """Run a watch that has looked once already; it must be alive in the end, and obey Ctrl-C."""
    environment = {"BOATHOUSE_ALERT_WEBHOOK": hook.address, "no_proxy": "*", **more}
    before = last_beat(house.settings) or 0.0
    with house.running("watch", "--interval", "0.2", **environment) as process:
        it = Watching(house, hook, process)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            threading.Thread(target=it.said.extend, args=[stream], daemon=True).start()
        it.wait_for(lambda: (last_beat(house.settings) or 0.0) > before, "it has looked")
        yield it
        assert process.poll() is None, it.said
        process.stdout = process.stderr = None  # the threads read them
        assert interrupt(process).returncode == 0, it.said


def lose_raw(house: House) -> Callable[[], object]:
    """Lose the files that a build of the next day has to read; returns what puts them back."""
    files = list((house.home / "lake/marts").rglob("*.parquet"))
    files += (house.home / "lake/raw").rglob("*.parquet")
    assert files
    kept = house.home.with_name("kept")
    kept.mkdir()
    moved = [(file, kept / f"{number}") for number, file in enumerate(files)]
    for file, place in moved:
        shutil.move(file, place)
    return lambda: [shutil.move(place, file) for file, place in moved]


def damage_catalogue(house: House) -> Callable[[], object]:
    """Overwrite the head of the catalogue; returns what puts it back."""
    catalogue = house.home / "catalog.sqlite"

    def write(head: bytes) -> None:
        with catalogue.open("r+b") as file:
            file.write(head)

    head = catalogue.read_bytes()[:100]
    write(bytes(100))
    return lambda: write(head)


def break_yaml(house: House) -> Callable[[], object]:
    """Break a model's YAML; returns what mends it."""
    (path,) = house.project.rglob("dim_vehicles.yml")
    text = path.read_text()
    path.write_text(f"{text}\n  - name: [x\n")
    return lambda: path.write_text(text)


def remove_models(house: House) -> Callable[[], object]:
    """Remove the marts that other files describe; returns what brings them back."""
    staging, kept = house.project / "models/staging", house.project.with_name("kept-models")
    staging.rename(kept)
    return lambda: kept.rename(staging)


def landing_is_a_file(house: House) -> Callable[[], object]:
    """Put a file in the place of landing; returns what makes it a folder again."""
    shutil.rmtree(house.home / "landing")
    (house.home / "landing").touch()
    return (house.home / "landing").unlink


@dataclass(frozen=True)
class Trouble:
    """What breaks, what is told of it, and what goes on meanwhile."""

    breaks: Callable[[House], Callable[[], object]]
    told: str
    can_deliver: bool = True
    is_tried_again: bool = True  # with nothing mended, as it may have gone


TROUBLES = (
    Trouble(damage_catalogue, "home"),  # first: after a run, SQLite has its head in the journal
    Trouble(lose_raw, ".parquet"),
    Trouble(break_yaml, "dim_vehicles.yml", is_tried_again=False),
    Trouble(remove_models, "", can_deliver=False, is_tried_again=False),
    Trouble(landing_is_a_file, "landing", can_deliver=False),
)


def test_each_trouble_is_told_once_outlived_and_its_end_is_told(
    editable_house: House, hook: Webhook
) -> None:
    with watching(editable_house, hook) as it:
        for number, trouble in enumerate(TROUBLES):
            try:
                outlive(it, trouble, before=2 * number, day=2 + 2 * number)
            except BaseException as error:
                error.add_note(f"This was {trouble.breaks.__name__}.")
                raise
    assert len(hook.posted) == 2 * len(TROUBLES)


def outlive(it: Watching, trouble: Trouble, *, before: int, day: int) -> None:
    """Check what a watch does in a trouble and after it, when so many alerts were sent before."""
    mend = trouble.breaks(it.house)
    if trouble.can_deliver:
        deliver(it.house, day)
    it.wait_for_alerts(before + 1)
    if trouble.is_tried_again:
        it.wait_for_tries(1)
    assert len(it.titles()) == before + 1 and trouble.told in it.hook.posted[before]["text"]
    assert "Unexpected" not in it.hook.posted[before]["text"]
    mend()
    it.wait_for_alerts(before + 2)
    assert it.titles()[before + 1] == AGAIN
    deliver(it.house, day + 1)
    it.wait_for_events(day + 1)
    if trouble.can_deliver:
        it.wait_for_events(day)
    assert len(it.hook.posted) == before + 2


def test_landing_that_vanishes_and_what_is_no_file_in_it_are_no_trouble(
    house: House, hook: Webhook
) -> None:
    with watching(house, hook) as it:
        shutil.rmtree(house.home / "landing")
        folder = house.home / "landing/vehicle_events"
        folder.mkdir(parents=True)
        (folder / "loop").symlink_to("loop")
        (folder / "vehicles_events_dangling.json").symlink_to("/nonexistent")
        os.mkfifo(folder / "vehicles_events_fifo.json")
        deliver(house, 2)
        it.wait_for_events(2)
        rejected = house.home / "rejected/vehicle_events"
        it.wait_for(lambda: len(list(rejected.glob("*.reason.json"))) >= 2, "they are set aside")
    assert it.failures() == 0 and not hook.posted


@contextmanager
def on_terminal(house: House, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a command on a terminal of its own, and yield it with the other side of the terminal."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "boathouse", *arguments],
        **house.how({}),
        text=True,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()


def test_watch_outlives_its_terminal(house: House, hook: Webhook) -> None:
    with on_terminal(house, "watch", "--interval", "0.2") as (process, terminal):
        wait_until(lambda: last_beat(house.settings) is not None, "it has looked", process)
        assert os.read(terminal, 100).startswith(b"Watching ")
        os.close(terminal)  # whoever runs there gets SIGHUP, and can write there no more
        deliver(house, 2)
        Watching(house, hook, process).wait_for_events(2)
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
