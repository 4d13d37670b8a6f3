"""A home of all nine domains with two releases, for tests of what reads the released file.

Among its data is text that a page must show as it is, and not as HTML or Markdown.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cache
from pathlib import Path

import duckdb
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from boathouse import demo, lake, pipeline
from boathouse.contracts import load_contracts
from boathouse.release import release
from boathouse.settings import Settings
from support.command import PATIENCE_SECONDS
from support.homes import REPOSITORY, copy_project

# A page that is tested looks through all that is installed; what it finds stays the same.
manifest_scanner.scan_component_manifests = cache(manifest_scanner.scan_component_manifests)

SCRIPT = "<script>alert(1)</script>"
BOLD = "**x** :red[y] $z$ [a](b)"
LAST_DAY = date(2026, 3, 10)
_ADD_PLAYERS = (
    "insert into lake.marts.dim_players by name "
    "select 'late' || ((select count(*) from lake.marts.dim_players) + range) as player_id, "
    "timestamp '2026-03-10' as first_seen_at, timestamp '2026-03-10' as last_seen_at, "
    "0 as sessions_started, 0 as sessions_completed, "
    "0 as total_seconds from range({})"
)


def make_home(home: Path) -> Settings:
    """Run the main job on dirty demo data of every source, and release twice."""
    domains = [folder.name for folder in (REPOSITORY / "models/marts").iterdir() if folder.is_dir()]
    project = copy_project(home.with_name("project"), domains)
    settings = Settings(project=project, home=home, settle_seconds=0)
    options = demo.DemoOptions(scale=0.02, days=3, seed=7, dirty=0.05, until=LAST_DAY)
    demo.generate(settings.landing_folder, load_contracts(project), options)
    _busy_players(settings.landing_folder / "session_events" / "session_events_strange.jsonl")
    _strange_devices(settings.landing_folder)
    pipeline.run(settings)
    release_again(settings)
    return settings


def _busy_players(path: Path) -> None:
    """Write sessions of two players whose names are not what a page may make of them."""
    events = [
        {
            "event": event,
            "country": "PK",
            "player_id": player,
            "session_id": f"{player} {number}",
            "ts": f"2026-03-09T10:{number % 60:02}:{5 if event == 'start' else 50:02}",
        }
        for player in (SCRIPT, BOLD)
        for number in range(40)
        for event in ("start", "end")
    ]
    path.write_text("\n".join(json.dumps(event) for event in events) + "\n")


def _strange_devices(landing: Path) -> None:
    """Write what a car and a truck send whose names and values are not what a page may make."""
    event = {
        "vehicle_id": BOLD,
        "event_time": f"{LAST_DAY}T11:12:13",
        "event_source": "<b>source</b>",
        "event_type": SCRIPT,
        "event_value": BOLD,
        "event_extra_data": {"note": SCRIPT, "boot_time": 1, "emergency_call": True},
    }
    status = {
        "vehicle_id": BOLD,
        "report_time": f"{LAST_DAY}T11:12:14",
        "status_source": "<b>source</b>",
        "status": SCRIPT,
    }
    reading = {
        "truck_id": BOLD,
        "recorded_at": f"{LAST_DAY}T11:12:13",
        "sensor_01": SCRIPT,
        "sensor_02": 12.5,
    }
    for place, content in (
        ("vehicle_events/vehicles_events_strange.json", [event]),
        ("vehicle_statuses/vehicles_status_strange.json", [status]),
        ("fleet_readings/fleet_readings_strange.jsonl", reading),
    ):
        (landing / place).write_text(json.dumps(content) + "\n")


def release_again(settings: Settings, players: int = 3) -> None:
    """Make a release that differs from the one before by some players."""

    def write(con: duckdb.DuckDBPyConnection) -> None:
        con.execute(_ADD_PLAYERS.format(players))

    with lake.connect(settings) as opened:
        opened.write(write, "a test")
    release(settings)


def copy_released(settings: Settings, home: Path) -> Settings:
    """Copy what readers see, and nothing else, into another home."""
    (home / "releases").mkdir(parents=True)
    for path in settings.releases_folder.iterdir():
        shutil.copy(path, home / "releases")
    newest = max((home / "releases").glob("*.duckdb"), key=lambda path: int(path.stem))
    (home / "warehouse.duckdb").hardlink_to(newest)
    return settings.model_copy(update={"home": home})


@contextmanager
def changing(own: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the current release of a copy to write in it."""
    own.warehouse.chmod(0o644)
    with duckdb.connect(str(own.warehouse)) as con:
        yield con


def _script(name: str) -> None:
    from dashboards.frame import show
    from dashboards.pages import PAGES

    (page,) = [page for pages in PAGES.values() for page in pages if page.name == name]
    show(page)


def open_page(name: str, query: dict[str, str | Sequence[str]] | None = None) -> AppTest:
    """Return a page as Streamlit has drawn it; `BOATHOUSE_HOME` says of which home."""
    app = AppTest.from_function(_script, kwargs={"name": name}, default_timeout=PATIENCE_SECONDS)
    for key, value in (query or {}).items():
        app.query_params[key] = value if isinstance(value, str) else list(value)
    return app.run()
