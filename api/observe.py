"""What is seen of requests: a line of JSON each, an id, and metrics for Prometheus."""

import json
import logging
import re
import sys
import time
from datetime import UTC, datetime
from uuid import uuid4

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from boathouse import held
from boathouse.heartbeat import last_beat
from boathouse.settings import Settings

LOGGER = logging.getLogger("boathouse.api")
_GIVEN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        content = {"at": at, "level": record.levelname.lower(), "message": record.getMessage()}
        more = {name: value for name, value in vars(record).items() if name not in _GIVEN}
        if record.exc_info:
            more["error"] = self.formatException(record.exc_info)
        return json.dumps(content | more, default=str)


def log_as_json() -> None:
    """Send the API's and the server's log to standard error, as lines of JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in ("boathouse.api", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == "boathouse.api" else logging.WARNING)


class Metrics:
    """Counts for Prometheus, of one app, and whether the watch of its home lives."""

    def __init__(self, settings: Settings) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "boathouse_api_requests_total", "Requests.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "boathouse_api_request_seconds",
            "Time to the end of the answer.",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.release = Gauge(
            "boathouse_api_release", "Id of the release that is served.", registry=self.registry
        )
        Gauge(
            "boathouse_watch_last_beat_timestamp_seconds",
            "When `boathouse watch` last gave a sign of life; 0 if it never did.",
            registry=self.registry,
        ).set_function(lambda: last_beat(settings) or 0.0)
        Gauge(
            "boathouse_release_held_back",
            "Whether newer data is held back from every release.",
            registry=self.registry,
        ).set_function(lambda: float(held.read(settings) is not None))


class Observed:
    """Gives each request an id, and tells what became of it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        seen = {"status": 500, "bytes": 0}

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            elif message["type"] == "http.response.body":
                seen["bytes"] += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            seconds = time.perf_counter() - start
            route = getattr(scope.get("route"), "path", "none")
            self._metrics.requests.labels(route, str(seen["status"])).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            LOGGER.info(
                "request",
                extra={
                    "request_id": request_id,
                    "method": scope["method"],
                    "route": route,
                    "path": scope["path"][:200],
                    "status": seen["status"],
                    "milliseconds": round(seconds * 1000, 2),
                    "bytes": seen["bytes"],
                    "key": state.get("key_id"),
                    "client": (scope.get("client") or [None])[0],
                },
            )


def _request_id(scope: Scope) -> str:
    """Return the client's own id for the request if it is a harmless one, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return uuid4().hex
