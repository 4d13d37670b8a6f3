"""The process that a measured function runs in: `python -m benchmarks.child request.json`."""

import importlib
import json
import sys
from pathlib import Path

import psutil


def main(request_file: Path) -> None:
    """Call the function that the request names and write what it returns."""
    request = json.loads(request_file.read_text())
    module, _, name = request["function"].partition(":")
    answer = getattr(importlib.import_module(module), name)(**request["arguments"])
    answer["helpers_mib"] = sum(map(_peak_mib, psutil.Process().children(recursive=True)))
    Path(request["answer"]).write_text(json.dumps(answer))


def _peak_mib(process: psutil.Process) -> float:
    """Return the most memory that a process has held; where nobody knows, what it holds now."""
    status = Path(f"/proc/{process.pid}/status")  # of Linux
    if not status.exists():
        return float(process.memory_info().rss / 2**20)
    told = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(told["VmHWM"].split()[0]) / 1024 if "VmHWM" in told else 0.0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
