"""How environments, and what differs between releases, look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text

from boathouse.cli.show import _number, _plural, _table, console

if TYPE_CHECKING:
    from boathouse.diff import DiffReport, MartDiff
    from boathouse.environments import Created, Environment

_LONGEST = 40  # characters of a value in a sample
_ADDED, _GONE, _CHANGED = "green", "red", "yellow"


def created(made: Created) -> None:
    """Print what was made, and how to work in it."""
    console.print(
        f"Environment {made.name}: the lake as of snapshot {made.from_snapshot}; "
        f"{_plural(made.files_linked, 'file')} shared with it"
        + (
            f", {_plural(made.files_copied, 'file')} copied ({made.bytes_copied / 1e6:,.1f} MB)"
            if made.files_copied
            else ""
        )
        + (
            f", {_plural(made.files_rewritten, 'file')} written anew"
            if made.files_rewritten
            else ""
        )
        + "."
    )
    if made.writer:
        console.print(
            f"! {made.writer} was writing: what it had not finished is half done here too.",
            markup=False,
        )
    lines = [
        f"  boathouse --env {made.name} run",
        f"  export BOATHOUSE_ENV={made.name}     does it for every command, and for dbt by hand",
    ]
    if made.state is not None:
        lines.append(f"  dbt build --select state:modified+ --defer --state {made.state}")
    lines.append(f"  boathouse diff main {made.name}")
    console.print("\n[bold]Next[/bold]")
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def environments(found: Iterable[Environment]) -> None:
    """Print the environments of a home."""
    table = _table(
        "Environments", "name", "#from snapshot", "made (UTC)", "#release", "#own MB", "writing now"
    )
    for each in found:
        table.add_row(
            each.name,
            str(each.from_snapshot),
            each.created_at[:16].replace("T", " "),
            _number(each.release),
            f"{each.bytes / 1e6:,.1f}",
            Text(each.writer),
        )
    if table.rows:
        console.print(table)
    else:
        console.print("There is no environment yet: `boathouse env create NAME` makes one.")


def difference(report: DiffReport) -> None:
    """Print what differs: one line for each mart, then the columns and samples of each."""
    differ = [mart for mart in report.marts if not mart.is_equal]
    equal = len(report.marts) - len(differ)
    console.print(
        Text.assemble((report.a.label, "bold"), " → ", (report.b.label, "bold")), soft_wrap=True
    )
    if not differ:
        console.print(f"Nothing differs: {_plural(equal, 'mart')} with the same rows.")
        return
    table = _table("", "mart", "#rows before", "#after", "#added", "#gone", "#changed", "columns")
    for mart in differ:
        table.add_row(
            Text(mart.name),
            _number(mart.rows_a),
            _number(mart.rows_b),
            _count(mart.rows_added, _ADDED),
            _count(mart.rows_gone, _GONE),
            _count(mart.rows_changed, _CHANGED),
            _about(mart),
        )
    console.print(table)
    for mart in differ:
        if mart.has_row_changes:
            _rows(mart)
    if equal:
        console.print(f"\n{_plural(equal, 'mart')} {'is' if equal == 1 else 'are'} equal.")


def _count(number: int, style: str) -> Text:
    return Text(f"{number:,}", style) if number else Text("")


def _about(mart: MartDiff) -> Text:
    """Return what is to be said of a mart as a whole."""
    if mart.presence != "both":
        return Text("new", _ADDED) if mart.presence == "only in b" else Text("gone", _GONE)
    if mart.is_redefined:
        return Text("macro, does something else", _CHANGED)
    parts = [Text(f"+{name}", _ADDED) for name in mart.columns_added]
    parts += [Text(f"-{name}", _GONE) for name in mart.columns_gone]
    parts += [
        Text(f"{each.name}: {each.before.lower()} → {each.after.lower()}", _CHANGED)
        for each in mart.columns_retyped
    ]
    return Text(", ").join(parts)


def _rows(mart: MartDiff) -> None:
    """Print samples of the rows that differ."""
    by = f"by {', '.join(mart.key)}" if mart.key else f"as whole rows: {mart.key_note}"
    console.print()
    console.print(Text.assemble((mart.name, "bold"), (f"  {by}", "dim")))
    if mart.columns:
        names = ", ".join(mart.key)
        table = _table("", "  column", "#changed", names, "before", "after")
        table.columns[0].no_wrap = True
        for column in mart.columns:
            for number, sample in enumerate(column.samples):
                table.add_row(
                    Text("" if number else f"  {column.name}"),
                    Text("" if number else f"{column.rows_changed:,}", _CHANGED),
                    Text(", ").join(_value(sample.key[name], "") for name in mart.key),
                    _value(sample.before, _GONE),
                    _value(sample.after, _ADDED),
                )
            if not column.samples:
                table.add_row(f"  {column.name}", Text(f"{column.rows_changed:,}", _CHANGED))
        console.print(table)
    for mark, rows, style in (("+", mart.added, _ADDED), ("-", mart.gone, _GONE)):
        for row in rows:
            line = Text(f"  {mark} ", style) + _values(row, mart.key)
            line.truncate(console.width, overflow="ellipsis")
            console.print(line)
    left = mart.rows_added + mart.rows_gone - len(mart.added) - len(mart.gone)
    if left and (mart.added or mart.gone):
        console.print(Text(f"  … and {left:,} more", "dim"))


def _values(row: dict[str, str | None], key: Iterable[str]) -> Text:
    """Return a row as text, its key first."""
    first = [name for name in key if name in row]
    names = [*first, *(name for name in row if name not in first)]
    return Text("  ").join(
        Text.assemble((f"{name} ", "dim"), _value(row[name], "")) for name in names
    )


def _value(value: str | None, style: str) -> Text:
    if value is None:
        return Text("null", f"italic dim {style}".strip())
    line = value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"
    return Text(line.replace("\n", "⏎"), style)
