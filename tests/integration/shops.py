"""A small shop whose models a user might have written: plain SQL, and only a key declared.

`whole` is what its marts should hold: the same SQL over all of raw, without dbt and without any
state.
"""

import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import houses
from support.homes import REPOSITORY, clone, copy_project

from boathouse import lake
from boathouse.contracts import load_contracts
from boathouse.ingest.loader import load
from boathouse.settings import Settings

SHOP = REPOSITORY / "tests" / "projects" / "shop"
HEADERS = {
    "shop_orders": "id,customer,ordered_on,status,updated_at",
    "shop_payments": "id,order_id,cents",
    "shop_customers": "id,name",
}
_REF = re.compile(r"\{\{\s*ref\('(\w+)'\)\s*\}\}")
_SOURCE = re.compile(r"\{\{\s*source\('raw',\s*'(\w+)'\)\s*\}\}")
# What a model that combines its rows says, as plain SQL.
_PLAIN = re.compile(r"\{#- plain: (.*?) -#\}", re.DOTALL)
CONFIG = re.compile(r"\{\{\s*config\(.*?\)\s*\}\}", re.DOTALL)


def new(folder: Path) -> Settings:
    """Return settings for a shop without deliveries, with a project of its own."""
    project = copy_project(folder / "project", [])
    for part in ("models", "snapshots"):
        shutil.copytree(SHOP / part, project / part, dirs_exist_ok=True)
    return Settings(project=project, home=folder / "data", settle_seconds=0, threads=1)


def copy(template: Settings, folder: Path) -> Settings:
    """Return settings for a copy of a shop, with a project of its own, which a test may change."""
    mine = clone(template, folder / "data")
    project = shutil.copytree(template.project, folder / "project")
    return mine.model_copy(update={"project": project})


def deliver(settings: Settings, source: str, name: str, rows: Iterable[Sequence[Any]]) -> None:
    """Put a file with these rows into landing; None is an empty cell."""
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
    text = "\n".join([HEADERS[source], *lines]) + "\n"
    houses.put(settings, source, f"{source.removeprefix('shop_')}_{name}.csv", text.encode())


def load_all(settings: Settings) -> None:
    """Load what waits in landing, and build nothing."""
    load(settings, load_contracts(settings.project))


def order(
    number: int, customer: int, *, day: int = 1, status: str = "placed", hour: int = 8
) -> Any:
    """Return an order as it is delivered."""
    return (number, customer, f"2024-01-{day:02}", status, f"2024-02-01 {hour:02}:00:00")


def write_model(settings: Settings, name: str, text: str) -> Path:
    """Write a model of the shop's marts."""
    path = settings.project / "models" / "marts" / "shop" / f"{name}.sql"
    path.write_text(text)
    return path


def edit(settings: Settings, name: str, before: str, after: str) -> None:
    """Change the text of a model or YAML file of the project."""
    (path,) = (settings.project / "models").rglob(name)
    text = path.read_text()
    assert before in text, f"{before!r} is not in {name}"
    path.write_text(text.replace(before, after))


def whole(settings: Settings, *models: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows that models should have, sorted: their SQL over all of raw."""
    with lake.connect(settings) as opened:
        return {name: ordered(opened.rows(_inlined(settings, name))) for name in models}


def _inlined(settings: Settings, name: str) -> str:
    (path,) = (settings.project / "models").rglob(f"{name}.sql")
    text = path.read_text()
    plain = _PLAIN.search(text)
    text = plain[1] if plain else CONFIG.sub("", text)
    text = _SOURCE.sub(lambda found: f"lake.raw.{found[1]}", text)
    return _REF.sub(lambda found: f"({_inlined(settings, found[1])}) as {found[1]}", text)


def built(settings: Settings, *models: str, schema: str = "marts") -> dict[str, Any]:
    """Return the rows that models have in the lake, sorted."""
    with lake.connect(settings) as opened:
        return {name: ordered(opened.rows(f"from lake.{schema}.{name}")) for name in models}


def released(settings: Settings, *models: str) -> Mapping[str, Any]:
    """Return the rows that readers see, sorted."""
    marts = houses.released_marts(settings)
    return {name: ordered(marts[name]) for name in models}


def ordered(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return rows in an order that does not depend on how they came."""
    return sorted(rows, key=lambda values: [(value is None, str(value)) for value in values])
