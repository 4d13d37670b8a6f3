"""Objects below one prefix of an S3 store, with the credentials of the AWS command line."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from boathouse.errors import BoathouseError, DeniedError, UnreachableError
from boathouse.redaction import without_passwords
from boathouse.settings import Settings, environment_variable

_DENIED = ("AccessDenied", "403", "401", "InvalidAccessKeyId", "SignatureDoesNotMatch")
_EXPIRED = ("ExpiredToken", "RequestExpired", "TokenRefreshRequired")
_MISSING = ("NoSuchKey", "404")
_CHANGED = ("PreconditionFailed", "412", "ConditionalRequestConflict", "409")
_CONNECT_SECONDS = 10
_READ_SECONDS = 60
_ATTEMPTS = 4
_AT_ONCE = 8  # requests: each waits for the store

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Entry:
    """An object as the store lists it; `etag` is another one for each version of it."""

    name: str  # below the prefix
    size: int
    modified: datetime
    etag: str


class ChangedError(BoathouseError):
    """An object is not the version any more that it was when it was looked at."""

    is_transient = True


@lru_cache(maxsize=8)
def of(settings: Settings, name: str) -> "Bucket":
    """Return what lies below the prefix that a setting names: `landing`, say.

    A process makes it once: that takes as long as some requests. Threads share one that was made
    before they began, since boto3 makes no two clients at the same time.
    """
    return Bucket(settings, getattr(settings, name), f"BOATHOUSE_{name.upper()}")


def at_once(act: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return what comes of some items, of which several are asked for at once."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(act, items))


class Bucket:
    """What lies below `address`, `s3://bucket/prefix`, as the setting of this name says.

    Everything here raises a DeniedError or an UnreachableError when the store does not let us in,
    or does not answer.
    """

    def __init__(self, settings: Settings, address: str, setting: str) -> None:
        import boto3  # takes a third of a second, which only who uses it should pay
        from botocore.config import Config

        self.address, self._setting = address.rstrip("/"), setting
        bucket, _, prefix = self.address.removeprefix("s3://").partition("/")
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

    def listed(self, folder: str = "") -> list[Entry]:
        """Return all objects below a folder."""
        with self._told():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._key(folder)
            )
            return [
                Entry(
                    each["Key"].removeprefix(self._prefix),
                    each["Size"],
                    each["LastModified"],
                    each["ETag"],
                )
                for page in pages
                for each in page.get("Contents", [])
            ]
        return []

    def look(self, name: str) -> Entry | None:
        """Return what the store says of an object; None when it is not there."""
        with self._told():
            there = self._client.head_object(**self._named(name))
            return Entry(name, there["ContentLength"], there["LastModified"], there["ETag"])
        return None

    def get(self, name: str) -> tuple[bytes, str] | None:
        """Return an object's content and etag; None when it is not there."""
        with self._told():
            answer = self._client.get_object(**self._named(name))
            return answer["Body"].read(), answer["ETag"]
        return None

    def put(self, name: str, body: bytes) -> None:
        """Write an object at once, whatever was there."""
        with self._told():
            self._client.put_object(**self._named(name), Body=body)

    def replace(self, name: str, body: bytes, before: str | None) -> None:
        """Write an object at once in the place of the version with this etag, or of none.

        Raises:
            ChangedError: it is another version that is there.
        """
        condition = {"IfNoneMatch": "*"} if before is None else {"IfMatch": before}
        with self._told():
            self._client.put_object(**self._named(name), Body=body, **condition)

    def upload(self, path: Path, name: str) -> None:
        """Write a file as an object; others see it when it is there as a whole."""
        with self._told():
            self._client.upload_file(str(path), self._bucket, self._key(name))

    def download(self, name: str, path: Path) -> bool:
        """Write an object into a file; returns False when it is not there."""
        with self._told():
            self._client.download_file(self._bucket, self._key(name), str(path))
            return True
        return False

    def download_version(self, entry: Entry, path: Path) -> bool:
        """Write this version of an object into a file; returns False when it is not there."""
        with suppress(ChangedError), self._told():
            answer = self._client.get_object(**self._named(entry.name), IfMatch=entry.etag)
            with path.open("wb") as file:
                shutil.copyfileobj(answer["Body"], file)
            return True
        return False

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""
        with self._told():
            self._client.delete_object(**self._named(name))

    def delete_version(self, entry: Entry) -> None:
        """Delete an object if it is this version that is there.

        It is looked at before, too: not every store heeds the condition.
        """
        with suppress(ChangedError), self._told():
            named = self._named(entry.name)
            self._client.head_object(**named, IfMatch=entry.etag)
            self._client.delete_object(**named, IfMatch=entry.etag)

    # -- below -----------------------------------------------------------------------------

    def _key(self, name: str) -> str:
        return f"{self._prefix}{name}"

    def _named(self, name: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._key(name)}

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Leave a `with` block when an object is missing; raise our own for all other errors.

        A disk that is full, say, is none of ours.
        """
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (ClientError, BotoCoreError, Boto3Error) as error:
            code = _code(error)
            if code not in _MISSING:
                raise self._as_expected(error, code) from error

    def _as_expected(self, error: Exception, code: str) -> BoathouseError:
        text = without_passwords(str(error).partition("\n")[0])
        name = type(error).__name__
        if code in _CHANGED:
            return ChangedError(f"{self.address} was changed by somebody else at this moment.")
        is_denied = code in (*_DENIED, *_EXPIRED) or "Credential" in name or "Token" in name
        if is_denied or code == "NoSuchBucket" or "Profile" in name:
            return DeniedError(
                f"{self.address} does not let us in: {text}",
                hint=f"Check {self._setting}, and give credentials as to the AWS command line: "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), or the "
                "role of the machine.",
                place=self.address,
            )
        return UnreachableError(
            f"{self.address} does not answer: {text}",
            hint=f"Check the server, the network, {self._setting} and BOATHOUSE_S3_ENDPOINT. "
            "Nothing is half done: run it again once it answers.",
            place=self.address,
        )


def _code(error: BaseException) -> str:
    """Return the code of what the store has answered, empty when it has not."""
    cause: BaseException | None = error
    while cause is not None:
        answer: Any = getattr(cause, "response", None)
        if isinstance(answer, dict):
            return str(answer.get("Error", {}).get("Code", ""))
        cause = cause.__context__
    return ""
