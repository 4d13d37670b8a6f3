"""Look-ups of sessions, for the game's back end."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from api.answers import Answer
from api.formats import JSON, dump
from api.parameters import CursorText, Limit, Moment, Text
from api.parameters import Query as Parameters
from api.query import naive
from api.service import Pages, Service, described, link_to

DOMAIN = "sessions"
MART = "fct_sessions"
COMPLETED = "completed_sessions"
STARTED = "started_sessions"
_EPOCH = datetime(1970, 1, 1)

PlayerId = Annotated[
    Text,
    Path(min_length=1, description="The player.", examples=["0a2d12a1a7e145de8bae44c0c6e06629"]),
]
Country = Annotated[
    str, Path(pattern=r"^[A-Za-z]{2}$", description="Two-letter code.", examples=["PK"])
]
Hours = Annotated[int, Path(ge=1, le=24, description="How far to look back.", examples=[1])]


class Session(BaseModel):
    """A session of a player."""

    player_id: str = Field(examples=["0a2d12a1a7e145de8bae44c0c6e06629"])
    session_id: str = Field(examples=["4a0c43c9-c43a-42ff-ba55-67563dfa35d4"])
    country: str | None = Field(
        description="Of its start; null when no start was seen.", examples=["PK"]
    )
    ts: datetime = Field(
        description="When it ended, or started: what the list goes by.",
        examples=["2016-12-02T12:48:05.520022Z"],
    )


class Sessions(BaseModel):
    """A page of sessions, the latest first."""

    items: list[Session]
    count: int = Field(description="Sessions in `items`.", examples=[1])
    next: str | None = Field(
        None, description="`cursor` of the next page; absent when there is no more."
    )


class CompletedQuery(Parameters):
    """How many of a player's sessions, and from where."""

    limit: Limit = Field(20, description="Most sessions to answer with.")
    cursor: CursorText | None = Field(None, description="`next` of the page before.")


class StartedQuery(Parameters):
    """Until when, how many of a country's sessions, and from where."""

    as_of: Moment | None = Field(
        None, description="Look back from then instead of now.", examples=["2016-12-02T13:00:00Z"]
    )
    limit: Limit = Field(1000, description="Most sessions to answer with.")
    cursor: CursorText | None = Field(None, description="`next` of the page before.")


def router(service: Service) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(tags=["sessions"])
    documented: Any = {
        "response_model": None,
        "responses": described(Sessions, statuses=(400, 410)),
    }

    @routes.get("/models/completed-sessions/{player_id:path}", **documented)
    async def completed_sessions(
        request: Request, player_id: PlayerId, query: Annotated[CompletedQuery, Query()]
    ) -> Response:
        """Return the completed sessions of a player, the latest first."""
        pages = Pages.of(COMPLETED, {"player_id": player_id}, query.cursor, int, str)
        release = service.release_for(request, pages.cursor)
        answer = service.answer(request, release, DOMAIN, JSON)
        if answer.is_known:
            return answer.unchanged()
        rows = release.lookups.newest(
            MART, COMPLETED, player_id, query.limit + 1, before=pages.place
        )
        items = [
            {"player_id": player, "session_id": session, "country": country, "ts": _time(ts)}
            for player, ts, session, country in rows[: query.limit]
        ]
        following = None
        if len(rows) > query.limit:
            following = pages.next(release, list(rows[query.limit - 1][1:3]))
        return _page(request, answer, items, following)

    @routes.get("/models/started-sessions/{country}/{hours}", **documented)
    @routes.get(
        "/models/started_sessions/{country}/{hours}",
        operation_id="started_sessions_with_underscore",
        **documented,
    )
    async def started_sessions(
        request: Request, country: Country, hours: Hours, query: Annotated[StartedQuery, Query()]
    ) -> Response:
        """Return the sessions that were started in a country in the last hours, latest first."""
        asked = {"country": country.upper(), "hours": hours, "as_of": query.as_of}
        pages = Pages.of(STARTED, asked, query.cursor, int, int, str)
        release = service.release_for(request, pages.cursor)
        answer = service.answer(request, release, DOMAIN, JSON)
        if query.as_of is None and query.cursor is None:
            answer.depends_on_the_clock()
        if answer.is_known:
            return answer.unchanged()
        since, before = _window(pages.place, naive(query.as_of) or service.now(), hours)
        rows = release.lookups.newest(
            MART, STARTED, country.upper(), query.limit + 1, since=since, before=before
        )
        items = [
            {"player_id": player, "session_id": session, "country": of, "ts": _time(ts)}
            for of, ts, session, player in rows[: query.limit]
        ]
        following = None
        if len(rows) > query.limit:
            following = pages.next(release, [since, *rows[query.limit - 1][1:3]])
        return _page(request, answer, items, following)

    return routes


def _page(
    request: Request, answer: Answer, items: list[dict[str, Any]], following: str | None
) -> Response:
    """Return a page of sessions, with the cursor of the one that follows it, if there is one."""
    content: dict[str, Any] = {"items": items, "count": len(items)}
    if following is not None:
        content["next"] = following
        answer.headers["Link"] = link_to(request, following)
    return answer.whole(dump(content))


def _window(place: list[Any], until: datetime, hours: int) -> tuple[int, list[Any]]:
    """Return the first microsecond to look at, and what the first row has to come after."""
    if place:
        return place[0], place[1:]
    last = _microseconds(until)
    return last - hours * 3_600_000_000, [last + 1]


def _microseconds(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def _time(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)
