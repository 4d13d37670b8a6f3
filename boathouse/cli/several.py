"""Options that take several values at once, as dbt's do: `-s a b` means `-s a -s b`."""

from collections.abc import Collection, Sequence
from typing import Any

from typer.core import TyperCommand


class Several(TyperCommand):
    """A command without arguments, each of whose repeatable options takes all that follows it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Return what is left of the arguments, as the base class does."""
        names = [
            name for each in self.params if getattr(each, "multiple", False) for name in each.opts
        ]
        return super().parse_args(ctx, repeated(args, names))


def repeated(args: Sequence[str], names: Collection[str]) -> list[str]:
    """Return arguments with the name of an option before each of its values.

    An option has all values up to the next one, or up to `--`.
    """
    result: list[str] = []
    name, has_value = "", False
    for place, each in enumerate(args):
        if each == "--":
            return [*result, *args[place:]]
        if each.startswith("-"):
            given, equals, _ = each.partition("=")
            name, has_value = (given if given in names else ""), bool(equals)
        elif name and has_value:
            result.append(name)
        else:
            has_value = True
        result.append(each)
    return result
