"""`boathouse api-key …`: who may use the API."""

from typing import Annotated

import typer

from boathouse.cli.commands import app
from boathouse.cli.options import Debug, Json, print_json, read_settings

keys_app = typer.Typer(help="Who may use the API.", no_args_is_help=True)
app.add_typer(keys_app, name="api-key")


@keys_app.command(epilog="Example: `boathouse api-key create game-backend --scope sessions`")
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, for the list and the log.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(metavar="DOMAIN", help="A domain it is for; may be repeated [default: all]."),
    ] = None,
    rate: Annotated[
        str, typer.Option(metavar="COUNT/UNIT", help="Most requests it may send.")
    ] = "6000/minute",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a key and show it, this once: only a hash of it is kept."""
    from boathouse.api_keys import EVERYTHING, KeyRing, check_rate, check_scopes
    from boathouse.cli import show

    settings = read_settings()
    scopes = scope or [EVERYTHING]
    check_scopes(settings, scopes)
    check_rate(rate)
    key, secret = KeyRing(settings).create(name, scopes, rate)
    print_json({**key.as_dict(), "secret": secret}) if json else show.new_key(key, secret)


@keys_app.command("list", epilog="Example: `boathouse api-key list`")
def list_keys(json: Json = False, debug: Debug = False) -> None:
    """List the keys; nobody can see the keys themselves again."""
    from boathouse.api_keys import KeyRing
    from boathouse.cli import show

    found = KeyRing(read_settings()).list()
    print_json([key.as_dict() for key in found]) if json else show.api_keys(found)


@keys_app.command(epilog="Example: `boathouse api-key revoke 1f2e3d4c`")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="As `boathouse api-key list` says.")],
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Make a key invalid, at once."""
    from boathouse.api_keys import KeyRing
    from boathouse.cli import show

    key = KeyRing(read_settings()).revoke(key_id)
    print_json(key.as_dict()) if json else show.revoked(key)
