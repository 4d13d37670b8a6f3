"""Every command of `boathouse`, as its own help knows them."""

from collections.abc import Iterator
from typing import Any

import typer

from boathouse.cli import environments, keys, upkeep  # noqa: F401  # their commands join those of `app`
from boathouse.cli.commands import app


def _commands(group: Any, *names: str) -> Iterator[tuple[str, ...]]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from _commands(command, *names, name)
        else:
            yield (*names, name)


COMMANDS = list(_commands(typer.main.get_command(app)))
