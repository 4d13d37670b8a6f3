"""Options that may be repeated take several values, up to the next option."""

from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from boathouse.cli.several import Several, repeated

NAMES = ("--select", "-s")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("", ""),
        ("--select a", "--select a"),
        ("--select a b c", "--select a --select b --select c"),
        ("-s a b --select c d", "-s a -s b --select c --select d"),
        ("--select=a b", "--select=a --select b"),
        ("--select a --json b", "--select a --json b"),
        ("--threads 4 -s a --threads 5 x", "--threads 4 -s a --threads 5 x"),
        ("--select --json", "--select --json"),
        ("--select a -- b c", "--select a -- b c"),
        ("--selected a b", "--selected a b"),
    ],
)
def test_each_value_up_to_the_next_option_is_one_of_the_option(given: str, meant: str) -> None:
    assert repeated(given.split(), NAMES) == meant.split()


def test_value_with_blanks_stays_one() -> None:
    assert repeated(["-s", "a b", "c"], NAMES) == ["-s", "a b", "-s", "c"]


@pytest.mark.parametrize(
    "given", [["-s", "a", "b"], ["--select", "a", "-s", "b"], ["--select=a", "b"]]
)
def test_command_gets_all_values_and_its_other_options(given: list[str]) -> None:
    app = typer.Typer()

    @app.command(cls=Several)
    def show(
        select: Annotated[list[str], typer.Option("--select", "-s")], loud: bool = False
    ) -> None:
        typer.echo(f"{select} {loud}")

    assert CliRunner().invoke(app, [*given, "--loud"]).output == "['a', 'b'] True\n"
    assert CliRunner().invoke(app, ["stray", *given]).exit_code == 2
