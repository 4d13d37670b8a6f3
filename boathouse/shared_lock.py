"""The writer lock of a catalogue in PostgreSQL, by which machines exclude each other.

It is an advisory lock of that database, which lasts as long as its session. A session can end
without its owner noticing, and then somebody else writes. So who takes the lock also takes the
next number, its token, which every commit through the lake's connections carries; a trigger in the
catalogue refuses commits whose token is not the newest. Beside the token stands who has it.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import duckdb
import psycopg
from psycopg.errors import InsufficientPrivilege, InvalidAuthorizationSpecification, InvalidPassword
from psycopg.errors import LockNotAvailable as LockNotAvailableError

from boathouse import catalog_server
from boathouse.errors import DeniedError, LakeBusyError, LockLostError, UnreachableError
from boathouse.redaction import without_passwords
from boathouse.settings import Settings
from boathouse.sql import literal

ADVISORY_KEY = 0x426F6174  # "Boat": any number that all of us agree on
_META = "__ducklake_metadata_lake"
_TABLE = "boathouse_writer"
_NOTED = ("command", "pid", "host", "home", "since")
_AGAIN = "Nothing is half done: run it again."
# A session that has nothing to do must stay, and one whose machine has gone must end soon.
_SESSION = {
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "lock_timeout": "1s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}
# `for share` lets the next writer wait for a commit that has begun. DuckLake tries a commit again
# whose error has words such as “conflict” or “unique” in it.
_FENCE = f"""
    create table if not exists {_TABLE} (
        token bigint not null,
        session integer,
        command text,
        pid integer,
        host text,
        home text,
        since text
    );
    insert into {_TABLE} (token) select 0 where not exists (select from {_TABLE});
    create or replace function {_TABLE}_is_newest() returns trigger
    language plpgsql security definer set search_path from current as $$
    declare
        carried text := current_setting('{catalog_server.TOKEN}', true);
        newest {_TABLE}%rowtype;
    begin
        if carried <> '' then
            select * into newest from {_TABLE} for share;
            if newest.token is distinct from carried::bigint then
                raise exception
                    'The writer lock was lost: "%" (process % on %) has taken it since.',
                    newest.command, newest.pid, newest.host using hint = '{_AGAIN}';
            end if;
        end if;
        return null;
    end $$;
    drop trigger if exists {_TABLE}_is_newest on ducklake_snapshot;
    create trigger {_TABLE}_is_newest before insert or delete on ducklake_snapshot
    for each statement execute function {_TABLE}_is_newest();
"""
_IS_FENCED = f"""
    select count(*) > 0 from pg_trigger
    where tgrelid = to_regclass('ducklake_snapshot') and tgname = '{_TABLE}_is_newest'
        and tgenabled <> 'D' and to_regclass('{_TABLE}') is not null
"""
_HOLDING = f"""
    select pid as session from pg_locks
    where locktype = 'advisory' and granted and objsubid = 1
        and classid = {ADVISORY_KEY >> 32} and objid = {ADVISORY_KEY & 0xFFFFFFFF}
        and database = (select oid from pg_database where datname = current_database())
"""


class SharedLock:
    """The session that holds the lock, or waits for it."""

    def __init__(self, settings: Settings) -> None:
        """Open the session.

        Raises:
            UnreachableError, DeniedError: the server does not answer, or does not let us in.
        """
        self.token: int | None = None  # None as long as the catalogue does not ask for it
        self._note: list[Any] = []
        told: dict[str, Any] = {
            "application_name": "boathouse",
            **catalog_server.parameters(settings),
        }
        try:
            self._session = psycopg.connect(**told, autocommit=True)
        except psycopg.Error as error:
            raise _trouble(error) from error
        self._ask(
            "select set_config(name, %s::json ->> name, false) from pg_settings "
            "where name = any(%s)",
            [json.dumps(_SESSION), list(_SESSION)],
        )

    def acquire(self, note: dict[str, Any], pause: Callable[[Callable[[], str]], None]) -> None:
        """Take the lock, tell everybody, and take a token if the catalogue asks for it.

        Args:
            note: Who writes, for `holder`.
            pause: Called after each attempt in vain, with what tells who writes, or nothing when
                that is not known; may raise.

        Raises:
            UnreachableError, DeniedError: the server does not answer any more, or refuses.
        """
        self._note = [note[name] for name in _NOTED]
        while not self._ask(f"select pg_try_advisory_lock({ADVISORY_KEY})"):
            pause(self._writing)
        if not self._ask(_IS_FENCED):
            return  # there is no lake yet, or only older versions have written in it
        while self.token is None:
            # An earlier writer, whose session has ended, may be in the middle of a commit.
            with suppress(_WaitingError):
                self._take_token()
                return
            pause(self._writing)

    def fence(self) -> bool:
        """Let the catalogue, which is known to be the right one, refuse old tokens from now on.

        Returns whether it did not do so before; then a token was taken.
        """
        if self.token is not None:
            return False
        try:
            with self._session.transaction():
                self._session.execute(_FENCE)
        except psycopg.Error as error:
            raise _trouble(error) from error
        self._take_token()
        return True

    def require(self) -> None:
        """Do nothing while the lock is ours.

        Raises:
            LockLostError: its session has ended, or somebody has taken it since.
        """
        try:
            newest = self._session.execute(
                "select 1" if self.token is None else f"select token from {_TABLE}"
            ).fetchone()
        except psycopg.Error as error:
            raise LockLostError(
                "The writer lock of the shared catalogue was lost: its session has ended "
                f"({_said(error)}).",
                hint=_AGAIN,
            ) from error
        if self.token is not None and newest != (self.token,):
            raise LockLostError(
                "The writer lock of the shared catalogue was lost: its session had ended, and "
                f"{self._newest() or 'somebody else'} has taken it since.",
                hint=_AGAIN,
            )

    def close(self) -> None:
        """Let the lock go, whatever has become of its session."""
        self._session.close()

    def _take_token(self) -> None:
        columns = "".join(f", {name} = %s" for name in _NOTED)
        self.token = self._ask(
            f"update {_TABLE} set token = token + 1, session = pg_backend_pid(){columns} "
            "returning token",
            self._note,
        )

    def _writing(self) -> str:
        return self._newest(f"session in ({_HOLDING})")

    def _newest(self, condition: str = "true") -> str:
        """Return who has taken the lock last, as people are told; empty when that is not known."""
        if not self._ask(f"select to_regclass('{_TABLE}') is not null"):
            return ""
        told = (
            "select format('`%s` (process %s on %s, home %s, since %s UTC)', "
            f"command, pid, host, home, left(since, 19)) from {_TABLE} where {condition}"
        )
        return self._ask(told) or ""

    def _ask(self, query: str, values: list[Any] | None = None) -> Any:
        """Return the first value of the answer."""
        try:
            row = self._session.execute(query, values).fetchone()
        except LockNotAvailableError:
            raise _WaitingError from None
        except psycopg.Error as error:
            raise _trouble(error) from error
        return row[0] if row else None


class _WaitingError(Exception):
    """Somebody else has the row of the token."""


def holder(con: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
    """Return what the one noted who has the lock now; empty if nothing, None if nobody has it.

    Args:
        con: Where the catalogue is attached.
    """
    sessions = _asked(con, _HOLDING)
    if not sessions:
        return None
    if _asked(con, f"select to_regclass('{_TABLE}') is not null as is_there") == [(True,)]:
        noted = _asked(con, f"select session, {', '.join(_NOTED)} from {_TABLE}")
        for session, *values in noted:
            if (session,) in sessions:
                return dict(zip(_NOTED, values, strict=True))
    return {}


def _asked(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return con.execute(f"from postgres_query('{_META}', {literal(query)})").fetchall()


def _trouble(error: psycopg.Error) -> LakeBusyError | DeniedError:
    """Return our own error for what the server, or the way to it, has said."""
    is_denied = isinstance(
        error, InsufficientPrivilege | InvalidAuthorizationSpecification | InvalidPassword
    )
    if is_denied or "authentication failed" in str(error):
        return DeniedError(
            f"The catalogue's PostgreSQL server refuses: {_said(error)}",
            hint="Check the user and the password in BOATHOUSE_CATALOG, and the user's rights: who "
            "writes needs those on the tables of the lake, and on boathouse_writer.",
        )
    return UnreachableError(
        f"The catalogue's PostgreSQL server cannot be reached: {_said(error)}",
        hint="Check BOATHOUSE_CATALOG, and that the server is running.",
        place="the catalogue's server",
    )


def _said(error: psycopg.Error) -> str:
    return without_passwords(str(error).strip()) or type(error).__name__
