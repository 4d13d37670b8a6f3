"""A watch holds no more memory after tens of deliveries than after a few."""

from pathlib import Path

from support.homes import copy_project

from benchmarks import soak

DELIVERIES = 12
SETTLED = 5


def test_watch_does_not_grow_with_deliveries(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project", ["vehicles"])
    with (project / "dbt_project.yml").open("a") as file:
        file.write("\ndata_tests: {boathouse: {+enabled: false}}\n")  # a third of the time
    with soak.watched(str(tmp_path), BOATHOUSE_PROJECT=str(project)) as process:
        found = soak.readings_of(
            str(tmp_path), {"watch": process.pid}, lambda done: done < DELIVERIES
        )
    readings = found["watch"]
    assert len(readings) == DELIVERIES
    grown = soak.growth(readings, SETTLED)
    assert grown < soak.MOST_GROWTH_MIB, soak.curve("watch", readings)
