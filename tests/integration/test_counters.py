"""What the main job costs in what does not depend on the machine: a change that adds to it says so.

`BOATHOUSE_COUNTERS=write` writes down what is counted now.
"""

import json
import os
from pathlib import Path

import houses
import pytest
from support.counted import counted

from boathouse import lake, pipeline
from boathouse.settings import Settings

FILE = Path(__file__).with_name("counters.json")
MORE, LESS = 1.05, 0.9  # of what is written down, before somebody has to look
DAY = b"PurchaseID,product,user,date\n1,12,31,2023-07-01\n2,13,35,2023-07-01\n"


def count(settings: Settings) -> dict[str, int]:
    """Run the main job, and return what it took."""

    def snapshot() -> int:
        with lake.connect(settings, read_only=True) as opened:
            return opened.current_snapshot()

    before = snapshot()
    with counted() as counts:
        report = pipeline.run(settings)
    return {
        "engines": counts.engines,
        "statements": counts.statements,
        "lakes": counts.detached,
        "snapshots": snapshot() - before,
        "nodes": len(report.build.results) if report.build else 0,
    }


def test_run_asks_no_more_than_is_written_down(home: Settings) -> None:
    houses.put(home, "purchases", "purchases_2023-07-23.csv", DAY)
    found = {"run with a file": count(home), "run with nothing new": count(home)}
    if os.environ.get("BOATHOUSE_COUNTERS") == "write":
        FILE.write_text(json.dumps(found, indent=2) + "\n")
        pytest.skip(f"{FILE.name} was written")
    written = json.loads(FILE.read_text())
    grown = [
        f"{work}: {number} {name}, not {written[work][name]}"
        for work, counts in found.items()
        for name, number in counts.items()
        if not LESS * written[work][name] <= number <= MORE * written[work][name]
    ]
    assert not grown, grown
