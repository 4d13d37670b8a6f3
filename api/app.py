"""The ASGI app: lets requests in, and hands them to the routes of the release that is served.

The routes of the marts follow from the release. When a release brings other marts or columns, its
routes are made anew beside those that still answer, and take over as a whole.
"""

import asyncio
import ipaddress
import logging
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.access import OPEN_PATHS, Access
from api.observe import Metrics, Observed
from api.problems import ProblemError
from api.release import Mart, Releases, Served
from api.routes import by_key, purchases, sessions, system
from api.routes import marts as mart_routes
from api.service import HEADERS, Service
from boathouse import __version__
from boathouse.api_keys import KeyRing
from boathouse.errors import BoathouseError
from boathouse.settings import Settings

DESCRIPTION = """
Answers come from one release of the warehouse, which never changes; headers say which one, how
fresh it is and whether its tests passed. Lists have pages: send `next` back as `cursor`. A page
sequence stays in the release that it began in. Times are UTC. Every error is a problem (RFC 9457).
"""
_SMALLEST_PACKED = 1000
LOOK_SECONDS = 0.25
_log = logging.getLogger("boathouse.api")


class Api:
    """The API of one home, for any ASGI server."""

    def __init__(self, settings: Settings, *, host: str = "127.0.0.1") -> None:
        """Make it for the address that it listens on: beyond loopback, a key is needed."""
        self.needs_key = settings.api_access == "keys" or (
            settings.api_access == "auto" and not is_loopback(host)
        )
        self.service = Service(settings, Releases(settings), Metrics(settings))
        self._served: tuple[Served | None, FastAPI] = None, _build(self.service, {}, self.needs_key)
        access = Access(KeyRing(settings), needs_key=self.needs_key)
        packed = GZipMiddleware(self._dispatch, _SMALLEST_PACKED, compresslevel=4)
        self._app: ASGIApp = Observed(_Guarded(packed, access), self.service.metrics)
        self._following: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or the server's start and end."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self._app(scope, receive, send)

    def look(self) -> None:
        """Serve what readers see now; called again and again while the server runs."""
        release = self.service.releases.look()
        if release is None:
            return
        before, routes = self._served
        if before is None or release.marts != before.marts:
            routes = _build(self.service, release.marts, self.needs_key)
        self._served = release, routes
        self.service.metrics.release.set(release.release_id)
        _log.info("serving", extra={"release": release.release_id})

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        release, routes = self._served
        scope["state"]["release"] = release
        await routes(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await asyncio.to_thread(self.look)
                self._following = asyncio.create_task(self._follow())
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._following is not None:
                    self._following.cancel()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await asyncio.to_thread(self.look)
            except Exception:
                _log.exception("looking for another release failed")


def is_loopback(host: str) -> bool:
    """Return whether nobody but this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Guarded:
    """Admits requests, and answers whatever goes wrong."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def watch(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            key = self._access.admit(scope["path"], Headers(scope=scope))
            scope["state"].update(key=key, key_id=key and key.key_id)
            await self._app(scope, receive, watch)
        except ProblemError as problem:
            await problem.response()(scope, receive, watch)
        except BoathouseError as error:
            _log.error("a request could not be served", extra={"error": str(error)})
            await ProblemError(503, "See the log of the API.").response()(scope, receive, watch)
        except Exception:
            _log.exception("a request failed", extra={"path": scope["path"][:200]})
            if not has_begun:
                failed = ProblemError(500, "This is a defect. The log of the API tells more.")
                await failed.response()(scope, receive, watch)


def _build(service: Service, marts: dict[str, Mart], needs_key: bool) -> FastAPI:
    app = FastAPI(
        title="Boathouse",
        version=__version__,
        description=DESCRIPTION.strip(),
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    app.include_router(system.router(service))
    app.include_router(sessions.router(service))
    app.include_router(purchases.router(service, marts))
    app.include_router(by_key.router(service, marts))  # before the rows, whose keys may have `/`
    app.include_router(mart_routes.router(service, marts))
    app.openapi = lambda: _description(app, needs_key)  # type: ignore[method-assign]
    return app


def _description(app: FastAPI, needs_key: bool) -> dict[str, Any]:
    """Return the OpenAPI description, with how keys are sent."""
    if app.openapi_schema is None:
        described = FastAPI.openapi(app)
        components = described.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = problems.SCHEMA
        components["headers"] = HEADERS
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        anyhow: list[dict[str, list[str]]] = [] if needs_key else [{}]
        described["security"] = [*anyhow, {"bearer": []}, {"key": []}]
        for path in OPEN_PATHS:
            for operation in described["paths"].get(path, {}).values():
                operation["security"] = []
    assert app.openapi_schema is not None
    return app.openapi_schema
