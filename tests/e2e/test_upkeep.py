"""The commands that keep a warehouse in order, as a person types them."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from support.command import House, wait_until
from support.processes import client

from boathouse import lock

MARTS = "select count(*) as n from marts.fct_sessions"
NEWEST = "select max(file_name) as n from meta.loads where source = 'purchases'"
PURCHASES = "PurchaseID,Product,User,Date\n9000{0},1,1,2026-03-0{0}\n"


def test_warehouse_is_kept_in_order_backed_up_and_restored(house: House, tmp_path: Path) -> None:
    assert "This would be done" in house.boathouse("maintain", "--dry-run").stdout
    before = house.released(MARTS)
    assert "no change" in house.boathouse("maintain").stdout
    assert house.boathouse("doctor").stdout.count("✓") >= 7
    target = tmp_path / "made.tar.gz"
    made = house.json("backup", str(target))
    assert made["path"] == str(target) and made["files"] > 20
    assert "is there already" in house.boathouse("backup", str(target), code=2).stderr
    assert "has data" in house.boathouse("restore", str(target), code=2).stderr
    again = House(house.project, tmp_path / "again")
    told = house.boathouse("restore", str(target), "--into", str(again.home)).stdout
    assert f"Restored: {again.home}" in told
    assert again.released(MARTS) == before
    assert "Nothing changed" in again.boathouse("run").stdout

    next((again.home / "lake").rglob("*.parquet")).unlink()
    told = again.boathouse("doctor", "--json", code=1).stdout
    problems = [each for each in json.loads(told)["findings"] if each["level"] == "problem"]
    assert [each["area"] for each in problems] == ["files"]


def test_home_that_is_moved_and_copied_by_hand_goes_on(house: House, tmp_path: Path) -> None:
    before = house.released(MARTS)
    house.home.rename(tmp_path / "moved")
    moved = House(house.project, tmp_path / "moved")
    assert "Nothing changed" in moved.boathouse("run").stdout
    subprocess.run(["cp", "-a", moved.home, tmp_path / "copy"], check=True)
    copy = House(house.project, tmp_path / "copy")
    for number, one in enumerate((moved, copy), 1):
        one.drop("purchases", f"purchases_2026-03-1{number}.csv", PURCHASES.format(number))
        assert "Released: 2" in one.boathouse("run").stdout
        one.boathouse("maintain")
    for number, one in enumerate((moved, copy), 1):
        assert one.json("sql", MARTS) == [{"n": before[0][0]}]
        assert one.json("sql", "--lake", NEWEST) == [{"n": f"purchases_2026-03-1{number}.csv"}]
        assert "✓ files" in one.boathouse("doctor").stdout
        assert one.json("status")["current_release"]["release_id"] == 2
        assert "1" in one.boathouse("rollback").stdout
        assert one.json("status")["current_release"]["release_id"] == 1
        again = House(house.project, tmp_path / f"again-{number}")
        made = one.json("backup", str(tmp_path / f"made-{number}"))["path"]
        one.boathouse("restore", made, "--into", str(again.home))
        assert again.json("sql", "--lake", NEWEST) == one.json("sql", "--lake", NEWEST)
    assert not house.home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="permissions stop everybody but root")
def test_watch_lets_other_clients_in_while_one_writes(house: House) -> None:
    settings = house.settings

    def has_run() -> bool:
        holder = lock.holder(settings)
        is_watch = holder is not None and holder.command == "boathouse watch"
        return is_watch and not lock.is_held(settings)

    def can_be_opened() -> bool:
        with client(settings.warehouse, mode="read") as reading:
            return reading.said == "open"

    with house.running("watch", "--interval", "0.2") as watching:
        wait_until(has_run, "it has run once", watching)
        with client(settings.warehouse) as writing:
            assert writing.said == "open"
            wait_until(can_be_opened, "others can open it", watching)
            assert writing.ask("create table mine as select 1 as x") == "[(1,)]"
            assert house.released(MARTS)
