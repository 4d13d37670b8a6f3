"""Dagster's own instance: where it keeps what it keeps, and how its runs are started."""

from pathlib import Path
from typing import Any

import yaml

LOCATION = "boathouse"  # as the UI calls the code
TICK_DAYS = 7
RUNS_AT_ONCE = 4  # those that write queue behind one another anyway: see POOL in `running`


def configuration() -> dict[str, Any]:
    """Return what `dagster.yaml` says; storage and logs are below its folder by default."""
    ticks = {"skipped": 1, "success": TICK_DAYS, "failure": 30, "started": -1}
    return {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
        "run_queue": {
            "dequeue_interval_seconds": 1,
        },
        "concurrency": {
            "pools": {"granularity": "run", "default_limit": 1},
            "runs": {"max_concurrent_runs": RUNS_AT_ONCE},
        },
        "run_launcher": {"module": "orchestration.launcher", "class": "WarmLauncher"},
        "run_monitoring": {
            "enabled": True,
            "poll_interval_seconds": 5,
            "start_timeout_seconds": 300,
        },
        "run_retries": {"enabled": False},
        "sensors": {"use_threads": True, "num_workers": 4},
        "schedules": {"use_threads": True, "num_workers": 2},
        "auto_materialize": {"enabled": False},
        "freshness": {"enabled": True},
        "retention": {
            "sensor": {"purge_after_days": ticks},
            "schedule": {"purge_after_days": ticks},
        },
        "code_servers": {"local_startup_timeout": 600},
    }


def write_configuration(home: Path) -> None:
    """Write `dagster.yaml` into Dagster's home, which is made if need be."""
    _write(home / "dagster.yaml", configuration())


def write_workspace(home: Path) -> Path:
    """Write the file that says where the code is, and return its path."""
    path = home / "workspace.yaml"
    module = {"module_name": "orchestration.definitions", "location_name": LOCATION}
    _write(path, {"load_from": [{"python_module": module}]})
    return path


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    head = "# Written by `python -m orchestration`; see orchestration/instance.py.\n"
    temporary.write_text(head + yaml.safe_dump(content, sort_keys=False))
    temporary.replace(path)
