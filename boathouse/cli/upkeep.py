"""The commands that keep a warehouse in order; what they do is in the core."""

from pathlib import Path
from typing import Annotated

import typer

from boathouse.cli.commands import app
from boathouse.cli.options import Debug, Json, print_json, read_settings


@app.command(epilog="Example: `boathouse maintain --dry-run`")
def maintain(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Keep the lake small and quick: merge files, expire snapshots, delete what is not used."""
    from boathouse.cli import show
    from boathouse.maintain import maintain as keep_in_order

    report = keep_in_order(read_settings(), dry_run=dry_run)
    print_json(report.as_dict()) if json else show.maintenance(report)


@app.command(epilog="Example: `boathouse audit --share 0.05`")
def audit(
    share: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the keys of each model that are compared."),
    ] = 0.01,
    seconds: Annotated[
        float, typer.Option(min=0, help="Most to spend; the rest comes first next time.")
    ] = 300,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Compute some keys of every model from everything, and compare with what the model has.

    Keys that changed since the last audit are compared as well. A model that differs is made anew
    by the next run, and nothing is released before; the exit code is then 1.
    """
    from boathouse.audit import audit as compare
    from boathouse.cli import show

    report = compare(read_settings(), share=share, seconds=seconds)
    print_json(report.as_dict()) if json else show.audit(report)
    if not report.is_right:
        raise typer.Exit(1)


@app.command(epilog="Example: `boathouse backup /mnt/backups/monday.tar.gz`")
def backup(
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE_OR_FOLDER]",
            help="A new folder, or a new .tar, .tar.gz or .tgz [default: a folder in backups/].",
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Copy all that is needed to go on as before; a build may run meanwhile."""
    from boathouse.backup import backup as make
    from boathouse.cli import show

    report = make(read_settings(), target)
    print_json(report.as_dict()) if json else show.backup(report)


@app.command(epilog="Example: `boathouse restore /mnt/backups/monday.tar.gz --into data-of-monday`")
def restore(
    source: Annotated[
        Path, typer.Argument(metavar="FROM", help="What `boathouse backup` has written.")
    ],
    into: Annotated[
        Path | None, typer.Option("--into", help="The home to make [default: BOATHOUSE_HOME].")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Set a home with data aside.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a home of a backup, after checking every file."""
    from boathouse.backup import restore as bring_back
    from boathouse.cli import show

    report = bring_back(read_settings(), source, into=into, overwrite=overwrite)
    print_json(report.as_dict()) if json else show.restored(report)


@app.command(epilog="Example: `boathouse adopt`")
def adopt(json: Json = False, debug: Debug = False) -> None:
    """Go on from the catalogue as it is, when home or files do not vouch for it.

    After an older catalogue was put back by hand, commands that write refuse and name this one. All
    files that the catalogue names must be there.
    """
    from boathouse import identity
    from boathouse.adoption import adopt as take

    settings = read_settings()
    done = take(settings)
    if json:
        print_json(done.as_dict())
        return
    if done.was_refused:
        typer.echo(f"Overlooked: {done.was_refused}")
    typer.echo(
        f"Going on from snapshot {done.snapshot} of {identity.shown(done.lake)} in {done.home}. "
        "`boathouse run` builds and releases what is there."
    )


@app.command(epilog="Example: `boathouse doctor --deep`")
def doctor(
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every file, for what a disk has changed.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Say what is wrong with the warehouse and what to do; changes nothing."""
    from boathouse.cli import show
    from boathouse.doctor import diagnose

    found = diagnose(read_settings(), is_deep=deep)
    print_json(found.as_dict()) if json else show.diagnosis(found)
    if not found.is_well:
        raise typer.Exit(1)
