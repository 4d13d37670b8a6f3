"""What goes wrong, as problem details (RFC 9457), whatever it was."""

import json
import logging
import sqlite3
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import duckdb
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from boathouse.errors import BoathouseError

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger("boathouse.api")

SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What happened, and what to do."},
        "errors": {
            "type": "array",
            "description": "Which parameters are wrong, and why.",
            "items": {
                "type": "object",
                "properties": {"parameter": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
    "example": {
        "type": "about:blank",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "hours: Input should be less than or equal to 24",
        "errors": [{"parameter": "hours", "message": "Input should be less than or equal to 24"}],
    },
}


class ProblemError(Exception):
    """A request that is answered with an error: its status, and what to do."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: list[dict[str, str]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = errors

    def response(self) -> Response:
        """Return the answer."""
        content: dict[str, Any] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            content["errors"] = self.errors
        # The standard library's: what a client sent may hold halves of characters.
        body = json.dumps(content, separators=(",", ":")).encode()
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(body, self.status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Make every error of an app an answer of this form."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(duckdb.Error, _unreadable)
    app.add_exception_handler(sqlite3.Error, _unreadable)
    app.add_exception_handler(BoathouseError, _unreadable)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error.response()


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"parameter": str(each["loc"][-1]), "message": str(each["msg"])} for each in error.errors()
    ]
    said = "; ".join(f"{each['parameter']}: {each['message']}" for each in errors)
    return ProblemError(422, said, errors=errors).response()


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = error.detail if error.detail != HTTPStatus(error.status_code).phrase else ""
    shown = detail or {
        404: "There is nothing here. /openapi.json lists what there is.",
        405: "This can only be read: use GET.",
    }.get(error.status_code, HTTPStatus(error.status_code).description)
    return ProblemError(error.status_code, shown, headers=error.headers).response()


async def _unreadable(_: Request, error: Exception) -> Response:
    """Answer when a release cannot be read any more, or there is none."""
    _log.error("the release cannot be read", extra={"error": f"{type(error).__name__}: {error}"})
    return ProblemError(
        503,
        "The released warehouse cannot be read now. Whoever runs it finds the reason with "
        "`boathouse doctor`, and puts an earlier release back with `boathouse rollback`.",
        headers={"Retry-After": "5"},
    ).response()
