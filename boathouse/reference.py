"""The page that lists every source, mart and column, written from dbt's manifest.

`python -m boathouse.reference TARGET` writes it; nobody edits it by hand.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from boathouse.contracts import SOURCE_NAME
from boathouse.settings import Settings

_HEAD = """\
# Sources and marts

Every source, mart and column, generated from the descriptions in `models/` by `make docs`.
Sources are tables in the lake's schema `raw`, marts are tables in the schema `marts`, in the lake
and in the released warehouse. Times are UTC.
"""


def page(manifest: Mapping[str, Any]) -> str:
    """Return the page as Markdown: a chapter for each domain."""
    sources = [s for s in manifest["sources"].values() if s["source_name"] == SOURCE_NAME]
    marts = [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["fqn"][1] == "marts"
    ]
    domains = sorted({_domain(entry) for entry in [*sources, *marts]})
    lines = [_HEAD]
    for domain in domains:
        lines += [f"## {domain}", ""]
        for entry in sorted(sources, key=lambda entry: str(entry["name"])):
            if _domain(entry) == domain:
                lines += _entry(f"raw.{entry['name']}", _lands(entry), entry)
        for entry in sorted(marts, key=lambda entry: str(entry["name"])):
            if _domain(entry) == domain:
                lines += _entry(f"marts.{entry['name']}", entry["description"], entry)
    return "\n".join(lines).rstrip() + "\n"


def _domain(entry: Mapping[str, Any]) -> str:
    return str(entry["fqn"][2])


def _lands(source: Mapping[str, Any]) -> str:
    landing = source["config"]["meta"]["landing"]
    files = ", ".join(f"`{pattern}`" for pattern in _many(landing["files"]))
    formats = ", ".join(_many(landing["format"]))
    return f"{source['description'].strip()} Files {files} ({formats})."


def _many(value: Any) -> Iterable[str]:
    return [value] if isinstance(value, str) else value


def _entry(name: str, description: str, entry: Mapping[str, Any]) -> Iterator[str]:
    yield from (f"### {name}", "", " ".join(description.split()), "")
    yield from ("| column | type | what it is |", "| --- | --- | --- |")
    for column in entry["columns"].values():
        cells = (f"`{column['name']}`", column["data_type"] or "", column["description"])
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
    yield ""


def write(settings: Settings, target: Path) -> None:
    """Parse the project and write the page.

    Raises:
        BuildError: the project cannot be parsed.
    """
    from boathouse.build import dbt, prepare_manifest

    prepare_manifest(settings)
    manifest = json.loads(dbt.Folders(settings).manifest.read_text(encoding="utf-8"))
    target.write_text(page(manifest), encoding="utf-8")


if __name__ == "__main__":
    write(Settings(), Path(sys.argv[1]))
