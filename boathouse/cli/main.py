"""Runs a command and turns what goes wrong into a message and an exit code.

0 done, 1 failed, 2 wrong usage, 3 rejects in strict mode, 130 interrupted.
"""

import errno
import json
import sys

import typer
from rich.console import Console
from rich.text import Text

from boathouse.cli.options import state
from boathouse.errors import BoathouseError

EXIT_INTERRUPTED = 130
_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from boathouse.cli import environments, keys, upkeep  # noqa: F401  # their commands join those of `app`
    from boathouse.cli.commands import app

    try:
        code = app(standalone_mode=False)
        if code == EXIT_INTERRUPTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
    except BoathouseError as error:
        code = _tell(error.message, error.hint, error.exit_code)
        if state.debug:
            raise
        if code == EXIT_INTERRUPTED:
            _tell_interrupted()
    except (KeyboardInterrupt, typer.Abort):
        code = _tell_interrupted()
    except BrokenPipeError:
        # Whoever read our output has gone, as in `| head`; Python must not complain at exit.
        sys.stderr.close()
        code = 1
    except Exception as error:
        code = _unexpected(error)
        if state.debug:
            raise
    sys.exit(code if isinstance(code, int) else 0)


def _tell_interrupted() -> int:
    hint = "Nothing is half done: run the same command again and it goes on."
    return _tell("Interrupted.", hint, EXIT_INTERRUPTED)


def _unexpected(error: Exception) -> int:
    if isinstance(error, typer.TyperException):
        error.show()  # type: ignore[attr-defined]  # typer's base class does not declare it
        return int(error.exit_code)
    text = str(error)
    if getattr(error, "errno", None) in _NO_SPACE or "No space left" in text:
        return _tell(
            f"There is no space left: {text}",
            "Make room (old files in archive/ and releases/ are the first to look at) and run "
            "the same command again: nothing is half done.",
            1,
        )
    return _tell(
        f"Something unexpected went wrong: {type(error).__name__}: {text}",
        "Run it again with --debug for the details; nothing is half done.",
        1,
    )


def _tell(message: str, hint: str, code: int) -> int:
    if state.json:
        print(json.dumps({"error": message, "hint": hint, "exit_code": code}))
        return code
    console = Console(stderr=True, highlight=False)
    console.print(Text("✗ ", style="bold red") + Text(message), soft_wrap=True)
    if hint:
        console.print(Text(f"  {hint}", style="dim"), soft_wrap=True)
    return code
