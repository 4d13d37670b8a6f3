"""`python -m api [--host ADDRESS] [--port N]`: serve the API until interrupted."""

import argparse
import sys

import uvicorn

from api.app import Api
from api.observe import log_as_json
from boathouse.api_keys import KeyRing
from boathouse.errors import BoathouseError
from boathouse.settings import Settings

HOST = "127.0.0.1"
PORT = 8000


def main() -> None:
    """Serve, or exit and say what is wrong."""
    options = _options()
    log_as_json()
    try:
        settings = Settings()
        app = Api(settings, host=options.host)
        if app.needs_key and not any(k.revoked_at is None for k in KeyRing(settings).list()):
            print(
                "Nobody has a key yet, so that nobody is let in: `boathouse api-key create NAME` "
                "makes one, and it counts at once.",
                file=sys.stderr,
            )
    except BoathouseError as error:
        sys.exit(str(error))
    print(f"The API: http://{options.host}:{options.port}", file=sys.stderr)
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,
        server_header=False,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m api", description=__doc__)
    parser.add_argument("--host", default=HOST, help=f"address to listen on ({HOST})")
    parser.add_argument("--port", type=int, default=PORT, help=f"port to listen on ({PORT})")
    return parser.parse_args()


if __name__ == "__main__":
    main()
