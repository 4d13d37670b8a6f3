"""Rows of a mart by one value, the newest first, from the look-ups that its YAML asks for."""

import asyncio
from typing import Any

import polars as pl
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.formats import CONTENT, choose, render
from api.parameters import Page, by_annotation, page_model, row_model
from api.query import naive, page
from api.release import Mart, Served
from api.routes.marts import describe, require_same
from api.service import Pages, Service, described, link_to
from boathouse.release.lookups import Lookup
from boathouse.release.lookups.values import restored, sought

# 20 rows are made in 0.2 ms, which is what handing them to a thread and back costs.
_FEW_ROWS = 50


def router(service: Service, marts: dict[str, Mart]) -> APIRouter:
    """Return the routes of all look-ups of these marts."""
    routes = APIRouter()
    for mart in marts.values():
        for lookup in mart.lookups:
            _add(routes, service, mart, lookup)
    return routes


def _add(routes: APIRouter, service: Service, mart: Mart, lookup: Lookup) -> None:
    async def answer(request: Request, query: Page, value: Any) -> Response:
        return await _newest(service, request, mart, lookup, query, value)

    describe(answer, Page, {"value": by_annotation(mart, lookup)})
    name = f"{mart.name}_by_{lookup.name}"
    row = row_model(mart.only(lookup.all_columns), name)
    routes.add_api_route(
        f"{mart.lookup_path(lookup)}/{{value:path}}",
        answer,
        tags=[mart.domain],
        name=name,
        summary=f"{mart.name} by {lookup.by}, the newest {lookup.newest} first",
        description=mart.description,
        response_model=None,
        responses=described(page_model(name, row), statuses=(400, 406, 410), content=dict(CONTENT)),
    )


async def _newest(
    service: Service, request: Request, mart: Mart, lookup: Lookup, query: Page, value: Any
) -> Response:
    media_type = choose(request.headers.get("accept"))
    pages = Pages.of(
        mart.lookup_path(lookup),
        {lookup.by: value},
        query.cursor,
        int,
        *[(int, str)] * len(lookup.key),
    )
    release = service.release_for(request, pages.cursor)
    answer = service.answer(request, release, mart.domain, media_type)
    if answer.is_known:
        return answer.unchanged()
    require_same(release, mart)
    wanted = sought(lookup.types[0], naive(value))
    rows = release.lookups.newest(
        mart.name, lookup.name, wanted, query.limit + 1, before=pages.place
    )
    more = {}
    if len(rows) > query.limit:
        del rows[-1]
        more["next"] = pages.next(release, list(rows[-1][1 : lookup.key_size]))
        answer.headers["Link"] = link_to(request, more["next"])

    def made() -> bytes:
        return render(_frame(release, mart, lookup, rows), media_type, more)

    return answer.whole(made() if len(rows) <= _FEW_ROWS else await asyncio.to_thread(made))


def _frame(
    release: Served, mart: Mart, lookup: Lookup, rows: list[tuple[Any, ...]]
) -> pl.DataFrame:
    """Return rows of a look-up as a query on the mart would."""
    schema = release.schemas.get(lookup)
    if schema is None:
        shown = mart.only(lookup.all_columns)
        schema = page(release, shown, {}, as_of=None, after=(), limit=0).schema
        release.schemas[lookup] = schema
    kept = dict(zip(lookup.all_columns, zip(*rows, strict=True), strict=True)) if rows else {}
    makers = dict(zip(lookup.all_columns, map(restored, lookup.types), strict=True))
    data = {name: _made(makers[name], kept.get(name, ())) for name in schema}
    return pl.DataFrame(data, schema=schema)


def _made(maker: Any, kept: Any) -> Any:
    return list(kept) if maker is None else [None if each is None else maker(each) for each in kept]
