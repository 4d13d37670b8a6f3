"""How the PostgreSQL server of a shared catalogue is asked for, without telling its password.

The engine gets the password as a secret of its own and never in an address, which it shows in its
errors and to whoever asks it for its databases.
"""

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from boathouse.errors import UsageError
from boathouse.settings import Settings, environment_variable

SECRET = "boathouse_catalog"
TOKEN = "boathouse.token"  # the setting of a session by which its commits are known
# A transaction of the lake waits while files are read or written; it ends with its process.
_PATIENT = "-c idle_in_transaction_session_timeout=0"


def parameters(settings: Settings) -> dict[str, str]:
    """Return what the address of the catalogue says, by libpq's names.

    Raises:
        UsageError: it is not one that PostgreSQL's clients understand.
    """
    try:
        told = conninfo_to_dict(settings.postgres or "")
    except psycopg.Error:
        raise UsageError(
            "BOATHOUSE_CATALOG is no address that PostgreSQL's clients understand.",
            hint="Use postgresql://user@host/database, or postgres:host=… dbname=…; what is "
            "special in an address (such as @ or / in a password) is written as %40 or %2F.",
        ) from None  # what it says has the address
    return {name: str(value) for name, value in told.items()}


def password(settings: Settings) -> str:
    """Return the password in the address of the catalogue; empty when there is none."""
    return parameters(settings).get("password", "")


def address(settings: Settings, token: int | None) -> str:
    """Return the address for the engine: without the password, and with the writer's token.

    Args:
        settings: Which catalogue.
        token: What commits carry: see `boathouse.shared_lock`; None for who only reads.

    Raises:
        UsageError: as `parameters` says.
    """
    told = parameters(settings)
    told.pop("password", None)
    options = [told.get("options") or environment_variable("PGOPTIONS") or "", _PATIENT]
    if token is not None:
        options.append(f"-c {TOKEN}={token}")
    told["options"] = " ".join(options).strip()
    return make_conninfo("", **told)
