"""Releases in an object store, from which machines without the lake take them.

Under the prefix of `BOATHOUSE_RELEASES` lie

    current.json          which release readers are to see, and its files; changed at once
    releases/<id>.json    the same of each release that is kept there
    files/<sha256>        the files themselves, each called by its content

Who changes `current.json` says which one he has read, so of two writers one begins anew.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from boathouse import identity
from boathouse.errors import BoathouseError, DeniedError, ReleaseError, UnreachableError
from boathouse.redaction import without_passwords
from boathouse.settings import Settings, environment_variable

CURRENT = "current.json"
# What nobody names stays this long for who is about to name it.
YOUNG = timedelta(hours=1)
_DENIED = ("AccessDenied", "403", "401", "InvalidAccessKeyId", "SignatureDoesNotMatch")
_EXPIRED = ("ExpiredToken", "RequestExpired", "TokenRefreshRequired")
_MISSING = ("NoSuchKey", "404")
_CHANGED = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
_UNCHANGED = ("304", "NotModified")
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_ATTEMPTS = 4


@dataclass(frozen=True)
class StoredFile:
    """One file of a release: its content's checksum, and its size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Stored:
    """A release as the store tells it."""

    lake: str | None  # identity of the lake it is of
    release_id: int
    released_at: str  # ISO, UTC
    newest: int  # the highest id that readers were ever shown
    files: Mapping[str, StoredFile]  # by their names
    format: int = identity.FORMAT

    @property
    def size(self) -> int:
        """Return the bytes of all its files."""
        return sum(each.size for each in self.files.values())


@dataclass(frozen=True)
class Current:
    """What `current.json` holds, and the mark by which the store knows this version of it."""

    stored: Stored
    etag: str


class ChangedError(BoathouseError):
    """Somebody else has changed `current.json` since it was read."""

    is_transient = True


class Store:
    """The prefix of one set of releases, with the credentials of the AWS command line."""

    def __init__(self, settings: Settings) -> None:
        import boto3  # takes a third of a second, which only who uses it should pay
        from botocore.config import Config

        self.address = settings.releases
        bucket, _, prefix = settings.releases.removeprefix("s3://").partition("/")
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        is_amazon = not settings.s3_endpoint
        style = settings.s3_url_style or ("vhost" if is_amazon else "path")
        region = settings.s3_region or environment_variable("AWS_REGION")
        with self._told():
            self._client = boto3.client(
                "s3",
                endpoint_url=settings.s3_endpoint or None,
                region_name=region or (None if is_amazon else "us-east-1"),
                config=Config(
                    s3={"addressing_style": "virtual" if style == "vhost" else "path"},
                    connect_timeout=_CONNECT_SECONDS,
                    read_timeout=_READ_SECONDS,
                    retries={"mode": "standard", "max_attempts": _ATTEMPTS},
                ),
            )

    # -- which release ---------------------------------------------------------------------

    def current(self, but: Current | None = None) -> Current | None:
        """Return what readers are to see; None when there is nothing, `but` when it is that still.

        Raises:
            ReleaseError: it cannot be read.
            IdentityError: a newer Boathouse has written it.
            DeniedError, UnreachableError: the store does not let us in, or does not answer.
        """
        given = {"IfNoneMatch": but.etag} if but is not None else {}
        with self._told() as told:
            answer = self._client.get_object(**self._named(CURRENT), **given)
            return Current(_parse(answer["Body"].read(), self._path(CURRENT)), answer["ETag"])
        if told.code in _MISSING:
            return None
        return but

    def show(self, stored: Stored, before: Current | None) -> None:
        """Let readers see a release, if they were to see `before` until now.

        Raises:
            ChangedError: they were not.
        """
        given = {"IfMatch": before.etag} if before is not None else {"IfNoneMatch": "*"}
        body = json.dumps(asdict(stored)).encode()
        with self._told():
            self._client.put_object(**self._named(_note(stored.release_id)), Body=body)
            self._client.put_object(**self._named(CURRENT), Body=body, **given)

    def kept(self) -> list[Stored]:
        """Return all releases that are there, oldest first."""
        found = []
        for name in self._names("releases/"):
            with self._told():
                body = self._client.get_object(**self._named(name))["Body"].read()
                found.append(_parse(body, self._path(name)))
        return sorted(found, key=lambda each: each.release_id)

    # -- files -----------------------------------------------------------------------------

    def has(self, file: StoredFile) -> bool:
        """Return whether a file is there as a whole."""
        with self._told():
            there = self._client.head_object(**self._named(_place(file)))
            return bool(there["ContentLength"] == file.size)
        return False

    def address_of(self, file: StoredFile) -> str:
        """Return the address of a file, for people."""
        return f"{self.address}/{_place(file)}"

    def upload(self, path: Path, file: StoredFile) -> None:
        """Put a file there; others see it when it is there as a whole."""
        with self._told():
            self._client.upload_file(str(path), self._bucket, self._path(_place(file)))

    def download(self, file: StoredFile, path: Path) -> bool:
        """Write a file to a path; returns False when it is not there any more."""
        with self._told():
            self._client.download_file(self._bucket, self._path(_place(file)), str(path))
            return True
        return False

    def remove(self, gone: list[Stored], left: list[Stored]) -> None:
        """Delete releases, and the files that none of those that are left has.

        Files that are young stay: somebody may be about to name them.
        """
        for each in gone:
            self._delete(_note(each.release_id))
        used = {_place(file) for each in left for file in each.files.values()}
        old = datetime.now(UTC) - YOUNG
        for name, changed in self._listed("files/"):
            if name not in used and changed < old:
                self._delete(name)

    # -- below -----------------------------------------------------------------------------

    def _delete(self, name: str) -> None:
        with self._told():
            self._client.delete_object(**self._named(name))

    def _names(self, folder: str) -> list[str]:
        return [name for name, _ in self._listed(folder)]

    def _listed(self, folder: str) -> list[tuple[str, datetime]]:
        with self._told():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._path(folder)
            )
            return [
                (each["Key"].removeprefix(self._prefix), each["LastModified"])
                for page in pages
                for each in page.get("Contents", [])
            ]
        return []

    def _path(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _named(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._path(name)}

    @contextmanager
    def _told(self) -> Iterator["_Told"]:
        """Leave a `with` block when an object is missing or unchanged; raise our own for the rest.

        The code of what the store has answered is in what the block is given.
        """
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        told = _Told()
        try:
            yield told
        except (ClientError, BotoCoreError, Boto3Error) as error:
            told.code = _code(error)
            if told.code not in (*_MISSING, *_UNCHANGED):
                raise self._as_expected(error, told.code) from error

    def _as_expected(self, error: Exception, code: str) -> BoathouseError:
        text = without_passwords(str(error).partition("\n")[0])
        name = type(error).__name__
        if code in _CHANGED:
            return ChangedError(f"{self.address} was changed by somebody else at this moment.")
        is_denied = code in (*_DENIED, *_EXPIRED) or "Credential" in name or "Token" in name
        if is_denied or code == "NoSuchBucket" or "Profile" in name:
            return DeniedError(
                f"{self.address} does not let us in: {text}",
                hint="Check BOATHOUSE_RELEASES, and give credentials as to the AWS command line: "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), or the "
                "role of the machine.",
                place=self.address,
            )
        return UnreachableError(
            f"{self.address} does not answer: {text}",
            hint="Check the server, the network, BOATHOUSE_RELEASES and BOATHOUSE_S3_ENDPOINT. "
            "Nothing is half done: run it again once it answers.",
            place=self.address,
        )


@dataclass
class _Told:
    code: str = ""


def _code(error: BaseException) -> str:
    """Return the code of what the store has answered, empty when it has not."""
    cause: BaseException | None = error
    while cause is not None:
        answer = getattr(cause, "response", None)
        if isinstance(answer, dict):
            return str(answer.get("Error", {}).get("Code", ""))
        cause = cause.__context__
    return ""


def _note(release_id: int) -> str:
    return f"releases/{release_id}.json"


def _place(file: StoredFile) -> str:
    return f"files/{file.sha256}"


def _parse(body: bytes, name: str) -> Stored:
    try:
        told: dict[str, Any] = json.loads(body)
        identity.require_known(int(told["format"]), name)
        files = {key: StoredFile(**each) for key, each in told["files"].items()}
        return Stored(**{**told, "files": files})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ReleaseError(
            f"{name} in the object store is not what Boathouse puts there.",
            hint="Check BOATHOUSE_RELEASES: nothing else may lie under that prefix.",
        ) from error
