"""Answers from a release: its headers, and none at all when the client has it already."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from starlette.datastructures import Headers
from starlette.responses import Response

from api.release import Served


class Answer:
    """The answer to one request from one release; the same question has the same ETag."""

    def __init__(
        self, headers: Headers, release: Served, domain: str, media_type: str, now: datetime
    ) -> None:
        self._asked = headers
        self._release = release
        self._media_type = media_type
        self.headers = {
            "ETag": f'W/"{release.release_id}-{release.mark}-{media_type.rpartition("/")[2]}"',
            "Last-Modified": release.last_modified,
            "Cache-Control": "private, no-cache",
            "Vary": "Accept, Accept-Encoding, Authorization, X-API-Key",
            "Boathouse-Release": str(release.release_id),
            "Boathouse-Released-At": release.moment,
            "Boathouse-Freshness": release.freshness(domain, now),
            "Boathouse-Tests": release.tests,
        }

    def depends_on_the_clock(self) -> None:
        """Say that the same question may have another answer in the same release."""
        del self.headers["ETag"], self.headers["Last-Modified"]

    @property
    def is_known(self) -> bool:
        """Return whether the client has this answer already (RFC 9110, 13.2.2)."""
        etag = self.headers.get("ETag")
        if etag is None:
            return False
        given = self._asked.get("if-none-match")
        if given is not None:
            known = {each.strip().removeprefix("W/") for each in given.split(",")}
            return "*" in known or etag.removeprefix("W/") in known
        since = self._asked.get("if-modified-since")
        return since is not None and _is_unchanged(self._release.released_at, since)

    def unchanged(self) -> Response:
        """Return the answer that the client's own copy is right."""
        return Response(None, 304, self.headers)

    def whole(self, body: bytes) -> Response:
        """Return the answer with its body."""
        return Response(body, 200, self.headers, self._media_type)


def _is_unchanged(released_at: datetime, since: str) -> bool:
    try:
        then = parsedate_to_datetime(since)
    except ValueError:
        return False
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return released_at.replace(microsecond=0, tzinfo=UTC) <= then
