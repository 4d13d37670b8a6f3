"""Keys of the API: made once, shown once, kept as hashes in `api_keys.json`.

A key is 256 random bits, so one round of SHA-256 hides it: there is nothing to guess that a slow
hash would protect. Its first part is a public name for logs and for revoking.
"""

import hmac
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256

from filelock import FileLock
from limits import parse

from boathouse.contracts import load_contracts
from boathouse.errors import UsageError
from boathouse.settings import Settings

EVERYTHING = "*"
FILE = "api_keys.json"
_PREFIX = "bh"


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept; the secret itself is not in it."""

    key_id: str
    name: str
    scopes: tuple[str, ...]  # domains, or `*` for all
    rate: str  # most requests, such as `1000/minute`
    sha256: str
    created_at: str  # UTC
    revoked_at: str | None = None

    def as_dict(self) -> dict[str, object]:
        """Return what may be shown of it."""
        return {name: value for name, value in asdict(self).items() if name != "sha256"}

    def allows(self, domain: str) -> bool:
        """Return whether it is for a domain."""
        return EVERYTHING in self.scopes or domain in self.scopes


class KeyRing:
    """The keys of one home, read again when the file has changed."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.home_folder / FILE
        self._read: tuple[tuple[int, int], dict[str, ApiKey]] | None = None

    def list(self) -> Sequence[ApiKey]:
        """Return all keys, the oldest first, with those that were revoked."""
        return list(self._keys().values())

    def find(self, secret: str) -> ApiKey | None:
        """Return the valid key that has this secret, or None."""
        prefix, _, rest = secret.partition("_")
        key = self._keys().get(rest.partition("_")[0]) if prefix == _PREFIX else None
        expected = key.sha256 if key is not None else _hash("")
        is_right = hmac.compare_digest(_hash(secret), expected)
        return key if key is not None and is_right and key.revoked_at is None else None

    def create(self, name: str, scopes: Sequence[str], rate: str) -> tuple[ApiKey, str]:
        """Make a key and return it with its secret, which nobody can read again."""
        key_id = secrets.token_hex(4)
        secret = f"{_PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
        key = ApiKey(key_id, name, tuple(scopes), rate, _hash(secret), _now())
        with self._changing() as keys:
            keys[key_id] = key
        return key, secret

    def revoke(self, key_id: str) -> ApiKey:
        """Make a key invalid from now on, and return it.

        Raises:
            UsageError: there is no such key.
        """
        with self._changing() as keys:
            if key_id not in keys:
                raise UsageError(
                    f"There is no API key {key_id}.", hint="`boathouse api-key list` shows them."
                )
            if keys[key_id].revoked_at is None:
                keys[key_id] = replace(keys[key_id], revoked_at=_now())
            return keys[key_id]

    def _keys(self) -> dict[str, ApiKey]:
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return {}
        mark = (stat.st_ino, stat.st_mtime_ns)
        if self._read is None or self._read[0] != mark:
            self._read = mark, self._load()
        return self._read[1]

    def _load(self) -> dict[str, ApiKey]:
        try:
            stored = json.loads(self._path.read_text(encoding="utf-8"))
            keys = [ApiKey(**{**each, "scopes": tuple(each["scopes"])}) for each in stored]
        except (ValueError, TypeError, KeyError) as error:
            raise UsageError(
                f"{self._path} does not hold API keys: {error}",
                hint="Put it back from a backup, or delete it and make new keys.",
            ) from error
        return {key.key_id: key for key in keys}

    @contextmanager
    def _changing(self) -> Iterator[dict[str, ApiKey]]:
        """Let a `with` block change the keys; what it leaves is stored as a whole."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_name(".api_keys.lock")):
            keys = self._load() if self._path.exists() else {}
            yield keys
            written = self._path.with_name(f".{self._path.name}")
            with suppress(FileNotFoundError):
                written.unlink()
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as f:
                json.dump([asdict(key) for key in keys.values()], f, indent=1)
                f.flush()
                os.fsync(f.fileno())
            written.replace(self._path)


def check_scopes(settings: Settings, scopes: Sequence[str]) -> None:
    """Do nothing if every scope is a domain of the project, or `*`.

    Raises:
        UsageError: one is not; says which there are.
    """
    domains = {contract.domain for contract in load_contracts(settings.project).values()}
    for scope in scopes:
        if scope != EVERYTHING and scope not in domains:
            raise UsageError(
                f"There is no domain {scope}.", hint=f"There is {', '.join(sorted(domains))}, or *."
            )


def check_rate(rate: str) -> None:
    """Do nothing if it is a rate such as `1000/minute`.

    Raises:
        UsageError: it is not.
    """
    try:
        parse(rate)
    except ValueError:
        raise UsageError(
            f"{rate} is no rate.", hint="Write it as 100/second, 1000/minute or 5000/hour."
        ) from None


def _hash(secret: str) -> str:
    return sha256(secret.encode(errors="replace")).hexdigest()


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
