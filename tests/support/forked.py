"""Commands in forks of a process that has imported what they import.

Such a command is a process with an environment, a folder and output of its own, and ends as any
other. It only starts sooner: to import dbt takes longer than what many a test asks of it. What
is not imported where it should be is seen by the tests that start commands: `House.started`.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

REPOSITORY = Path(__file__).resolve().parents[2]
# Without DuckDB, which starts a thread.
IMPORTED = (
    *("boathouse.cli.environments", "boathouse.cli.keys", "boathouse.cli.show"),
    *("boathouse.cli.upkeep", "boathouse.contracts", "boathouse.settings"),
    *("dbt.adapters.factory", "dbt.cli.main", "psutil", "sqlglot"),
)
OUR_MACROS = [REPOSITORY / "macros", REPOSITORY / "tests" / "data" / "generic"]
MOST_BYTES = 2**20  # of a request: arguments and environment


def run(
    arguments: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    as_root: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run `boathouse` or `dbt` to its end, as `subprocess.run` does, and return what it came to.

    Permissions stop it unless it runs `as_root`, which takes that root runs the tests.

    Raises:
        TimeoutExpired: it took longer than so many seconds, and was killed.
    """
    asked = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env), "as_root": as_root}
    request = json.dumps(asked)
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        with theirs:
            files = [stdout.fileno(), stderr.fileno(), theirs.fileno()]
            socket.send_fds(_server(), [request.encode()], files)
        answer = ours.makefile()
        pid = int(answer.readline())
        ours.settimeout(timeout)
        try:
            code = int(answer.readline())
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            ours.settimeout(None)
            ours.recv(16)  # it has ended
            raise subprocess.TimeoutExpired(list(arguments), timeout) from None
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess(list(arguments), code, stdout.read(), stderr.read())


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
        os.write(answer, f"{command}\n".encode())
        _, status = os.waitpid(command, 0)
        os.write(answer, f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    os.close(answer)
    for number, file in enumerate((stdout, stderr), 1):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
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
        else:
            sys.path[0] = str(Path(program).parent)
            sys.argv = [program, *rest]
            runpy.run_path(program, run_name="__main__")
    except SystemExit as ended:
        _end(ended.code)
