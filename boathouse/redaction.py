"""Taking passwords out of what is shown: the one place that does so.

The second wall. The engine is not given any password that it could tell (see
`boathouse.catalog_server`); this is for what it, a library or a person writes all the same.
"""

import re
import traceback

from boathouse.settings import environment_variable

_SHOWN = "…"
_NAME = r"\w*(?:password|passwd|secret_access_key)"
_PATTERNS = (
    re.compile(r"(?P<before>://[^\s/:@'\"]*:)(?P<secret>[^\s/'\"]*)(?=@)"),  # of a URL
    re.compile(
        rf"(?P<before>\b{_NAME}\s*=\s*|['\"]{_NAME}['\"]\s*:\s*)"
        r"(?P<secret>'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|[^\s'\"&;]+)",
        re.IGNORECASE,
    ),
)
_VARIABLES = ("PGPASSWORD", "AWS_SECRET_ACCESS_KEY", "BOATHOUSE_SMTP_PASSWORD")


def without_passwords(text: str) -> str:
    """Return a text with … in place of every password in an address, or of the environment."""
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<before>{_SHOWN}", text)
    for name in _VARIABLES:
        if secret := environment_variable(name):
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", _SHOWN, text)
    return text


def told(error: BaseException) -> str:
    """Return the traceback of an error, with those it comes from, without passwords."""
    return without_passwords("".join(traceback.format_exception(error)))
