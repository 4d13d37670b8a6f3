"""Commands for environments, and for what differs between them and releases."""

import sys
from typing import Annotated

import typer

from boathouse.cli.commands import app
from boathouse.cli.options import Debug, Json, print_json, read_settings

env_app = typer.Typer(help="Lakes of their own, at a snapshot of yours.", no_args_is_help=True)
app.add_typer(env_app, name="env")

EXIT_DIFFERENT = 1
Name = Annotated[str, typer.Argument(metavar="NAME", help="Such as dev, or pr-12.")]


@env_app.command("create", epilog="Example: `boathouse env create dev`")
def create(
    name: Name,
    from_snapshot: Annotated[
        int | None,
        typer.Option("--from-snapshot", help="How the lake was then [default: as it is]."),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a lake of its own out of this one, without copying its files."""
    from boathouse import environments
    from boathouse.cli import show_diff

    made = environments.create(read_settings(of_main_home=True), name, from_snapshot=from_snapshot)
    print_json(made.as_dict()) if json else show_diff.created(made)


@env_app.command("list", epilog="Example: `boathouse env list`")
def list_(json: Json = False, debug: Debug = False) -> None:
    """List the environments of this home."""
    from boathouse import environments
    from boathouse.cli import show_diff

    found = environments.list_environments(read_settings(of_main_home=True))
    if json:
        print_json([each.as_dict() for each in found])
    else:
        show_diff.environments(found)


@env_app.command("drop", epilog="Example: `boathouse env drop dev --yes`")
def drop(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Delete an environment, with all that was loaded, built and released in it."""
    from boathouse import environments
    from boathouse.errors import UsageError

    settings = read_settings(of_main_home=True)
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("Nobody is there to be asked.", hint="Say --yes.")
        typer.confirm(f"Delete environment {name} and all that is in it?", abort=True, err=True)
    environments.drop(settings, name)
    if json:
        print_json({"dropped": name})
    else:
        typer.echo(f"Environment {name} is gone.")


@app.command(epilog="Example: `boathouse diff main dev --mart fct_sessions`")
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help="Before: a release, environment or file.")],
    b: Annotated[str, typer.Argument(metavar="B", help="After: the same.")],
    mart: Annotated[
        list[str] | None, typer.Option("--mart", "-m", help="Only this mart; may be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Most samples of each kind.")] = 3,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 when anything differs.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compare the marts of two releases: rows added, gone and changed, by column.

    A and B are numbers of releases of this home, names of environments (`main` is the home itself;
    their current release counts), or paths of released files.
    """
    from boathouse.cli import show_diff
    from boathouse.diff import compare, find_side

    settings = read_settings()
    sides = find_side(settings, a), find_side(settings, b)
    report = compare(settings, *sides, marts=mart or (), limit=limit)
    print_json(report.as_dict()) if json else show_diff.difference(report)
    if exit_code and not report.is_equal:
        raise typer.Exit(EXIT_DIFFERENT)
