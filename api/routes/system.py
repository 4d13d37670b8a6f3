"""How the service is: for load balancers, for monitoring, and for who opens its address."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.formats import JSON, dump
from api.parameters import Query as Parameters
from api.service import Service, described
from boathouse import held


class Health(BaseModel):
    """The process answers."""

    status: str = Field(examples=["ok"])


class Held(BaseModel):
    """Data that is there, and in no release: a test failed, or a mart lost too many rows."""

    since: str = Field(examples=["2026-03-10T12:00:00+00:00"])
    reasons: list[str] = Field(examples=[["fct_sessions: 40 of 100 rows are left"]])


class Ready(BaseModel):
    """There is a release that can be read."""

    status: str = Field(examples=["ready"])
    release_id: int = Field(examples=[12])
    released_at: str = Field(examples=["2026-03-10T12:00:00Z"])
    problem: str | None = Field(
        None, description="Why a newer release cannot be served, when that is so."
    )
    held_back: Held | None = Field(
        None, description="What holds newer data back from every release, when something does."
    )


class Start(BaseModel):
    """Where to go on."""

    marts: str = Field(examples=["/marts"])
    description: str = Field(examples=["/openapi.json"])


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["system"])

    @routes.get("/", response_model=None, responses=described(Start))
    async def start(query: Annotated[Parameters, Query()]) -> Response:
        """Return where to go on."""
        del query
        return Response(dump({"marts": "/marts", "description": "/openapi.json"}), media_type=JSON)

    @routes.get("/health", response_model=None, responses=described(Health))
    async def health(query: Annotated[Parameters, Query()]) -> Response:
        """Return that the process answers."""
        del query
        return Response(dump({"status": "ok"}), media_type=JSON)

    @routes.get("/ready", response_model=None, responses=described(Ready))
    async def ready(request: Request, query: Annotated[Parameters, Query()]) -> Response:
        """Return which release is served; 503 when there is none."""
        del query
        release = service.release_for(request)
        content: dict[str, Any] = {
            "status": "ready",
            "release_id": release.release_id,
            "released_at": release.moment,
        }
        if service.releases.problem:
            content["problem"] = service.releases.problem
        if held_back := held.read(service.settings):
            content["held_back"] = asdict(held_back)
        return Response(dump(content), media_type=JSON)

    @routes.get(
        "/metrics",
        response_model=None,
        responses={
            **described(None),
            200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        },
    )
    async def metrics(request: Request, query: Annotated[Parameters, Query()]) -> Response:
        """Return counts and times of requests, for Prometheus."""
        del request, query
        return Response(
            generate_latest(service.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )

    return routes
