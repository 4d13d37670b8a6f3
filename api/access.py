"""Who may ask, for what, and how often."""

import time
from functools import lru_cache

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from starlette.datastructures import Headers

from api.problems import ProblemError
from boathouse.api_keys import ApiKey, KeyRing

OPEN_PATHS = ("/health", "/ready", "/openapi.json")
_HOW = (
    "Send a key as `Authorization: Bearer …` or `X-API-Key: …`; `boathouse api-key create` "
    "makes one."
)


class Access:
    """Lets requests in; counts those of each key."""

    def __init__(self, keys: KeyRing, *, needs_key: bool) -> None:
        self._keys = keys
        self._needs_key = needs_key
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def admit(self, path: str, headers: Headers) -> ApiKey | None:
        """Return the key of a request; None for one that needs none.

        Raises:
            ProblemError: 401, without a key where one is needed, or with one that is not valid;
                429, more requests than the key may send.
        """
        secret = _presented(headers)
        if secret is None:
            if self._needs_key and path not in OPEN_PATHS:
                raise _unauthorized("A key is needed.")
            return None
        key = self._keys.find(secret)
        if key is None:
            raise _unauthorized("The key is not valid.")
        limit = _limit(key.rate)
        if not self._limiter.hit(limit, key.key_id):
            reset = self._limiter.get_window_stats(limit, key.key_id).reset_time
            seconds = max(1, round(reset - time.time()))
            raise ProblemError(
                429,
                f"This key may send {key.rate}. Try again in {seconds} s.",
                headers={"Retry-After": str(seconds)},
            )
        return key


def require(key: ApiKey | None, domain: str) -> None:
    """Do nothing if a request may see a domain.

    Raises:
        ProblemError: 403, the key is not for it.
    """
    if key is not None and not key.allows(domain):
        raise ProblemError(403, f"This key is for {', '.join(key.scopes)}, not for {domain}.")


def _presented(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return headers.get("x-api-key")


def _unauthorized(what: str) -> ProblemError:
    return ProblemError(401, f"{what} {_HOW}", headers={"WWW-Authenticate": "Bearer"})


@lru_cache(maxsize=1000)
def _limit(rate: str) -> RateLimitItem:
    return parse(rate)
