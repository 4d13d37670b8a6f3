"""What dbt has parsed is taken up again, and never when anything of the project is another."""

import json
import os
from pathlib import Path

import pytest
import shops

from boathouse.build import dbt, manifest_file, prepare_manifest
from boathouse.build.files import project_hash
from boathouse.settings import Settings

MICROBATCH = """
{{ config(materialized='incremental', incremental_strategy='microbatch', event_time='ordered_on',
    begin='2024-01-01', batch_size='day', contract={'enforced': false}) }}
select * from {{ ref('stg_shop__orders') }}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Settings:
    """Return settings for a shop whose project looks for models and documents elsewhere, too.

    One of the models has a time among its config.
    """
    settings = shops.new(tmp_path)
    write(settings.project / "more" / "daily.sql", MICROBATCH)
    file = settings.project / "dbt_project.yml"
    text = file.read_text().replace("model-paths: [models]", "model-paths: [models, more]")
    file.write_text(f"{text}\ndocs-paths: [models, texts]\n")
    return settings


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that grows with each command of dbt."""
    ran: list[str] = []
    invoke = dbt.invoke

    def counted(command: str, *arguments: object, **more: object) -> object:
        ran.append(command)
        return invoke(command, *arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(dbt, "invoke", counted)
    return ran


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_project_is_parsed_again_only_when_something_of_it_has_changed(
    shop: Settings, parses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_manifest(shop)
    again = prepare_manifest(shop)
    assert parses == ["parse"]
    assert again.nodes == first.nodes
    assert again.parsed.flat_graph == first.parsed.flat_graph
    assert again.parsed.child_map == first.parsed.child_map

    write(shop.project / "more" / "late.sql", "select {{ env_var('COLOUR', '1') }} as one")
    names = {node.name for node in prepare_manifest(shop).nodes}
    assert names - {node.name for node in first.nodes} == {"late"}
    monkeypatch.setenv("COLOUR", "2")
    assert prepare_manifest(shop).files != first.files
    monkeypatch.setenv("DBT_WARN_ERROR", "false")  # whatever it may mean to parsing
    prepare_manifest(shop)
    assert parses == ["parse"] * 4
    monkeypatch.setenv("DBT_TARGET_PATH", "of-dbt-by-hand")
    prepare_manifest(shop)
    assert parses == ["parse"] * 4


def test_every_file_that_dbt_reads_counts(shop: Settings, tmp_path: Path) -> None:
    package = tmp_path / "package"
    write(package / "macros" / "all.sql", "")
    (shop.project / "dbt_packages").mkdir()
    (shop.project / "dbt_packages" / "ours").symlink_to(package)  # as `dbt deps` does
    seen = {project_hash(shop.project)}
    for place in (
        *("models/a.sql", "more/deep/b.sql", "macros/c.sql", "seeds/d.csv", "snapshots/e.sql"),
        *("tests/data/f.sql", "texts/g.md", "packages.yml", "selectors.yml", "dbt_project.yml"),
    ):
        write(shop.project / place, "name: other" if place.endswith(".yml") else "1")
        seen.add(project_hash(shop.project))
    assert len(seen) == 11
    write(package / "macros" / "all.sql", "{% macro one() %}1{% endmacro %}")
    assert project_hash(shop.project) not in seen


def test_folders_that_dbt_works_out_are_always_parsed(shop: Settings) -> None:
    file = shop.project / "dbt_project.yml"
    file.write_text(file.read_text().replace("[models, more]", "[\"{{ env_var('PLACE') }}\"]"))
    assert project_hash(shop.project) != project_hash(shop.project)


def test_what_was_kept_is_left_when_it_is_damaged_or_not_of_the_manifest(
    shop: Settings, parses: list[str]
) -> None:
    nodes = prepare_manifest(shop).nodes
    path = dbt.Folders(shop).manifest
    kept = path.with_name("parsed")
    for damaged in (kept.read_bytes()[:-100], kept.read_bytes()[:50], b""):
        kept.write_bytes(damaged)
        assert prepare_manifest(shop).nodes == nodes
    path.write_text(path.read_text() + " ")
    prepare_manifest(shop)
    path.unlink()
    prepare_manifest(shop)
    assert parses == ["parse"] * 6
    assert json.loads(path.read_text())["nodes"]


def test_manifest_is_written_again_only_when_it_is_not_of_this_project(
    shop: Settings, parses: list[str]
) -> None:
    path = manifest_file(shop)
    assert manifest_file(shop) == path
    assert parses == ["parse"]
    kept = path.with_name("parsed")
    for spoil in (
        lambda: kept.write_bytes(b"[]\n"),
        lambda: kept.write_bytes(b"{"),
        kept.unlink,
        path.unlink,
        lambda: path.write_text("{}"),
        lambda: write(shop.project / "models" / "late.sql", "select 1 as one"),
    ):
        before = len(parses)
        spoil()
        nodes = json.loads(manifest_file(shop).read_text())["nodes"]
        assert len(parses) == before + 1
    assert any(node["name"] == "late" for node in nodes.values())


def test_parsing_leaves_the_manifest_whole_for_who_reads_it(shop: Settings) -> None:
    prepare_manifest(shop)
    path = dbt.Folders(shop).manifest
    with path.open(encoding="utf-8") as reading:
        before = reading.read(10)
        write(shop.project / "models" / "late.sql", "select 1 as one")
        prepare_manifest(shop)
        json.loads(before + reading.read())
        assert path.stat().st_ino != os.fstat(reading.fileno()).st_ino
    assert {each.name for each in path.parent.glob("manifest*")} == {"manifest.json"}
    assert {each.name for each in path.parent.glob("parsed*")} == {"parsed"}
