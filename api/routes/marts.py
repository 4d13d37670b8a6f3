"""The public marts: a list and a row of each, made from what the release says of them."""

import asyncio
from collections.abc import Callable
from datetime import date
from inspect import Parameter, Signature
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.formats import CONTENT, JSON, choose, dump, render
from api.parameters import Page, key_annotations, key_query, list_query, page_model, row_model
from api.parameters import Query as Parameters
from api.problems import ProblemError
from api.query import page, place
from api.release import Mart, Served
from api.service import Pages, Service, described, link_to


class MartColumn(BaseModel):
    """A column of a mart."""

    name: str
    type: str = Field(description="DuckDB's type.", examples=["VARCHAR"])
    description: str


class MartLookup(BaseModel):
    """Rows of a mart by one value."""

    by: str = Field(description="The column; its value is the last part of the path.")
    newest: str = Field(description="The column whose latest time comes first.")
    url: str


class MartEntry(BaseModel):
    """A mart that can be read here."""

    name: str
    domain: str
    description: str
    key: list[str] = Field(description="Columns of `/marts/{mart}/…`; empty: no such path.")
    filters: list[str] = Field(description="Columns that the list can be narrowed by.")
    order: list[str] = Field(description="Columns the list is in order of; `-`: downwards.")
    url: str
    lookups: list[MartLookup]
    columns: list[MartColumn]


class MartList(BaseModel):
    """All marts that can be read here."""

    items: list[MartEntry]
    count: int


def router(service: Service, marts: dict[str, Mart]) -> APIRouter:
    """Return the routes of these marts."""
    routes = APIRouter()

    @routes.get("/marts", tags=["marts"], response_model=None, responses=described(MartList))
    async def list_marts(request: Request, query: Annotated[Parameters, Query()]) -> Response:
        """Return the public marts: what they hold and how they can be asked."""
        del query
        release = service.release_for(request)
        key = request.state.key
        shown = [m for m in release.marts.values() if key is None or key.allows(m.domain)]
        return Response(
            dump({"items": [_entry(mart) for mart in shown], "count": len(shown)}), media_type=JSON
        )

    for mart in marts.values():
        row = row_model(mart)
        for path in (f"/marts/{mart.name}", *([f"/{mart.also_at}"] if mart.also_at else [])):
            add_list(routes, service, mart, path, row)
            if mart.key:
                add_row(routes, service, mart, path, row)
    return routes


def add_list(
    routes: APIRouter,
    service: Service,
    mart: Mart,
    path: str,
    row: type[BaseModel],
    fixed: dict[str, Any] | None = None,
) -> None:
    """Add a mart's list; `fixed` are columns that the path says the value of, by their types."""
    names = list(fixed or {})

    async def answer(request: Request, query: Page, **values: Any) -> Response:
        return await _list(service, request, mart, path, query, values)

    describe(answer, list_query(mart), fixed or {})
    routes.add_api_route(
        path,
        answer,
        tags=[mart.domain],
        name=f"{path.strip('/').replace('/', '_')}_list",
        summary=mart.name if not names else f"{mart.name} by {', '.join(names)}",
        description=mart.description,
        response_model=None,
        responses=described(
            page_model(mart.name, row), statuses=(400, 406, 410), content=dict(CONTENT)
        ),
    )


def add_row(
    routes: APIRouter, service: Service, mart: Mart, path: str, row: type[BaseModel]
) -> None:
    """Add the route of a single row of a mart."""

    async def answer(request: Request, query: Parameters, **values: Any) -> Response:
        return await _row(service, request, mart, query, values)

    describe(answer, key_query(mart), key_annotations(mart))
    *first, last = mart.key
    parts = [*(f"{{{name}}}" for name in first), f"{{{last}:path}}"]
    routes.add_api_route(
        "/".join([path, *parts]),
        answer,
        tags=[mart.domain],
        name=f"{path.strip('/').replace('/', '_')}_row",
        summary=f"{mart.name} by {', '.join(mart.key)}",
        description=mart.description,
        response_model=None,
        responses=described(row, statuses=(404, 406)),
    )


def describe(
    endpoint: Callable[..., Any], query: type[Parameters], in_path: dict[str, Any]
) -> None:
    """Give an endpoint the signature that its parameters are read by."""
    named = {"request": Request, "query": Annotated[query, Query()], **in_path}
    endpoint.__signature__ = Signature(  # type: ignore[attr-defined]  # FastAPI reads it
        [
            Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation)
            for name, annotation in named.items()
        ]
    )


async def _list(
    service: Service,
    request: Request,
    mart: Mart,
    path: str,
    query: Page,
    fixed: dict[str, Any],
) -> Response:
    media_type = choose(request.headers.get("accept"))
    where = query.model_dump(exclude={"limit", "cursor", "as_of"}, exclude_none=True) | fixed
    as_of: date | None = getattr(query, "as_of", None)
    places = [(str, type(None))] * len(mart.order)
    pages = Pages.of(path, {**where, "as_of": as_of}, query.cursor, *places)
    release = service.release_for(request, pages.cursor)
    answer = service.answer(request, release, mart.domain, media_type)
    if answer.is_known:
        return answer.unchanged()
    require_same(release, mart)
    rows = await asyncio.to_thread(
        page, release, mart, where, as_of=as_of, after=pages.place, limit=query.limit + 1
    )
    more = {}
    if rows.height > query.limit:
        rows = rows.head(query.limit)
        more["next"] = pages.next(release, place(mart, rows.row(-1, named=True)))
        answer.headers["Link"] = link_to(request, more["next"])
    return answer.whole(await asyncio.to_thread(render, rows, media_type, more))


async def _row(
    service: Service, request: Request, mart: Mart, query: Parameters, key: dict[str, Any]
) -> Response:
    if choose(request.headers.get("accept")) != JSON:
        raise ProblemError(406, "A single row is JSON; its list has other forms.")
    release = service.release_for(request)
    answer = service.answer(request, release, mart.domain, JSON)
    if answer.is_known:
        return answer.unchanged()
    require_same(release, mart)
    as_of: date | None = getattr(query, "as_of", None)
    rows = await asyncio.to_thread(page, release, mart, key, as_of=as_of, after=(), limit=1)
    if rows.is_empty():
        raise ProblemError(404, f"There is no row of {mart.name} with this key.")
    return answer.whole(dump(rows.row(0, named=True)))


def require_same(release: Served, mart: Mart) -> None:
    """Do nothing if a release has a mart as it is described.

    Raises:
        ProblemError: 410, that was another version of the mart.
    """
    if release.marts.get(mart.name) != mart:
        raise ProblemError(
            410, f"{mart.name} has changed since that release. Begin again without `cursor`."
        )


def _entry(mart: Mart) -> dict[str, Any]:
    return {
        "name": mart.name,
        "domain": mart.domain,
        "description": mart.description,
        "key": list(mart.key),
        "filters": list(mart.filters),
        "order": [f"{'-' if down else ''}{column}" for column, down in mart.order],
        "url": f"/marts/{mart.name}",
        "lookups": [
            {"by": each.by, "newest": each.newest, "url": mart.lookup_path(each)}
            for each in mart.lookups
        ],
        "columns": [
            {"name": each.name, "type": each.type, "description": each.description}
            for each in mart.columns
        ],
    }
