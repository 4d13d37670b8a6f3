"""What every route needs: the releases, the clock, and the answer to a question."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import Request

from api.access import require
from api.answers import Answer
from api.observe import Metrics
from api.paging import Cursor, decode, question
from api.problems import MEDIA_TYPE as PROBLEM_TYPE
from api.problems import ProblemError
from api.release import Releases, Served
from boathouse.settings import Settings

HEADERS: dict[str, dict[str, Any]] = {
    name: {"description": text, "schema": {"type": "string", "examples": [example]}}
    for name, text, example in (
        ("Boathouse-Release", "Number of the release that answered.", "12"),
        ("Boathouse-Released-At", "When it was released (UTC).", "2026-03-10T12:00:00Z"),
        ("Boathouse-Freshness", "`fresh`, `stale` or `late`: the domain's oldest source.", "fresh"),
        ("Boathouse-Tests", "`passed`, `warned` or `failed`: the worst of its tests.", "passed"),
        ("ETag", "Sent back as `If-None-Match`: 304 while nothing has changed.", 'W/"12-6-json"'),
    )
}

_STATUSES = {
    304: "Nothing has changed since the client's copy.",
    400: "The cursor is not one for this question.",
    401: "A key is needed, or the one sent is not valid.",
    403: "The key is not for this domain.",
    404: "There is no such row.",
    406: "There is no such form of the answer.",
    410: "The cursor's release is no longer kept.",
    422: "A parameter is wrong or unknown.",
    429: "The key has sent too many requests; `Retry-After` says when to try again.",
    503: "There is no release that can be read; the problem says what to do.",
}


@dataclass(frozen=True)
class Service:
    """The API of one home."""

    settings: Settings
    releases: Releases
    metrics: Metrics

    def now(self) -> datetime:
        """Return the time (UTC), or the one that the settings say it is."""
        fixed = self.settings.api_now
        if fixed is None:
            return datetime.now(UTC).replace(tzinfo=None)
        return fixed.astimezone(UTC).replace(tzinfo=None) if fixed.tzinfo else fixed

    def answer(self, request: Request, release: Served, domain: str, media_type: str) -> Answer:
        """Return what a request is answered with.

        Raises:
            ProblemError: 403, its key is not for the domain.
        """
        require(request.state.key, domain)
        return Answer(request.headers, release, domain, media_type, self.now())

    def release_for(self, request: Request, cursor: Cursor | None = None) -> Served:
        """Return the release to answer from: the current one, or that of a cursor.

        Raises:
            ProblemError: 503, there is none; 410, that of the cursor is gone.
        """
        current: Served | None = request.state.release
        if current is None:
            raise ProblemError(503, self.releases.problem, headers={"Retry-After": "5"})
        if cursor is None or (cursor.release_id, cursor.mark) == (current.release_id, current.mark):
            return current
        return self.releases.kept(cursor.release_id, cursor.mark)


@dataclass(frozen=True)
class Pages:
    """The pages of one question: reads the cursor that came, makes the one that goes."""

    question: str
    cursor: Cursor | None

    @staticmethod
    def of(endpoint: str, asked: dict[str, Any], cursor: str | None, *places: Any) -> "Pages":
        """Return the pages of a question to an endpoint.

        Raises:
            ProblemError: 400, the cursor does not belong to it.
        """
        about = question(endpoint, asked)
        return Pages(about, decode(cursor, about, places) if cursor is not None else None)

    @property
    def place(self) -> list[Any]:
        """Return where the page begins; empty for the first."""
        return self.cursor.place if self.cursor is not None else []

    def next(self, release: Served, place: list[Any]) -> str:
        """Return the cursor of the page after one that ends at a place."""
        return Cursor(release.release_id, release.mark, self.question, place).encode()


def link_to(request: Request, cursor: str) -> str:
    """Return the `Link` to the next page (RFC 8288)."""
    return f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'


def described(
    model: Any, *, statuses: tuple[int, ...] = (), content: dict[str, Any] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Return `responses` for a route's description: its answer and its problems."""
    problem = {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found: dict[int | str, dict[str, Any]] = {
        200: {
            "model": model,
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in HEADERS},
            **({"content": content} if content else {}),
        }
    }
    for status in (*statuses, 304, 401, 403, 422, 429, 503):
        found[status] = {"description": _STATUSES[status]}
        if status != 304:
            found[status]["content"] = problem
    return dict(sorted(found.items(), key=lambda item: int(item[0])))
