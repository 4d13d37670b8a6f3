"""The object store of a lake: where it is, and with whose credentials it is asked."""

from urllib.parse import urlsplit

import duckdb

from boathouse import extensions
from boathouse.errors import DeniedError
from boathouse.settings import Settings
from boathouse.sql import literal

SECRET = "boathouse"
_SCHEME = "s3://"
# Where credentials are looked for, in the order of the AWS command line.
_CHAIN = "env;config;sso;process;web_identity;instance"
_AMAZON = "s3.amazonaws.com"
# What DuckDB reads from the environment, and shows to whoever asks for its settings.
_SHOWN = ("s3_access_key_id", "s3_secret_access_key", "s3_session_token")


def open_store(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Let a connection read and write the lake's files, if they are in an object store.

    Credentials are those of the AWS command line: the environment, a profile, a single sign-on or
    the role of the machine. They are kept as a secret of the engine, whose settings do not show
    them.

    Raises:
        DeniedError: there are none.
    """
    if not settings.data_path.startswith(_SCHEME):
        return
    extensions.load(con, "httpfs", "aws")
    options = {"chain": _CHAIN, "refresh": "auto", **_address(con, settings)}
    told = ", ".join(f"{name} {literal(value)}" for name, value in options.items())
    try:
        con.execute(
            f"create or replace secret {SECRET} (type s3, provider credential_chain, {told})"
        )
    except duckdb.Error as error:
        if "Secret Validation Failure" not in str(error):
            raise
        raise DeniedError(
            f"There are no credentials for {settings.data_path}.",
            hint="Give them as to the AWS command line: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), or the role of the machine.",
        ) from error
    for name in _SHOWN:
        con.execute(f"set {name} = ''")


def _address(con: duckdb.DuckDBPyConnection, settings: Settings) -> dict[str, str]:
    """Return how the store is reached: as the settings say, else DuckDB's own environment."""
    said = dict(
        con.execute(
            "select name, value from duckdb_settings() "
            "where name in ('s3_endpoint', 's3_region', 's3_url_style', 's3_use_ssl')"
        ).fetchall()
    )
    endpoint, is_safe = said.get("s3_endpoint") or "", said.get("s3_use_ssl") or "true"
    if settings.s3_endpoint:
        address = urlsplit(settings.s3_endpoint)
        endpoint, is_safe = address.netloc, str(address.scheme == "https").lower()
    region = settings.s3_region or said.get("s3_region")
    is_amazon = endpoint in ("", _AMAZON)
    found = {"use_ssl": is_safe}
    if not is_amazon:
        found["endpoint"] = endpoint
    if region:
        found["region"] = region
    # Other servers seldom have a name for each bucket.
    found["url_style"] = settings.s3_url_style or ("vhost" if is_amazon else "path")
    return found
