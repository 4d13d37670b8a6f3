"""How reports look on a terminal. Every function prints, none computes."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from boathouse import disk

if TYPE_CHECKING:  # the core is imported by the command that needs it: starting stays quick
    from boathouse.api_keys import ApiKey
    from boathouse.audit import AuditReport
    from boathouse.backup import BackupReport, RestoreReport
    from boathouse.build import BuildReport
    from boathouse.doctor import Diagnosis
    from boathouse.ingest.quarantine import Quarantine
    from boathouse.ingest.report import LoadReport
    from boathouse.maintain import MaintenanceReport
    from boathouse.pipeline import RunReport
    from boathouse.release import ReleaseInfo, ReleaseReport
    from boathouse.release.pull import PullReport
    from boathouse.scaffold import Scaffold
    from boathouse.settings import Settings
    from boathouse.status import Status
    from boathouse.trial import Trial

# Not a terminal: wide enough that nobody's log or test sees words cut in two.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 180)
MOST_PROBLEMS_SHOWN = 10
MOST_BLOCKERS_SHOWN = 10
MOST_EXAMPLE_SHOWN = 60
_KINDS = {"test": "data test", "unit_test": "unit test"}


def _table(title: str, *columns: str) -> Table:
    """Make a table; a column whose name starts with `#` holds numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in columns:
        if name.startswith("#"):
            table.add_column(name[1:], justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold")
    return table


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _time(value: datetime | None) -> str:
    return "never" if value is None else value.strftime("%Y-%m-%d %H:%M")


def _plural(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def load_report(report: LoadReport) -> None:
    """Print what a load did."""
    if not report.sources:
        here = "" if report.trouble is None else " here"
        console.print(f"Nothing to load: landing{here} holds no new files.")
    else:
        table = _table(
            "Loaded", "source", "#files", "#rejected files", "#rows read", "#loaded", "#rejected"
        )
        for source, counts in report.sources.items():
            table.add_row(
                source,
                _number(counts.files_loaded),
                _number(counts.files_rejected),
                _number(counts.rows_read),
                _number(counts.rows_loaded),
                _number(counts.rows_rejected),
            )
        console.print(table)
    for source, counts in report.sources.items():
        if counts.files_duplicate:
            files = _plural(counts.files_duplicate, "file")
            console.print(f"{source}: {files} seen before, archived and not loaded again.")
        if counts.files_recovered:
            files = _plural(counts.files_recovered, "file")
            console.print(f"{source}: {files} loaded by an interrupted run, now archived.")
    problems = [p for p in report.problems if p.status != "duplicate"]
    problems.sort(key=lambda problem: problem.status == "loaded")  # whole files first
    for problem in problems[:MOST_PROBLEMS_SHOWN]:
        mark = Text("✗ " if problem.status == "rejected" else "! ", style="yellow")
        console.print(mark + Text(f"{problem.source}/{problem.file}: {problem.reason}"))
    if len(problems) > MOST_PROBLEMS_SHOWN:
        more = len(problems) - MOST_PROBLEMS_SHOWN
        console.print(f"  … and {_plural(more, 'more file')}.")
    if problems:
        console.print("  See `boathouse quarantine list`; after a fix, `… quarantine replay`.")
    for name in report.left_alone:
        console.print(f"Left alone, still being written: {name}", markup=False)
    for name in report.unknown:
        console.print(f"Left alone, belongs to no source: landing/{name}", markup=False)


def build_report(report: BuildReport) -> None:
    """Print what a build did."""
    counts = ", ".join(
        _plural(sum(by_status.values()), _KINDS.get(kind, kind))
        for kind, by_status in report.counts.items()
    )
    console.print(
        f"Build {report.build_id}: {counts}; {'all green' if report.is_green else 'not green'} "
        f"({report.seconds:.1f} s, dbt's start {report.start_seconds:.1f} s)"
    )


def release_report(report: ReleaseReport, warehouse: object) -> None:
    """Print what a release did."""
    if not report.is_new:
        console.print(f"Release {report.release.release_id} stays: {report.reason}")
        return
    how = Counter(mart.how for mart in report.marts)
    marts = ", ".join(f"{count} {way}" for way, count in how.items())
    seconds = sum(report.seconds.values())
    console.print(
        f"Released: {report.release.release_id} → {warehouse} (marts: {marts}; {seconds:.1f} s)"
    )
    _lines("Not in the project any more, left out:", report.left_out)
    _lines(_DAMAGED, report.damaged)


def pushed(address: str) -> None:
    """Print to where a release has gone, if it has."""
    if address:
        console.print(f"Pushed to {address}.", markup=False)


def pulled(report: PullReport, settings: Settings) -> None:
    """Print what a pull has brought."""
    release = report.release
    if not report.is_new:
        console.print(f"Release {release.release_id} is here already.")
        return
    console.print(
        f"{datetime.now():%H:%M:%S}  release {release.release_id} of "
        f"{release.released_at:%Y-%m-%d %H:%M} UTC → {settings.warehouse} "
        f"({disk.shown(report.bytes_taken)} taken; {report.seconds:.1f} s)",
        markup=False,
    )


def run_report(report: RunReport, settings: Settings) -> None:
    """Print what the main job did, and what to do next."""
    load_report(report.load)
    if report.build is not None:
        build_report(report.build)
    if report.release is not None:
        release_report(report.release, settings.warehouse)
    pushed(settings.releases if report.is_pushed else "")
    seconds = ", ".join(f"{step} {took:.1f} s" for step, took in report.seconds.items())
    if not report.has_changes:
        console.print(f"Nothing changed. ({seconds})")
        return
    console.print(f"Done. ({seconds})")
    console.print(
        "\n[bold]Next[/bold]\n"
        "  boathouse status                              how fresh everything is\n"
        '  boathouse sql "from marts.rpt_sessions_by_country limit 10"\n'
        "  boathouse watch                               do this whenever files arrive\n"
        "  docs/                                         add a source, contracts, time travel"
    )


_DAMAGED = "The release before was damaged on the disk, and was made anew from the lake:"


def watch_line(report: RunReport) -> None:
    """Print what one run of `watch` did, in a line."""
    loaded = sum(counts.rows_loaded for counts in report.load.sources.values())
    rejected = sum(counts.rows_rejected for counts in report.load.sources.values())
    files = sum(counts.files_loaded for counts in report.load.sources.values())
    parts = [f"{_plural(files, 'file')}, {_plural(loaded, 'row')} loaded, {rejected:,} rejected"]
    if report.release is not None:
        parts.append(f"release {report.release.release.release_id}")
    if report.is_pushed:
        parts.append("pushed")
    parts.append(f"{report.seconds['all']:.1f} s")
    console.print(f"{datetime.now():%H:%M:%S}  {' · '.join(parts)}")
    _lines(_DAMAGED, report.release.damaged if report.release is not None else ())
    for problem in [p for p in report.load.problems if p.status != "duplicate"][:3]:
        console.print(f"  ! {problem.source}/{problem.file}: {problem.reason}", markup=False)


def quarantine(waiting: Quarantine) -> None:
    """Print what was rejected and waits."""
    if not waiting.rows and not waiting.files:
        console.print("Nothing is in quarantine.")
        return
    if waiting.rows:
        table = _table("Rejected rows", "source", "#rows", "#files", "why", "for example")
        for group in waiting.rows:
            table.add_row(
                group.source,
                _number(group.rows),
                _number(group.files),
                Text("; ".join(group.reasons)),
                Text(f"{group.example_file}, row {group.example_row}"),
            )
        console.print(table)
    if waiting.files:
        table = _table("Rejected files", "source", "file", "why")
        for file in waiting.files:
            table.add_row(file.source, Text(file.name), Text(file.reason))
        console.print(table)
    console.print("Mend the data or the contract, then run `boathouse quarantine replay`.")


def status(state: Status) -> None:
    """Print one look at everything."""
    table = _table(
        "Sources",
        "source",
        "domain",
        "#waiting",
        "last file",
        "last loaded (UTC)",
        "newest event (UTC)",
        "#rows",
        "#rejected rows",
        "#rejected files",
    )
    for source in state.sources:
        table.add_row(
            source.source,
            source.domain,
            _number(source.files_waiting),
            Text(source.last_file or ""),
            _time(source.last_loaded_at),
            _time(source.last_event_at) if source.last_event_at else "",
            _number(source.rows),
            _number(source.rows_rejected),
            _number(source.files_rejected),
        )
    console.print(table)
    if state.landing_trouble:
        console.print(
            f"Of what waits only the files here are known: {state.landing_trouble}", markup=False
        )
    if state.pulled_from:
        console.print(
            f"This home has no lake: its releases come from {state.pulled_from}, and the rest is "
            "what the current one tells. `boathouse pull` takes the newest.",
            markup=False,
        )
    if state.last_build is None:
        console.print("Last build: none yet. Run `boathouse run`.")
    else:
        last = state.last_build
        failed = f", failed: {', '.join(last.failed)}" if last.failed else ""
        console.print(
            f"Last build: {last.build_id}, {last.status}, {_time(last.started_at)} UTC{failed}"
        )
        if last.is_interrupted:
            console.print(
                f"  `{last.command}` was stopped or killed before it was done. "
                "`boathouse run` does the rest.",
                markup=False,
            )
    _lines("Not releasable:", state.blockers, MOST_BLOCKERS_SHOWN)
    current = state.current_release
    console.print(
        "Current release: none yet."
        if current is None
        else f"Current release: {current.release_id}, {_time(current.released_at)} UTC"
    )
    if state.writer:
        console.print(f"Writing now: {state.writer}", markup=False)


def _lines(title: str, lines: Sequence[str], most: int | None = None) -> None:
    if lines:
        console.print(title)
    for line in lines[:most]:
        console.print(f"  {line}", markup=False)
    if most is not None and len(lines) > most:
        console.print(f"  … and {len(lines) - most:,} more; `--json` has them all.")


def scaffold(made: Scaffold) -> None:
    """Print what was set up for a new source."""
    table = _table(f"{made.source}: {_plural(made.rows, 'record')}", "column", "type", "example")
    for column in made.columns:
        kind = column.data_type + (", required" if column.is_required else "")
        table.add_row(Text(column.name), kind, Text((column.example or "")[:MOST_EXAMPLE_SHOWN]))
    console.print(table)
    _lines("Not typed", [f"{column.name}: {column.note}" for column in made.columns if column.note])
    _lines("Written", [str(path) for path in made.files])


def trial(tried: Trial) -> None:
    """Print what became of the samples of new sources."""
    if tried.problems:
        _lines("Tried, and not as it should be", tried.problems)
        return
    for source, rows in tried.rows_loaded.items():
        console.print(f"Tried: {_plural(rows, 'record')} of {source} loaded, the same in staging.")
    console.print(f"{_plural(tried.tests, 'test')} passed.\n")


def after_scaffolds(made: Sequence[Scaffold], landing: Path) -> None:
    """Print how to go on from new sources."""
    console.print("Read them and say what you know better: what is required, ranges, descriptions.")
    for each in made:
        folder = quote(f"{landing / each.source}/")
        samples = " ".join(quote(str(sample)) for sample in each.samples)
        console.print(f"Then: mkdir -p {folder} && cp {samples} {folder}", soft_wrap=True)
    console.print("And: boathouse run")


def releases(kept: Iterable[ReleaseInfo]) -> None:
    """Print the kept releases."""
    kept = list(kept)
    if not kept:
        console.print("There is no release yet. Run `boathouse run`.")
        return
    table = _table("Releases", "", "#release", "released (UTC)", "#lake snapshot", "#build", "#MB")
    for item in kept:
        table.add_row(
            "→" if item.is_current else "",
            str(item.release_id),
            _time(item.released_at),
            str(item.lake_snapshot),
            str(item.build_id),
            f"{item.size_bytes / 1e6:,.1f}",
        )
    console.print(table)


def audit(report: AuditReport) -> None:
    """Print what an audit compared, and each key that differs with both of its rows."""
    table = _table("Audit", "model", "#keys", "#differ", "#seconds", "")
    for each in report.models:
        keys = "all" if each.is_whole and not each.skipped else _number(each.keys)
        told = f"not compared: {each.skipped}" if each.skipped else ""
        seconds = "" if each.skipped else f"{each.seconds:.1f}"
        table.add_row(each.model, keys, _number(each.differences), seconds, told)
    console.print(table)
    for each in report.models:
        for difference in each.shown:
            console.print(f"\n[bold]{each.model}[/bold] {_values(difference.key)}", highlight=False)
            for title, rows in (("has", difference.has), ("should have", difference.should_have)):
                shown = [_values(row) for row in rows] or ["no row"]
                console.print(Text("\n".join(f"  {title:11}  {text}" for text in shown)))
    if report.is_right:
        console.print("No difference.")
    else:
        console.print("\nThese models are made anew by the next `boathouse run`.")


def _values(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in row.items())


def maintenance(report: MaintenanceReport) -> None:
    """Print what maintenance did, or would do."""
    console.print("This would be done:" if report.dry_run else "Done:")
    _counted("rows moved from the catalogue into files", report.flushed)
    console.print(f"  {_plural(len(report.compacted), 'table')} with many small files merged")
    _counted("rows deleted that nobody needs any more", report.pruned)
    console.print(
        f"  {_plural(report.snapshots_expired, 'snapshot')} expired, {report.snapshots_kept:,} kept"
    )
    console.print(
        f"  {_plural(report.files_removed, 'unused file')} and "
        f"{_plural(len(report.orphans_removed), 'orphan')} deleted "
        f"({report.bytes_freed / 1e6:,.1f} MB)"
    )
    _lines("Left behind by killed processes, or old:", report.leftovers_removed)
    if report.postponed:
        console.print(report.postponed)
    if not report.dry_run:
        console.print(
            f"Counted {report.counts_compared:,} tables at snapshots before and after: no change "
            f"({sum(report.seconds.values()):.1f} s)."
        )


def _counted(what: str, rows: Mapping[str, int]) -> None:
    tables = f" of {_plural(len(rows), 'table')}" if rows else ""
    console.print(f"  {sum(rows.values()):,} {what}{tables}")


def backup(report: BackupReport) -> None:
    """Print what a backup holds."""
    console.print(
        f"Backup: {report.path} ({_plural(report.files, 'file')}, {report.bytes / 1e6:,.1f} MB, "
        f"lake snapshot {report.lake_snapshot}, {report.seconds:.1f} s)"
    )


def restored(report: RestoreReport) -> None:
    """Print what was restored."""
    console.print(
        f"Restored: {report.home} as of {report.made_at} ({_plural(report.files, 'file')}, "
        f"lake snapshot {report.lake_snapshot}, {report.seconds:.1f} s)"
    )
    if report.set_aside:
        console.print(f"What was there before is in {report.set_aside}.")


def diagnosis(found: Diagnosis) -> None:
    """Print what the doctor found."""
    marks = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "bold red")}
    for finding in found.findings:
        mark, style = marks[finding.level]
        console.print(Text(f"{mark} ", style=style) + Text(f"{finding.area}: {finding.what}"))
        if finding.to_do:
            console.print(Text(f"  → {finding.to_do}", style="dim"))


def new_key(key: ApiKey, secret: str) -> None:
    """Print a new API key, which nobody sees again."""
    console.print(Text(f"Key {key.key_id} of {key.name}, for {_scopes(key)}, {key.rate}:\n"))
    console.print(Text(f"  {secret}\n", style="bold"), soft_wrap=True)
    console.print("Keep it: only a hash of it is stored. It counts at once.")


def api_keys(keys: Iterable[ApiKey]) -> None:
    """Print the API keys, without the keys themselves."""
    table = _table("API keys", "id", "name", "for", "most requests", "made (UTC)", "revoked (UTC)")
    for key in keys:
        times = (key.created_at, key.revoked_at or "")
        table.add_row(key.key_id, Text(key.name), _scopes(key), key.rate, *times)
    if table.rows:
        console.print(table)
    else:
        console.print("There is no key yet: `boathouse api-key create NAME` makes one.")


def revoked(key: ApiKey) -> None:
    """Print that an API key is no longer valid."""
    console.print(Text(f"Key {key.key_id} of {key.name} is no longer valid."))


def _scopes(key: ApiKey) -> str:
    return "all domains" if key.allows("*") else ", ".join(key.scopes)
