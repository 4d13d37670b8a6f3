"""Starts the process of a run from one that has imported Dagster and dbt already.

Importing both takes six seconds, more than most runs. A fork server (of the standard library)
does that once (see `warm`) and forks for every run; what is ours is imported anew each time, so
that a run uses the project as it is. A run's process holds a lock file while it lives: so anybody
can tell whether it is still there, also after everything was killed.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.launcher.base import RunLauncher as DagsterRunLauncher
from dagster._core.storage.dagster_run import DagsterRun
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClass, ConfigurableClassData
from filelock import FileLock

from boathouse.lock import is_file_held

PATIENCE_SECONDS = 20.0
_M_ARENA_MAX = -8  # of glibc's malloc.h
_HEAPS_EACH = 8  # for each processor: glibc's own limit


class WarmLauncher(DagsterRunLauncher[Any], ConfigurableClass):
    """Launches each run in a process of its own on this machine."""

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._workers: dict[str, BaseProcess] = {}
        super().__init__()  # type: ignore[no-untyped-call]

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Return what the instance was configured with."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """Return the configuration's schema: there is nothing to configure."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "WarmLauncher":
        """Return a launcher, as the instance asks for it."""
        del config_value
        return cls(inst_data)

    # -- launching -------------------------------------------------------------------------

    def launch_run(self, context: LaunchRunContext) -> None:
        """Start the process of a run."""
        run = context.dagster_run
        origin = context.job_code_origin
        assert origin is not None, "a run of a code location says where its code is"
        arguments = ExecuteRunArgs(
            job_origin=origin, run_id=run.run_id, instance_ref=self._instance.get_ref()
        ).get_command_args()
        process = _fork_server().Process(
            target=_work, args=(list(arguments), str(self._lock_file(run.run_id)))
        )
        process.start()
        self._workers = {key: each for key, each in self._workers.items() if each.is_alive()}
        self._workers[run.run_id] = process

    def terminate(self, run_id: str) -> bool:
        """Interrupt a run's process; returns whether there was one."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        if not is_file_held(self._lock_file(run_id)):
            return False
        with suppress(ProcessLookupError):
            os.kill(int(self._pid_file(run_id).read_text()), signal.SIGINT)
        return True

    def dispose(self) -> None:
        """Interrupt the runs that this process has launched, and wait for their end."""
        alive = [each for each in self._workers.values() if each.is_alive()]
        for process in alive:
            with suppress(ProcessLookupError):
                os.kill(process.pid or 0, signal.SIGINT)
        for process in alive:
            process.join(PATIENCE_SECONDS)

    # -- watching --------------------------------------------------------------------------

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Return that Dagster may ask whether a run's process is still there."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Return whether a run's process is still there."""
        if is_file_held(self._lock_file(run.run_id)):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, "The process of the run has ended.")

    def _lock_file(self, run_id: str) -> Path:
        return Path(self._instance.root_directory) / "workers" / f"{run_id}.lock"

    def _pid_file(self, run_id: str) -> Path:
        return self._lock_file(run_id).with_suffix(".pid")


@cache
def _fork_server() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["orchestration.warm"])
    return context


def _allow_heaps() -> None:
    """Let threads have heaps of their own again, as many as glibc allows: a run does not last."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _HEAPS_EACH * (os.cpu_count() or 1))


def _work(arguments: list[str], lock_file: str) -> None:
    """Be the process of a run: what `dagster api execute_run` does, holding the lock file."""
    from dagster._cli.api import api_cli

    _allow_heaps()
    path = Path(lock_file)
    pid_file = path.with_suffix(".pid")
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        pid_file.write_text(str(os.getpid()))
        sys.argv = arguments
        try:
            api_cli(arguments[2:], standalone_mode=False)
        finally:
            pid_file.unlink(missing_ok=True)
            path.unlink(missing_ok=True)
