"""One dbt command, from its first statement to its end: the lock it holds, and what it leaves.

dbt tells through its events when a command has ended, whatever ended it. Then its connection is
closed and the lock let go, so that a process that runs dbt again and again, as editors do, is in
nobody's way in between. A command that did not come to its last hook is noted here, in its place.
"""

import json
import sys
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click
import duckdb
from dbt import selected_resources
from dbt.adapters.factory import FACTORY, cleanup_connections
from dbt.flags import get_flags
from dbt_common.events.event_manager_client import add_callback_to_manager
from dbt_common.exceptions import DbtBaseException
from dbt_common.invocation import get_invocation_id

from boathouse import lake, lock
from boathouse.build import dbt, nodes
from boathouse.build.report import GREEN, INTERRUPTED
from boathouse.errors import BoathouseError
from boathouse.settings import Settings
from boathouse.sql import constant, literal, row

# Commands that leave a row in meta.builds: see macros/builds/record_build.sql.
BUILDS = {"build", "run", "test", "seed", "snapshot", "retry"}
WRITING = BUILDS | {"run-operation", "clone"}
_RETRIED = {"error", "fail", "skipped", "runtime error", "partial success"}
_POLL_SECONDS = 0.1
_WHY = "the command ended before this was done"

_ended = ""  # the invocation of the command that ended last in this process


@dataclass(frozen=True)
class _Finished:
    """What became of a node, as dbt told when it had finished with it."""

    name: str
    kind: str
    status: str
    seconds: float
    message: str | None


class DbtCommand:
    """The command that is running now; made before its first statement."""

    def __init__(self, settings: Settings) -> None:
        """Listen to what dbt tells from now on."""
        flags = get_flags()
        self.invocation = get_invocation_id()
        # Whoever uses dbt's adapter after a command has ended reads, whatever the command did.
        self.name = "" if self.invocation == _ended else str(getattr(flags, "WHICH", ""))
        self._settings = settings
        self._finished: dict[str, _Finished] = {}
        self._is_whole = False
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._is_interrupted = False
        self._can_be_retried = False
        # dbt writes over it before it tells that it was interrupted.
        self._results_file = _results_file(flags)
        self._results_before = _read(self._results_file) if self.name in BUILDS else b""
        self._is_ours = not lock.held_here(settings)
        self._let_go: Callable[[], None] | None = None
        self._began: datetime | None = None
        self._failed: BoathouseError | None = None
        self._beginning = threading.Lock()
        self._at_end: list[Callable[[], None]] = []
        add_callback_to_manager(self)

    def begin(self) -> None:
        """Take the lock, if the command writes and this process does not hold it already.

        Every connection of the command asks for it; only the first one waits.

        Raises:
            LockTimeoutError: another writer was not done in time.
            UnreachableError, DeniedError: the server of a shared catalogue does not let us in.
        """
        with self._beginning:
            if self._failed is not None:
                raise self._failed
            if self._began is not None:
                return
            try:
                if self._is_ours and self.name in WRITING:
                    self._let_go = lock.keep(self._settings, f"dbt {self.name}", _is_given_up)
            except BoathouseError as error:
                self._failed = error
                raise
            self._began = datetime.now(UTC).replace(tzinfo=None)

    def at_end(self, do: Callable[[], None]) -> None:
        """Do something when the command has ended, however it ended."""
        self._at_end.append(do)

    def __call__(self, event: Any) -> None:
        """Hear what dbt tells, in whichever of its threads."""
        if not self._stopping.is_set() and isinstance(sys.exception(), KeyboardInterrupt):
            self._stopping.set()
            threading.Thread(target=self._stop_queries, daemon=True).start()
        if hear := _HEARD.get(event.info.name):
            hear(self, event.data)

    @property
    def takes(self) -> Collection[str]:
        """Return the names of the events that are listened to."""
        return _HEARD.keys()

    def _hear_run_result(self, _: Any) -> None:
        self._is_whole = True

    def _hear_summary(self, data: Any) -> None:
        self._stopped.set()
        self._is_interrupted = data.keyboard_interrupt

    def _hear_statistics(self, _: Any) -> None:
        if self._is_interrupted:
            with suppress(OSError, ValueError):
                self._add_what_is_left()
            self._tell_interrupted()

    def _stop_queries(self) -> None:
        """Interrupt what dbt's threads ask of the lake, until dbt has waited for them.

        dbt does so once, and then waits: for a thread that was between two queries at that moment,
        or is in the unit tests of a model that it goes on to build, that can be for ever.
        """
        while not self._stopped.wait(_POLL_SECONDS):
            for adapter in list(FACTORY.adapters.values()):
                with suppress(Exception):  # a connection that was closed at this moment
                    adapter.connections.cancel_open()

    def _hear_finished(self, data: Any) -> None:
        node, result = data.node_info, data.run_result
        is_cancelled = self._stopping.is_set() and result.status not in GREEN
        self._finished[node.unique_id] = _Finished(
            node.node_name,
            str(node.resource_type),
            INTERRUPTED if is_cancelled else str(result.status),
            float(result.execution_time),
            _WHY if is_cancelled else result.message,
        )

    def _tell_interrupted(self) -> None:
        """Let dbt give up with a sentence if Ctrl-C is what ends it: it would show a traceback."""
        if isinstance(sys.exception(), KeyboardInterrupt):
            to_do = " `dbt retry` runs what was not done." if self._can_be_retried else ""
            raise DbtBaseException(f"Interrupted.{to_do}")

    def _add_what_is_left(self) -> None:
        """Add to dbt's results what it was told to run and has not run, which it leaves out."""
        if self._results_file is None or self.name not in BUILDS:
            return
        written = json.loads(self._results_file.read_bytes())
        known = {result["unique_id"]: result for result in written["results"]}
        for unique_id in self._left():
            known[unique_id] = _skipped(unique_id)
        written["results"] = list(known.values())
        temporary = self._results_file.with_suffix(".part")
        temporary.write_text(json.dumps(written), encoding="utf-8")
        temporary.replace(self._results_file)
        self._can_be_retried = True

    def _left(self) -> list[str]:
        """Return the nodes that the command was going to run and has not run well, sorted."""
        done = {each for each, found in self._finished.items() if found.status in GREEN}
        context = click.get_current_context(silent=True)
        if context is not None and context.info_name == "retry":
            # dbt does not say what a retry has selected: it is what has not gone well before.
            wanted = {
                result["unique_id"]
                for result in json.loads(self._results_before)["results"]
                if result["status"] in _RETRIED
            }
        else:
            wanted = set(selected_resources.SELECTED_RESOURCES)
            if self.name == "build":
                wanted |= self._unit_tests_of(wanted - done)
        return sorted(wanted - done)

    def _unit_tests_of(self, models: set[str]) -> set[str]:
        """Return the unit tests of models: dbt runs them with these, and never selects them."""
        if "unit_test" in (getattr(get_flags(), "EXCLUDE_RESOURCE_TYPES", None) or ()):
            return set()
        return {
            node.unique_id
            for node in nodes.of_command(get_flags())
            if node.kind == "unit_test" and models.intersection(node.depends_on)
        }

    def _end(self) -> None:
        """Leave the lake to others; what goes wrong here must not hide what ended the command."""
        global _ended
        _ended = self.invocation
        self._stopped.set()
        try:
            for do in self._at_end:
                do()
            dbt.roll_back()
            cleanup_connections()  # what is open there may have begun to write
            if self.name in BUILDS and self._began is not None and not self._is_whole:
                with suppress(Exception):  # it stays `running`, which nobody believes either
                    self._note_interrupted(self._began)
            if self._is_ours:
                dbt.close_connection()
        finally:
            if self._let_go is not None:
                self._let_go()
                self._let_go = None

    def _note_interrupted(self, began: datetime) -> None:
        """Note the build as ended: what it has not done stands in a release's way from now on."""
        opened = lake.Lake(dbt.cursor())
        build = opened.value(
            "select max(build_id) from lake.meta.builds "
            f"where status = 'running' and started_at >= {constant(began)}"
        )
        if build is None:
            return
        names = {node.unique_id: node for node in nodes.remembered(opened)}
        noted = dict(self._finished)
        for unique_id in self._left():
            if unique_id in names and unique_id not in noted:
                node = names[unique_id]
                noted[unique_id] = _Finished(node.name, node.kind, INTERRUPTED, 0.0, _WHY)
        flags = get_flags()
        lacks_rows = is_cut(flags)
        rows = [
            (
                build,
                unique_id,
                each.name,
                each.kind,
                "lacks rows" if lacks_rows and each.status in GREEN else each.status,
                each.seconds,
                None,
                each.message,
            )
            for unique_id, each in noted.items()
            if unique_id in names
        ]

        def write(con: duckdb.DuckDBPyConnection) -> None:
            if rows:
                values = ", ".join(map(row, rows))
                con.execute(
                    "insert into lake.meta.build_results by name "
                    f"select ended.*, nodes.fingerprint, nodes.place from (values {values}) as "
                    "ended (build_id, unique_id, name, kind, status, seconds, rows, message) "
                    "left join lake.meta.nodes as nodes on ended.unique_id = nodes.unique_id"
                )
            con.execute(
                f"update lake.meta.builds set status = {literal(INTERRUPTED)}, "
                f"finished_at = cast(now() as timestamp), selected = null where build_id = {build}"
            )

        opened.write(write, "note an interrupted build")


_HEARD: dict[str, Callable[[DbtCommand, Any], None]] = {
    "ConnectionClosed": lambda *_: dbt.roll_back(of_this_thread=True),  # which it is about to be
    "NodeFinished": DbtCommand._hear_finished,
    "EndRunResult": DbtCommand._hear_run_result,
    "EndOfRunSummary": DbtCommand._hear_summary,
    "StatsLine": DbtCommand._hear_statistics,
    "FinishedRunningStats": lambda command, _: command._tell_interrupted(),
    "CommandCompleted": lambda command, _: command._end(),
}


def is_cut(flags: Any) -> bool:
    """Return whether models see only part of their inputs, as with --empty or --sample."""
    cuts = ("EMPTY", "SAMPLE", "EVENT_TIME_START", "EVENT_TIME_END")
    return any(getattr(flags, name, None) for name in cuts)


def _is_given_up() -> bool:
    """Return whether dbt has stopped waiting for what this thread of its is doing.

    Ctrl-C reaches the main thread, which then waits for its helpers to come to an end.
    """
    here = threading.current_thread()
    for frame in sys._current_frames().values():
        at: FrameType | None = frame
        while at is not None:
            if at.f_code is ThreadPoolExecutor.shutdown.__code__:
                return here in at.f_locals["self"]._threads
            at = at.f_back
    return False


def _skipped(unique_id: str) -> dict[str, Any]:
    """Return the result of a node as dbt writes it for one that it has skipped."""
    return {
        "status": "skipped",
        "timing": [],
        "thread_id": "",
        "execution_time": 0.0,
        "adapter_response": {},
        "message": _WHY,
        "failures": None,
        "unique_id": unique_id,
        "compiled": False,
        "compiled_code": None,
        "relation_name": None,
        "batch_results": None,
    }


def _results_file(flags: Any) -> Path | None:
    if not getattr(flags, "WRITE_JSON", False):
        return None
    project = Path(getattr(flags, "PROJECT_DIR", None) or ".").absolute()
    return project / (getattr(flags, "TARGET_PATH", None) or "target") / "run_results.json"


def _read(path: Path | None) -> bytes:
    try:
        return path.read_bytes() if path else b""
    except OSError:
        return b""
