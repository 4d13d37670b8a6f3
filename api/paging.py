"""Cursors: where a page ended, in which release, for which question."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from api.problems import ProblemError

MAX_LENGTH = 4096


@dataclass(frozen=True)
class Cursor:
    """The end of a page: `place` is what tells where the next one begins."""

    release_id: int
    mark: str  # tells two releases with the same number apart
    question: str
    place: list[Any]

    def encode(self) -> str:
        """Return it as clients get it."""
        parts = [self.release_id, self.mark, self.question, self.place]
        return base64.urlsafe_b64encode(orjson.dumps(parts)).rstrip(b"=").decode()


def question(endpoint: str, asked: Mapping[str, Any]) -> str:
    """Return a digest that is equal for equal questions to one endpoint."""
    known = {name: str(each) if _is_wide(each) else each for name, each in asked.items()}
    text = orjson.dumps([endpoint, known], default=str, option=orjson.OPT_SORT_KEYS)
    return blake2b(text, digest_size=9).hexdigest()


def decode(text: str, asked: str, places: Sequence[type | tuple[type, ...]]) -> Cursor:
    """Return the cursor that a client sent back.

    Args:
        text: What the client sent.
        asked: Digest of the question that it belongs to, from `question`.
        places: Types that the values of its place must have.

    Raises:
        ProblemError: it is none of ours, or belongs to another question.
    """
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        parts = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        release_id, mark, of, place = parts
        is_ours = (
            type(release_id) is int
            and isinstance(mark, str)
            and isinstance(of, str)
            and isinstance(place, list)
            and 0 < release_id < 2**63
        )
    except (ValueError, TypeError, binascii.Error):
        is_ours = False
    if not is_ours:
        raise ProblemError(400, "This is no cursor of this API. Ask again without `cursor`.")
    if of != asked:
        raise ProblemError(
            400,
            "This cursor belongs to another question: endpoint and filters must stay as they were "
            "on the first page.",
        )
    is_sane = all(map(isinstance, place, places)) and not any(map(_is_wide, place))
    if len(place) != len(places) or not is_sane:
        raise ProblemError(400, "This cursor has been changed. Ask again without `cursor`.")
    return Cursor(release_id, mark, of, place)


def _is_wide(value: Any) -> bool:
    """Return whether something is a number that does not fit into 64 bits."""
    return isinstance(value, int) and not -(2**63) <= value < 2**63
