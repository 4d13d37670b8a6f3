"""Options that every command takes, and what follows from them."""

import json as json_module
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

PATIENCE_SECONDS = 1.0


@dataclass
class State:
    """Which of the common options were given."""

    json: bool = False
    debug: bool = False
    env: str = ""


state = State()


def _set_json(value: bool) -> bool:
    state.json = state.json or value
    return value


def _set_debug(value: bool) -> bool:
    state.debug = state.debug or value
    return value


Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.", callback=_set_json)]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error.", callback=_set_debug)
]


AllowShrink = Annotated[
    bool,
    typer.Option("--allow-shrink", help="Release also marts that have lost many of their rows."),
]


def read_settings(*, of_main_home: bool = False) -> Any:
    """Return the settings of the environment.

    With `of_main_home` those of the home itself, whichever environment in it was chosen.
    """
    from boathouse.errors import UsageError
    from boathouse.settings import Settings

    is_named = of_main_home or state.env
    settings = Settings(env="" if of_main_home else state.env) if is_named else Settings()
    if not (settings.project / "dbt_project.yml").is_file():
        raise UsageError(
            f"BOATHOUSE_PROJECT leads to {settings.project}, which has no dbt_project.yml.",
            hint="Set it to the folder of the Boathouse repository, or unset it there.",
        )
    return settings


def print_json(value: Any) -> None:
    """Print a value as JSON; times in ISO, UTC."""
    print(json_module.dumps(value, default=_plain, ensure_ascii=False, indent=2))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a callback (done, in all) that draws a bar on a terminal after a second."""
    if state.json or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    started = time.monotonic()
    bar: Progress | None = None
    task: Any = None

    def update(done: int, total: int) -> None:
        nonlocal bar, task
        if bar is None and time.monotonic() - started > PATIENCE_SECONDS:
            bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                transient=True,
                console=_stderr(),
            )
            bar.start()
            task = bar.add_task(what, total=total)
        if bar is not None:
            bar.update(task, completed=done, total=total)

    try:
        yield update
    finally:
        if bar is not None:
            bar.stop()


def _stderr() -> Any:
    from rich.console import Console

    return Console(stderr=True)
