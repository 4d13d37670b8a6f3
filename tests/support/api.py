"""The API served on loopback, by the server that `make api` uses."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
import uvicorn

from api.app import Api
from boathouse.settings import Settings
from support.command import PATIENCE_SECONDS


@dataclass
class Client:
    """Asks one server; keeps its connection."""

    address: str
    headers: dict[str, str] = field(default_factory=dict)
    session: requests.Session = field(default_factory=requests.Session)

    def get(self, path: str, **more: Any) -> requests.Response:
        """Return the answer to a request for a path."""
        headers = {**self.headers, **more.pop("headers", {})}
        return self.session.get(
            f"{self.address}{path}", headers=headers, timeout=PATIENCE_SECONDS, **more
        )

    def json(self, path: str, **more: Any) -> Any:
        """Return what a path holds."""
        answer = self.get(path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def pages(self, path: str, **parameters: Any) -> list[Any]:
        """Return the items of all pages of a list."""
        items: list[Any] = []
        while True:
            page = self.json(path, params=parameters)
            assert page["count"] == len(page["items"])
            items += page["items"]
            if "next" not in page:
                return items
            parameters["cursor"] = page["next"]

    def wait_for_release(self, release_id: int) -> None:
        """Wait until a release is served."""
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            ready = self.get("/ready")
            if ready.status_code == 200 and ready.json()["release_id"] == release_id:
                return
            time.sleep(0.05)
        raise AssertionError(f"release {release_id} was not served: {ready.text}")


@contextmanager
def serving(settings: Settings, *, host: str = "127.0.0.1") -> Iterator[Client]:
    """Serve the API of a home on a free port of loopback, as if it listened on `host`."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            Api(settings, host=host), log_config=None, access_log=False, lifespan="on"
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        until = time.monotonic() + PATIENCE_SECONDS
        while not server.started:
            assert thread.is_alive() and time.monotonic() < until, "the API did not start"
            time.sleep(0.01)
        with requests.Session() as session:
            yield Client(f"http://127.0.0.1:{listening.getsockname()[1]}", session=session)
        server.should_exit = True
        thread.join(PATIENCE_SECONDS)
