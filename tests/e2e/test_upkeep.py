"""The commands that keep a warehouse in order, as a person types them."""

import json
from pathlib import Path

from support.command import House

MARTS = "select count(*) as n from marts.fct_sessions"


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
