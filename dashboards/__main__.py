"""`python -m dashboards [--host ADDRESS] [--port N]`: serve the dashboard until interrupted."""

import argparse
import os
import sys
from pathlib import Path

from boathouse.errors import BoathouseError
from boathouse.settings import Settings

APP = Path(__file__).with_name("app.py")
HOST = "127.0.0.1"
PORT = 8501
_FROM_THE_OUTSIDE = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT")


def main() -> None:
    """Replace this process by Streamlit's server, or exit and say what is wrong."""
    options = _options()
    try:
        settings = Settings()
        state = settings.work / "dashboard"
        state.mkdir(parents=True, exist_ok=True)
    except BoathouseError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"There is no place for the dashboard's state: {error}")
    os.execve(sys.executable, command(options.host, options.port), environment(settings, state))


def command(host: str, port: int) -> list[str]:
    """Return the command that serves the app at an address."""
    return [
        *(sys.executable, "-m", "dashboards.server", "run", str(APP)),
        f"--server.address={host}",
        f"--server.port={port}",
        "--server.headless=true",
        "--server.showEmailPrompt=false",
        "--server.fileWatcherType=none",
        "--server.maxUploadSize=1",
        "--server.enableStaticServing=false",
        "--browser.gatherUsageStats=false",
    ]


def environment(settings: Settings, state: Path) -> dict[str, str]:
    """Return what the server may know: these settings, and `state` as its home folder."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _FROM_THE_OUTSIDE or name.startswith("BOATHOUSE_")
    }
    return kept | {
        "HOME": str(state),
        "BOATHOUSE_HOME": str(settings.home_folder),
        "BOATHOUSE_PROJECT": str(settings.project.absolute()),
        "PYTHONPATH": os.pathsep.join([str(APP.parents[1]), os.environ.get("PYTHONPATH", "")]),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dashboards", description=__doc__)
    parser.add_argument("--host", default=HOST, help=f"address to listen on ({HOST})")
    parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on ({PORT})")
    return parser.parse_args()


if __name__ == "__main__":
    main()
