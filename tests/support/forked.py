"""Commands in forks of a process that has imported what they import.

Such a command is a process with an environment, a folder and output of its own, and ends as any
other. It only starts sooner: to import dbt takes longer than what many a test asks of it. What
is not imported where it should be is seen by the tests that start commands: `House.started`.
"""

import atexit
import faulthandler
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, NoReturn

REPOSITORY = Path(__file__).resolve().parents[2]
# Without DuckDB, which starts a thread.
IMPORTED = (
    *("boathouse.cli.environments", "boathouse.cli.keys", "boathouse.cli.show"),
    *("boathouse.cli.upkeep", "boathouse.contracts", "boathouse.settings"),
    *("dbt.adapters.factory", "dbt.cli.main", "psutil", "sqlglot"),
)
OUR_MACROS = [REPOSITORY / "macros", REPOSITORY / "tests" / "data" / "generic"]
MOST_BYTES = 2**20  # of a request: arguments and environment
MOST_DIGITS = 20  # of an answer: a process, and later its exit code


def run(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    as_root: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run `boathouse`, `dbt` or `python` (some code) to its end, and return what it came to.

    Permissions stop it unless it runs `as_root`, which takes that root runs the tests.

    Raises:
        TimeoutExpired: it took longer than so many seconds, and was killed.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        with Process(
            arguments, cwd=cwd, env=env, stdout=stdout, stderr=stderr, as_root=as_root
        ) as process:
            code = process.wait(timeout)
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess(list(arguments), code, stdout.read(), stderr.read())


class Process:
    """`boathouse`, `dbt` or `python` (some code) as it runs, with what tests use of `Popen`.

    Its output goes into files, or, where there are none, into pipes. In a session of its own it
    leads all that it starts.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        stdout: IO[str] | None = None,
        stderr: IO[str] | None = None,
        as_root: bool = True,
        own_session: bool = False,
    ) -> None:
        """Start it."""
        self.args = list(arguments)
        self.returncode: int | None = None
        asked = {"arguments": self.args, "cwd": str(cwd), "env": dict(env)}
        request = json.dumps({**asked, "as_root": as_root, "own_session": own_session})
        self._line, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with ExitStack() as stack:
            stack.enter_context(theirs)
            self.stdout, into = (None, stdout) if stdout else _pipe(stack)
            self.stderr, error = (None, stderr) if stderr else _pipe(stack)
            files = [into.fileno(), error.fileno(), theirs.fileno()]
            socket.send_fds(_server(), [request.encode()], files)
        self.pid = int(self._line.recv(MOST_DIGITS))

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended.

        Raises:
            TimeoutExpired: it runs on after so many seconds.
        """
        if self.returncode is None:
            if not select.select([self._line], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._line.recv(MOST_DIGITS))
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what it has put into its pipes once it has ended; see `wait`."""
        said = ["", ""]

        def read(place: int, pipe: IO[str]) -> None:
            said[place] = pipe.read()

        readers = [
            threading.Thread(target=read, args=(place, pipe), daemon=True)
            for place, pipe in enumerate((self.stdout, self.stderr))
            if pipe is not None and not pipe.closed
        ]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join()
        return said[0], said[1]

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and let go of what the system keeps for it."""
        self.kill()
        self.wait()
        for each in (self._line, self.stdout, self.stderr):
            if each is not None:
                each.close()


def _pipe(stack: ExitStack) -> tuple[IO[str], IO[str]]:
    """Return both ends of a pipe; the one to write into is closed with the stack."""
    read, write = os.pipe()
    return os.fdopen(read), stack.enter_context(os.fdopen(write, "w"))


@cache
def _server() -> socket.socket:
    """Return the line to this process's own server, which ends with it."""
    ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MOST_BYTES)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


def _serve(line: socket.socket) -> list[str]:
    """Fork for each request; return its arguments in the process that is to run the command."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the commands
    while True:
        content, files, _, _ = socket.recv_fds(line, MOST_BYTES, 3)
        if not content:
            os._exit(0)
        if os.fork() == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            line.close()
            return _become(json.loads(content), *files)
        for file in files:
            os.close(file)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _become(request: dict[str, object], stdout: int, stderr: int, answer: int) -> list[str]:
    command = os.fork()
    if command:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.write(answer, str(command).encode())
        _, status = os.waitpid(command, 0)
        os.write(answer, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(answer)
    for number, file in enumerate((stdout, stderr), 1):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    if request["own_session"]:
        os.setsid()
    if "PYTHONFAULTHANDLER" in os.environ:
        faulthandler.enable()
    if not request["as_root"]:
        import_module("processes").obey_permissions()
    return request["arguments"]


def _import() -> None:
    for name in IMPORTED:
        import_module(name)
    _compile()
    _parse()
    threads = list(Path("/proc/self/task").iterdir())
    assert len(threads) == 1, "a thread that is not in the fork leaves its locks behind"
    gc.freeze()  # or each fork goes through all of it, and so copies it


def _compile() -> None:
    """Compile what dbt's classes compile of themselves when they are first read or written."""
    from dbt.artifacts.resources import ModelConfig, NodeConfig, SourceConfig, TestConfig
    from dbt.contracts.graph import nodes, unparsed
    from dbt.contracts.graph.manifest import Manifest
    from dbt.contracts.project import Configuration, PackageConfig, Project, ProjectFlags
    from dbt_common.dataclass_schema import dbtClassMixin

    of_a_node = (nodes.GenericTestNode, nodes.HookNode, nodes.ModelNode, nodes.SingularTestNode)
    of_yaml = (
        *(unparsed.UnparsedModelUpdate, unparsed.UnparsedSourceDefinition),
        *(unparsed.UnparsedMacroUpdate, unparsed.UnparsedUnitTest),
    )
    of_a_project = (Configuration, PackageConfig, Project, ProjectFlags)
    configs = (ModelConfig, NodeConfig, SourceConfig, TestConfig)
    for each in (*of_a_node, *of_yaml, *of_a_project, *configs):
        each.json_schema()
    Manifest.from_msgpack(Manifest().to_msgpack())
    for each in _below(dbtClassMixin):
        if each.__module__.startswith(("dbt.artifacts", "dbt.contracts.graph")):
            with suppress(Exception):  # compiled by now, and nothing to read or to write
                each.from_dict({})
            with suppress(Exception):
                each.to_dict(object.__new__(each))


def _parse() -> None:
    """Parse and compile the macros that every project has, and find dbt's plugins."""
    from dbt.clients.jinja_static import statically_extract_macro_calls
    from dbt.include import duckdb, global_project
    from dbt.plugins import PluginManager
    from dbt_common.clients import jinja
    from dbt_common.tests import enable_test_caching

    enable_test_caching()
    PluginManager.from_modules("boathouse")
    kinds = {"macro", "materialization", "test", "data_test"}
    folders = [*(Path(each.PACKAGE_PATH) for each in (duckdb, global_project)), *OUR_MACROS]
    for file in (file for folder in folders for file in folder.rglob("*.sql")):
        code = file.read_text().strip()
        blocks = jinja.extract_toplevel_blocks(code, allowed_blocks=kinds, collect_raw_data=False)
        for block in blocks:
            jinja.parse(block.full_block)
            statically_extract_macro_calls(block.full_block, {})
            jinja.template_cache.get_node_template(SimpleNamespace(macro_sql=block.full_block))


def _below(kind: type) -> set[Any]:
    return {kind}.union(*map(_below, kind.__subclasses__()))


def _end(code: object) -> NoReturn:
    """End the process as Python does, but for taking apart all that dbt is, in half a second."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    _import()
    program, *rest = _serve(socket.socket(fileno=int(sys.argv[1])))
    lake = import_module("boathouse.lake")  # with DuckDB
    lake.config = import_module("engine").config
    try:
        if program == "boathouse":
            sys.path[0] = str(Path.cwd())  # as `python -m` has it
            sys.argv = ["boathouse", *rest]
            runpy.run_module("boathouse", run_name="__main__", alter_sys=True)
        elif program == "python":
            exec(rest[0], {"__name__": "__main__"})
        else:
            sys.path[0] = str(Path(program).parent)
            sys.argv = [program, *rest]
            runpy.run_path(program, run_name="__main__")
    except SystemExit as ended:
        _end(ended.code)
