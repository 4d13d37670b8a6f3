"""Cars that send files while `boathouse watch` loads and releases them."""

from pathlib import Path

import pytest
from support.command import House, interrupt, wait_until
from support.homes import copy_project


@pytest.fixture
def fleet(tmp_path: Path) -> House:
    """Return a house for vehicles alone, in which nothing has run yet."""
    return House(copy_project(tmp_path / "project", ["vehicles"]), tmp_path / "home")


def test_what_the_simulated_cars_send_is_released_by_watch(fleet: House) -> None:
    with fleet.running("watch", "--interval", "0.2") as watching:
        wait_until(fleet.settings.warehouse.exists, "it has released empty marts", watching)
        said = fleet.json("simulate", "vehicles", "--rate", "10", "--seconds", "2")
        assert said == {"files": 20, "records": 10 * 100 + 10 * 40}

        def is_released() -> bool:
            query = "select (select sum(events) from marts.dim_vehicles), count(*) from "
            return fleet.released(f"{query} marts.fct_vehicle_events") == [(1000, 1000)]

        wait_until(is_released, "all events are released", watching)
        ended = interrupt(watching)
    assert ended.returncode == 0, ended.stderr
    assert not ended.stderr
    assert fleet.in_lake(
        "select count(*), count(distinct _file) from lake.raw.vehicle_statuses"
    ) == [(400, 10)]
    assert not list((fleet.home / "landing").rglob("vehicles_*"))


def test_cars_drive_on_until_ctrl_c(fleet: House) -> None:
    with fleet.running("simulate", "vehicles", "--rate", "20") as driving:
        landing = fleet.home / "landing"
        wait_until(lambda: len(list(landing.rglob("vehicles_*.json"))) > 4, "it writes", driving)
        ended = interrupt(driving)
    written = len(list(landing.rglob("*.*")))
    assert ended.returncode == 0, ended.stderr
    assert f"Wrote {written:,} files" in ended.stdout
    assert "Traceback" not in ended.stderr
