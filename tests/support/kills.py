"""Commands that are killed at a random instant, and what must be there after the next ones.

A trial works in a copy of a house in which files wait. One to three commands are killed there,
one after the other, each at a checkpoint of the code or at a random moment; then the recovery that
a person is told of has to give what a run that nobody disturbed gives. There are two such houses: a
young one, and one that an older version has written, which the first command upgrades.
"""

import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from support import forked, golden
from support.command import PATIENCE_SECONDS, House
from support.homes import REPOSITORY, copy_project
from support.prepared import prepare

DELIVERIES = {
    "purchases_2026-03-11.csv": "PurchaseID,product,user,date\n900001,7,8,2026-03-01\n1,,,\n",
    "purchases_2026-03-12.csv": "PurchaseID,product,user,date\n900001,7,9,2026-03-01\n",
    "purchases_2026-03-13.csv": "PurchaseID,product\n900001,7\n",
}
EARLIER = "PurchaseID,product,user,date\n800001,7,8,2026-02-28\n"
OLDER_DOMAIN = "purchases"  # of those that the older house knows; its only source has this name
MOST_KILLS = 3  # of one trial
SHARE_AT_CHECKPOINTS = 0.5
LATEST = 1.1  # of the time that a command takes
# Everything that may go, goes: otherwise maintenance has nothing to do in a young home.
AT_ONCE = {"BOATHOUSE_KEEP_SNAPSHOTS_DAYS": "0", "BOATHOUSE_KEEP_FILES_HOURS": "0"}


def deliver(house: House) -> None:
    for name, content in DELIVERIES.items():
        house.drop("purchases", name, content)


def picture(house: House) -> dict[str, Any]:
    """Return all that must be equal: marts in lake and release, ledger, files; without times."""
    tables = house.released(
        "select table_name, list(column_name order by column_index) from duckdb_columns() "
        "where database_name = 'it' and schema_name = 'marts' "
        "and not ends_with(column_name, 'loaded_at') and not starts_with(column_name, 'dbt_') "
        "group by table_name order by table_name"
    )
    queries = {
        name: f"select {', '.join(columns)} from marts.{name} order by all"
        for name, columns in tables
    }
    folders = ("landing", "archive", "rejected")
    return {
        "lake": {
            name: house.in_lake(q.replace("marts.", "lake.marts.")) for name, q in queries.items()
        },
        "release": {name: house.released(query) for name, query in queries.items()},
        "loads": house.in_lake("select * exclude (loaded_at) from lake.meta.loads order by all"),
        "files": sorted(
            path.relative_to(house.home).as_posix()
            for folder in folders
            for path in (house.home / folder).rglob("*")
            if path.is_file()
        ),
        "releases": len(house.json("releases")),
        "work": [path for path in (house.home / "work").rglob("*") if path.is_file()],
    }


def checkpoints() -> set[str]:
    """Return the names of all instants at which the code can be told to die."""
    code = "".join(path.read_text() for path in (REPOSITORY / "boathouse").rglob("*.py"))
    return set(re.findall(r'reached\("([^"]+)"\)', code))


@dataclass(frozen=True)
class Kind:
    """A command that is killed.

    `at` are the areas of its checkpoints. `mended_by` is what a person does when it was killed.
    """

    arguments: tuple[str, ...]
    at: tuple[str, ...]
    mended_by: tuple[tuple[str, ...], ...] = ()


UPGRADE = "upgrade"  # the one that is killed in an older home
KINDS = {
    "run": Kind(("run",), ("run", "load", "archive", "reject", "release")),
    "watch": Kind(("watch", "--interval", "0.1"), ("run", "load", "archive", "reject", "release")),
    "maintain": Kind(("maintain",), ("maintain",), (("maintain",),)),
    "backup": Kind(("backup", "../another"), ("backup",)),
    "restore": Kind(
        ("restore", "../backup", "--overwrite"),
        ("restore",),
        (("restore", "../backup", "--overwrite"),),
    ),
    # A run leaves an older release that somebody went back to; `release` does not.
    "rollback": Kind(("rollback",), ("rollback", "release"), (("run",), ("release",))),
    UPGRADE: Kind(("run",), ("upgrade", "run", "load", "archive", "release")),
}


@dataclass(frozen=True)
class Kill:
    """One that is to be: at a checkpoint, or at a share of the time that the command takes."""

    command: str
    at: str | float


def plan(seed: int) -> list[Kill]:
    """Return one to three kills, always the same for a seed and a version of the code."""
    chance = random.Random(seed)
    kills: list[Kill] = []
    for _ in range(chance.randint(1, MOST_KILLS)):
        command = chance.choice(list(KINDS))
        if kills and UPGRADE in (command, kills[0].command):
            command = kills[0].command  # a home is older or it is not
        areas = KINDS[command].at
        known = [each for each in sorted(checkpoints()) if each.partition(":")[0] in areas]
        is_at_checkpoint = chance.random() < SHARE_AT_CHECKPOINTS
        at = chance.choice(known) if is_at_checkpoint else chance.uniform(0, LATEST)
        kills.append(Kill(command, at))
    return kills


class Kills:
    """One house, and trials in copies of it."""

    def __init__(self, folder: Path, made: House) -> None:
        """See what an undisturbed run leaves.

        Args:
            folder: For the copies.
            made: A house in which files wait. What lies beside its home, does beside the copies'.
        """
        self._folder = folder
        self._seconds: dict[str, float] = {}
        self._made = made
        calm = self._copy("calm")
        calm.boathouse("run")
        self._wanted = picture(calm)

    def trial(self, name: str, plan: Sequence[Kill]) -> Iterator[str]:
        """Kill commands in a copy of the house and mend it; yields what was killed, and when.

        Raises:
            AssertionError: something is not as an undisturbed run leaves it.
        """
        house = self._copy(name)
        for kill in plan:
            if told := self._kill(house, kill):
                yield f"{kill.command} {told}"
            self._mend(house, KINDS[kill.command])
        house.boathouse("run")
        self._require(house)
        shutil.rmtree(house.home.parent)

    def _copy(self, name: str) -> House:
        folder = self._folder / name
        house = self._made.clone(folder / "home")
        for beside in self._made.home.parent.iterdir():
            if beside != self._made.home:
                (folder / beside.name).symlink_to(beside)
        return house

    def _kill(self, house: House, kill: Kill) -> str:
        """Start a command and kill it; returns when, or nothing when it came to its end before."""
        kind = KINDS[kill.command]
        # A watch goes on and on; at first it does what a run does.
        seconds = partial(self._takes, "run" if kill.command == "watch" else kill.command)
        if isinstance(kill.at, str):
            told, environment = f"at {kill.at}", {"BOATHOUSE_KILL_AT": kill.at}
            patience = 1.5 * seconds() if kill.command == "watch" else PATIENCE_SECONDS
        else:
            patience, environment = kill.at * seconds(), {}
            told = f"after {patience:.2f} s"
        try:
            done = forked.run(
                ["boathouse", *self._arguments(kind.arguments, house)],
                **house.how(environment),
                timeout=patience,
            )
        except subprocess.TimeoutExpired:
            return f"after {patience:.2f} s"
        said = f"{kill.command}: {done.stdout}\n{done.stderr}"
        assert done.returncode in (0, -signal.SIGKILL), said
        return told if done.returncode else ""

    def _takes(self, name: str) -> float:
        """Return how many seconds a command takes when nobody disturbs it."""
        if name not in self._seconds:
            house = self._copy(f"timed-{name}")
            start = time.monotonic()
            house.boathouse(*self._arguments(KINDS[name].arguments, house))
            self._seconds[name] = time.monotonic() - start
            shutil.rmtree(house.home.parent)
        return self._seconds[name]

    def _mend(self, house: House, kind: Kind) -> None:
        for arguments in kind.mended_by:
            house.boathouse(*self._arguments(arguments, house))
        another = house.home.parent / "another"
        if another.exists():
            # What has the name of a backup is one.
            into = house.home.parent / "restored"
            house.boathouse("restore", str(another), "--into", str(into))
            shutil.rmtree(another)
            shutil.rmtree(into)

    def _arguments(self, arguments: Sequence[str], house: House) -> list[str]:
        beside = house.home.parent
        return [
            str(beside / each.removeprefix("../")) if each.startswith("../") else each
            for each in arguments
        ]

    def _require(self, house: House) -> None:
        found = picture(house)
        for what, wanted in self._wanted.items():
            assert found[what] == wanted, f"{what}: {found[what]}\nis not\n{wanted}"
        findings = house.json("doctor")["findings"]
        assert [each for each in findings if each["level"] == "problem"] == []


def young(folder: Path, prepared: House) -> Kills:
    """Return trials in a house in which the main job has run, with demo data of its domains."""
    made = House(prepared.project, folder / "made" / "home", AT_ONCE)
    prepared.clone(made.home)
    made.drop("purchases", "purchases_2026-03-10.csv", EARLIER)
    made.boathouse("run")  # there are two releases, to roll back
    deliver(made)
    made.boathouse("backup", str(made.home.with_name("backup")))
    return Kills(folder, made)


def older(folder: Path) -> Kills:
    """Return trials in a house that the oldest version has written of which we have one."""
    project = copy_project(folder / "project", [OLDER_DOMAIN])
    made = House(project, golden.unpack(golden.OLDEST, folder / "made" / "home"), AT_ONCE)
    deliveries = golden.unpack(golden.DELIVERIES, folder / "deliveries")
    shutil.copytree(deliveries / "3" / OLDER_DOMAIN, made.home / "landing" / OLDER_DOMAIN)
    return Kills(folder, made)


def trials(folder: Path, wanted: int, seed: int, tell: Callable[[str], None]) -> list[int]:
    """Let trials run until so many commands were killed; returns the seeds of those that failed."""
    kills_in_young = young(folder / "young", prepare(folder / "prepared").house)
    kills_in_older = older(folder / "older")
    done, failed = 0, []
    while done < wanted:
        killed: list[str] = []
        outcome = "as undisturbed"
        try:
            planned = plan(seed)
            is_older = planned[0].command == UPGRADE
            kills = kills_in_older if is_older else kills_in_young
            for each in kills.trial(f"trial-{seed}", planned):
                killed.append(each)
        except AssertionError as error:
            failed.append(seed)
            outcome = f"FAILED: {error}"
        done += len(killed)
        tell(f"{done}/{wanted} seed {seed}: {', '.join(killed) or 'nothing killed'}: {outcome}")
        seed += 1
    return failed
