"""Runs a command and turns what goes wrong into a message and an exit code.

0 done, 1 failed, 2 wrong usage, 3 rejects in strict mode, 130 interrupted. Little is imported at
the top, so that Ctrl-C while the rest is imported ends in a message, too.
"""

import json
import signal
import sys
from typing import TYPE_CHECKING

from boathouse.errors import BoathouseError, BuildError, chain

if TYPE_CHECKING:
    from boathouse.cli.options import State

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line and end the process with its exit code."""
    try:
        code = _run()
    except KeyboardInterrupt:
        code = _tell_interrupted()
    except BrokenPipeError:
        # Whoever read our output has gone, as in `| head`; Python must not complain at exit.
        sys.stderr.close()
        code = 1
    except Exception as error:
        code = _tell_error(error)
        if _state().debug:
            from boathouse.redaction import told

            print(told(error), file=sys.stderr, end="")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # there is nothing left to interrupt
    sys.exit(code)


def _run() -> int:
    """Run the command that the arguments name, and return its exit code."""
    import typer

    from boathouse.cli import environments, keys, upkeep  # noqa: F401  # their commands join those of `app`
    from boathouse.cli.commands import app

    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        raise KeyboardInterrupt from None
    if code == EXIT_INTERRUPTED:  # what typer makes of Ctrl-C
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _state() -> "State":
    from boathouse.cli.options import state

    return state


def _tell_interrupted() -> int:
    hint = "Nothing is half done: run the same command again and it goes on."
    return _tell("Interrupted.", hint, EXIT_INTERRUPTED)


def _tell_error(error: Exception) -> int:
    if _is_interruption(error):
        return _tell_interrupted()
    known = error if isinstance(error, BoathouseError) else None
    if known is None or isinstance(error, BuildError):  # of which all may have one cause below
        known = _of_surroundings(error) or known
    if known is not None:
        return _tell(known.message, known.hint, known.exit_code)
    return _unexpected(error)


def _is_interruption(error: BaseException) -> bool:
    """Return whether Ctrl-C is what an error comes from: some libraries make it one of theirs."""
    return any(
        isinstance(each, KeyboardInterrupt) or "Query interrupted" in str(each)  # DuckDB's
        for each in chain(error)
    )


def _unexpected(error: Exception) -> int:
    import typer

    if isinstance(error, typer.TyperException):
        error.show()  # type: ignore[attr-defined]  # typer's base class does not declare it
        return int(error.exit_code)
    return _tell(
        f"Something unexpected went wrong: {type(error).__name__}: {error}",
        "Run it again with --debug for the details; nothing is half done.",
        1,
    )


def _of_surroundings(error: Exception) -> BoathouseError | None:
    from boathouse.settings import current_settings
    from boathouse.surroundings import as_expected

    try:
        return as_expected(error, current_settings())
    except BoathouseError:  # there is no project here
        return None


def _tell(message: str, hint: str, code: int) -> int:
    from rich.console import Console
    from rich.text import Text

    from boathouse.redaction import without_passwords

    message, hint = without_passwords(message), without_passwords(hint)
    if _state().json:
        print(json.dumps({"error": message, "hint": hint, "exit_code": code}))
        return code
    console = Console(stderr=True, highlight=False)
    console.print(Text("✗ ", style="bold red") + Text(message), soft_wrap=True)
    if hint:
        console.print(Text(f"  {hint}", style="dim"), soft_wrap=True)
    return code
