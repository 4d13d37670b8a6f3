"""The commands and their options. What they do is in the core; how it looks is in `show`."""

import os
import signal
import sys
import threading
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from boathouse.cli.options import AllowShrink, Debug, Json, print_json, progress, state
from boathouse.cli.options import read_settings as _settings
from boathouse.cli.several import Several

app = typer.Typer(
    help="Boathouse: raw files in, tested marts out, in a warehouse that you own.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
quarantine_app = typer.Typer(help="What was rejected, and loading it again.", no_args_is_help=True)
app.add_typer(quarantine_app, name="quarantine")
source_app = typer.Typer(help="Setting up what is delivered.", no_args_is_help=True)
app.add_typer(source_app, name="source")
simulate_app = typer.Typer(help="Files that arrive while you watch.", no_args_is_help=True)
app.add_typer(simulate_app, name="simulate")

EXIT_REJECTS = 3
Sources = Annotated[
    list[str] | None,
    typer.Option("--source", "-s", help="Only these sources, as in `-s purchases students`."),
]


def _start_reading() -> None:
    """Start the process that reads files while this one still imports what it needs."""
    from boathouse.ingest import apart

    apart.make_ready()


def _contracts(settings: Any) -> Any:
    from boathouse.contracts import load_contracts

    return load_contracts(settings.project)


@app.command(cls=Several, epilog="Example: `boathouse generate --scale 10 --dirty 0.01`")
def generate(
    scale: Annotated[float, typer.Option(help="1 is about 100,000 session events.")] = 1.0,
    days: Annotated[int, typer.Option(help="How many days of data.")] = 14,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 42,
    dirty: Annotated[float, typer.Option(help="Share of records made faulty, 0 to 1.")] = 0.0,
    until: Annotated[
        str | None, typer.Option(help="Last day of the data [default: yesterday].")
    ] = None,
    source: Sources = None,
    if_empty: Annotated[
        bool, typer.Option(help="Only if nothing waits and nothing was ever loaded.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write believable raw files for every source into landing."""
    from boathouse import demo
    from boathouse.errors import UsageError
    from boathouse.ingest import deliveries

    settings = _settings()
    contracts = _contracts(settings)
    wanted = _distinct(source)
    unknown = [each for each in wanted if each not in contracts]
    if unknown:
        raise UsageError(
            f"There is no source {unknown[0]!r}.", hint=f"Sources: {', '.join(contracts)}."
        )
    is_used = settings.archive_folder.exists()
    if if_empty and is_used:
        return
    if if_empty:
        waiting = deliveries.find(settings, contracts)
        waiting.require_reached()
        if waiting.count:
            return
    try:
        last = date.fromisoformat(until) if until else None
    except ValueError:
        raise UsageError(f"--until {until!r} is no date.", hint="Write it YYYY-MM-DD.") from None
    options = demo.DemoOptions(scale=scale, days=days, seed=seed, dirty=dirty, until=last)
    files = demo.generate(settings.landing_folder, list(wanted or contracts), options)
    if json:
        print_json([{"source": f.source, "file": f.path, "records": f.rows} for f in files])
        return
    records = sum(file.rows for file in files)
    typer.echo(
        f"Wrote {len(files):,} demo files with {records:,} records into {settings.landing_folder}."
    )


@app.command(cls=Several, epilog="Example: `boathouse load --source purchases students --strict`")
def load(
    source: Sources = None,
    strict: Annotated[bool, typer.Option(help="Exit 3 if anything was rejected.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Load what waits in landing into the lake."""
    _start_reading()
    from boathouse.cli import show
    from boathouse.ingest import originals
    from boathouse.ingest.loader import load as load_files

    settings = _settings()
    with progress("Loading files") as update:
        report = load_files(
            settings, _contracts(settings), sources=_distinct(source), on_progress=update
        )
    print_json(report.as_dict()) if json else show.load_report(report)
    originals.carry_off(settings)
    report.require_reached()
    if strict and report.has_rejects:
        raise typer.Exit(EXIT_REJECTS)


@app.command(cls=Several, epilog="Example: `boathouse build --select fct_sessions+ dim_players`")
def build(
    select: Annotated[
        list[str] | None,
        typer.Option("--select", "-s", help="What to build: one dbt selector or several."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="dbt selectors of what to leave out.")
    ] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Build incremental models anew.")
    ] = False,
    allow_shrink: AllowShrink = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Build and test the models with dbt, as the one writer."""
    from dataclasses import asdict

    from boathouse.build import run_build
    from boathouse.build.report import ALLOW_SHRINK
    from boathouse.cli import show

    settings = _settings()
    with progress("Building and testing") as update:
        report = run_build(
            settings,
            select=_words(select),
            exclude=_words(exclude),
            full_refresh=full_refresh,
            command=f"boathouse build{ALLOW_SHRINK if allow_shrink else ''}",
            on_progress=lambda node: update(node.index, node.total),
        )
    print_json(asdict(report)) if json else show.build_report(report)
    report.require_green()


def _distinct(values: list[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values or ()))


def _words(values: list[str] | None) -> list[str]:
    return [word for value in values or [] for word in value.split()]


@app.command(epilog="Example: `boathouse release`")
def release(allow_shrink: AllowShrink = False, json: Json = False, debug: Debug = False) -> None:
    """Check the marts and put them before the readers, in one atomic step."""
    from dataclasses import asdict

    from boathouse.cli import show
    from boathouse.release import push
    from boathouse.release import release as release_marts

    settings = _settings()
    report = release_marts(settings, allow_shrink=allow_shrink)
    is_pushed = push(settings, is_asked=True)
    if json:
        print_json({**asdict(report), "is_pushed": is_pushed})
        return
    show.release_report(report, settings.warehouse)
    show.pushed(settings.releases if is_pushed else "")


@app.command(epilog="Example: `boathouse run`")
def run(
    strict: Annotated[bool, typer.Option(help="Exit 3 if anything was rejected.")] = False,
    allow_shrink: AllowShrink = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Do the main job: load, build, release."""
    _start_reading()
    from boathouse import pipeline
    from boathouse.cli import show

    settings = _settings()
    with progress("Loading files") as loading, progress("Building and testing") as building:
        report = pipeline.run(
            settings,
            on_load=loading,
            on_build=lambda node: building(node.index, node.total),
            allow_shrink=allow_shrink,
        )
    print_json(report.as_dict()) if json else show.run_report(report, settings)
    report.load.require_reached()
    if strict and report.load.has_rejects:
        raise typer.Exit(EXIT_REJECTS)


@app.command(epilog="Example: `boathouse watch --interval 2`")
def watch(
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 0.5,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Do the main job whenever files arrive, building only what they touch."""
    _start_reading()
    from boathouse.cli import show
    from boathouse.watch import watch as watch_landing

    settings = _settings()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it outlives the terminal it was started in
    stop = _stop_on_ctrl_c(
        "" if json else "Ending. A run that has begun is finished; Ctrl-C again stops it.\n"
    )

    def on_run(report: Any) -> None:
        if json:
            print_json(report.as_dict())
        elif report.has_changes:
            show.watch_line(report)
        sys.stdout.flush()

    def on_error(error: Any) -> None:
        typer.echo(f"✗ {error}", err=True)

    if not json:
        where = " and ".join(filter(None, (str(settings.landing_folder), settings.landing)))
        typer.echo(f"Watching {where} every {interval:g} s. Ctrl-C ends it.")
    watch_landing(settings, interval=interval, stop=stop, on_run=on_run, on_error=on_error)


def _stop_on_ctrl_c(told: str = "") -> threading.Event:
    """Return an event that is set when the process is asked to end; a second Ctrl-C is obeyed."""
    stop = threading.Event()

    def end(number: int, _: Any) -> None:
        stop.set()
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            with suppress(OSError):  # the terminal may be gone
                # Not by `print`, in the middle of which the signal may have come.
                os.write(1, told.encode())

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    return stop


@simulate_app.command("vehicles", epilog="Example: `boathouse simulate vehicles --rate 20`")
def simulate_vehicles(
    rate: Annotated[
        float, typer.Option(min=0.01, help="Files per second, of events and of statuses in turn.")
    ] = 4.0,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Stop after this time [default: at Ctrl-C].")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Let a fleet of cars write files into landing, for `boathouse watch` to load."""
    from boathouse.demo.vehicles import simulate

    settings = _settings()
    stop = _stop_on_ctrl_c()
    if not json:
        where = settings.landing_folder
        typer.echo(f"Writing {rate:g} files per second into {where}. Ctrl-C ends it.")
    files = records = 0
    for file in simulate(settings.landing_folder, rate=rate, stop=stop, seconds=seconds):
        files, records = files + 1, records + file.rows
    if json:
        print_json({"files": files, "records": records})
    else:
        typer.echo(f"Wrote {files:,} files with {records:,} records.")


@app.command(epilog="Example: `boathouse releases`")
def releases(json: Json = False, debug: Debug = False) -> None:
    """List the releases that are kept."""
    from dataclasses import asdict

    from boathouse.cli import show
    from boathouse.release import list_releases

    kept = list_releases(_settings())
    print_json([asdict(item) for item in kept]) if json else show.releases(kept)


@app.command(epilog="Example: `boathouse pull --follow`")
def pull(
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on, and take each new release.")
    ] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between looks.")] = 5.0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Take the newest release from BOATHOUSE_RELEASES, to be read here without the lake."""
    from dataclasses import asdict

    from boathouse.cli import show
    from boathouse.release import pull as pulling

    settings = _settings()

    def tell(report: Any) -> None:
        print_json(asdict(report)) if json else show.pulled(report, settings)
        sys.stdout.flush()

    if not follow:
        tell(pulling.pull(settings))
        return
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # it outlives the terminal it was started in
    stop = _stop_on_ctrl_c()
    if not json:
        typer.echo(f"Following {settings.releases} every {interval:g} s. Ctrl-C ends it.")
    pulling.follow(
        settings,
        interval=interval,
        stop=stop,
        on_pull=tell,
        on_error=lambda error: typer.echo(f"✗ {error}", err=True),
    )


@app.command(epilog="Example: `boathouse rollback 7`")
def rollback(
    release_id: Annotated[
        int | None, typer.Argument(help="Which one [default: the one before].")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Put an earlier release back, in one atomic step."""
    from dataclasses import asdict

    from boathouse.release import rollback as roll_back

    info = roll_back(_settings(), release_id)
    if json:
        print_json(asdict(info))
    else:
        typer.echo(
            f"Release {info.release_id} is current again. "
            "`boathouse release` goes forward to what the lake holds."
        )


@app.command(
    epilog="Example: `boathouse sql --lake --as-of 2026-03-01 'select count(*) from raw.purchases'`"
)
def sql(
    query: Annotated[
        str | None, typer.Argument(help="The query; `-` reads it from standard input.")
    ] = None,
    lake: Annotated[bool, typer.Option("--lake", help="Ask the lake, not the release.")] = False,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="The lake as of this time (UTC).")
    ] = None,
    version: Annotated[
        int | None, typer.Option("--version", help="The lake as of this snapshot.")
    ] = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Ask the released warehouse, or the lake as it is or was; without a query, a shell."""
    from boathouse.cli import shell
    from boathouse.query import open_for_queries

    settings = _settings()
    with open_for_queries(settings, on_lake=lake, version=version, as_of=as_of) as con:
        if query is None and sys.stdin.isatty():
            shell.interact(con, settings.work / "sql_history")
            return
        text = sys.stdin.read() if query in (None, "-") else str(query)
        shell.answer(con, text, "json" if json else "csv" if csv else "table")


@quarantine_app.command(
    "list", cls=Several, epilog="Example: `boathouse quarantine list --source purchases`"
)
def quarantine_list(source: Sources = None, json: Json = False, debug: Debug = False) -> None:
    """Show what was rejected, and why."""
    from boathouse.cli import show
    from boathouse.ingest.quarantine import waiting

    found = waiting(_settings(), _distinct(source))
    print_json(found.as_dict()) if json else show.quarantine(found)


@quarantine_app.command("replay", cls=Several, epilog="Example: `boathouse quarantine replay`")
def quarantine_replay(
    source: Sources = None,
    strict: Annotated[bool, typer.Option(help="Exit 3 if anything stays rejected.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Load rejected rows and files again, after a fix to the data or the contract."""
    from boathouse.cli import show
    from boathouse.ingest.quarantine import replay, waiting

    settings = _settings()
    report = replay(settings, _contracts(settings), _distinct(source))
    print_json(report.as_dict()) if json else show.load_report(report)
    report.require_reached()
    left = waiting(settings, _distinct(source))
    if strict and (left.rows or left.files):
        raise typer.Exit(EXIT_REJECTS)


@source_app.command("new", epilog="Example: `boathouse source new orders_2026-01-31.csv -d shop`")
def source_new(
    files: Annotated[list[Path], typer.Argument(help="Samples of what will be delivered.")],
    domain: Annotated[
        str | None, typer.Option("--domain", "-d", help="Folder of models [default: the name].")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="Name of the source [default: the file's].")
    ] = None,
    trial: Annotated[
        bool, typer.Option(help="Load and build the samples in a home that is thrown away.")
    ] = True,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write the contract and the staging model for files like these, one for each name."""
    from dataclasses import asdict

    from boathouse.cli import show
    from boathouse.scaffold import new_sources
    from boathouse.trial import try_out

    settings = _settings()
    made, refused = new_sources(settings, files, domain=domain, name=name)
    if refused and not made:
        raise refused[0]
    if not json:
        for each in made:
            show.scaffold(each)
        if trial:
            typer.echo("Trying it: samples are loaded and built in a home that is thrown away …")
    tried = try_out(settings, made) if trial else None
    if json:
        told = [{**asdict(each), "trial": tried and asdict(tried)} for each in made]
        print_json(told if len(files) > 1 else told[0])
    else:
        if tried is not None:
            show.trial(tried)
        show.after_scaffolds(made, settings.landing_folder)
    for error in refused:
        typer.echo(f"✗ {error}", err=True)
    if refused or (tried is not None and tried.problems):
        raise typer.Exit(1)


@app.command(epilog="Example: `boathouse status --json`")
def status(json: Json = False, debug: Debug = False) -> None:
    """Show every source, the last build and the current release."""
    from boathouse.cli import show
    from boathouse.status import collect

    found = collect(_settings())
    print_json(found.as_dict()) if json else show.status(found)


def _version(value: bool) -> None:
    if value:
        from boathouse import __version__

        typer.echo(f"boathouse {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version)
    ] = False,
    env: Annotated[
        str, typer.Option("--env", help="Work in this environment [default: BOATHOUSE_ENV].")
    ] = "",
) -> None:
    """Boathouse: raw files in, tested marts out, in a warehouse that you own."""
    del version
    state.env = env
