"""What dbt needs before its first statement: extensions, the lake, its tables, the writer lock.

dbt-duckdb calls this plugin (see `profiles.yml`) for every dbt command, so that `dbt build`
typed by hand behaves like `boathouse build`.
"""

import threading
from dataclasses import asdict
from functools import partial
from typing import Any

from dbt.adapters.duckdb.plugins import BasePlugin
from dbt.adapters.duckdb.utils import TargetConfig
from dbt.adapters.factory import get_adapter_by_type
from dbt.flags import get_flags
from dbt_common.exceptions import DbtBaseException
from dbt_common.invocation import get_invocation_id
from duckdb import DuckDBPyConnection

from boathouse import catalog, lake, lock
from boathouse.build import dbt, nodes, tested
from boathouse.build.combined import Block
from boathouse.build.combining import Combination
from boathouse.build.dbt_command import BUILDS, DbtCommand, is_cut
from boathouse.build.following import Following
from boathouse.build.lean import make_lean
from boathouse.contracts import load_contracts
from boathouse.errors import BoathouseError
from boathouse.settings import current_settings
from boathouse.sql import literal


class Plugin(BasePlugin):  # type: ignore[misc]  # dbt-duckdb has no types
    """Prepares each connection that dbt opens."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        """Read the settings; the profile itself has nothing to say."""
        self._settings = current_settings()
        self._following: tuple[Any, Following] | None = None
        self._lock = threading.Lock()  # of what belongs to the command that is running
        self._command: DbtCommand | None = None
        make_lean()

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        """Add the engine's limits to what the connection is opened with."""
        config.update(lake.config(self._settings))

    def configure_connection(self, conn: DuckDBPyConnection) -> None:
        """Take the lock if the command writes, attach the lake, and make its tables."""
        command = self._begin()
        try:
            opened = lake.attach(conn, self._settings)
        except BoathouseError as error:
            raise DbtBaseException(str(error)) from error  # dbt shows of others the traceback
        contracts = load_contracts(self._settings.project)
        if catalog.missing(opened, contracts):
            if lock.held_here(self._settings):
                catalog.ensure(opened, contracts)
            else:
                # A command that only reads still needs the raw tables to exist.
                with (
                    lock.writer(self._settings, f"dbt {command}"),
                    lake.connect(self._settings) as writing,
                ):
                    catalog.ensure(writing, contracts)
        if command in BUILDS:
            if nodes.is_for_release(get_flags(), get_adapter_by_type("duckdb").config):
                nodes.remember(opened, nodes.of_command(get_flags()), nodes.files_of_command())
            lake.suit_threads(conn, self._settings)

    def configure_cursor(self, cursor: Any) -> None:
        """Set what a cursor does not take over from its connection."""
        self._begin()  # the connection may be one that was kept open
        settings = [
            "set timezone = 'UTC'",
            f"set variable {tested.VARIABLE} = {tested.load_id()}",
            "set python_enable_replacements = false",  # see `lake.connect`
        ]
        if lock.held_here(self._settings) and (holder := lock.holder(self._settings)):
            # What meta.builds says has started the build.
            settings.append(f"set variable boathouse_command = {literal(holder.command)}")
        cursor.execute("; ".join(settings))
        dbt.note_cursor(cursor)

    def store(self, target_config: TargetConfig) -> None:
        """Answer a macro: dbt has no other way from SQL to Python.

        `config` holds the question and, under `answer`, the dictionary to be filled.
        """
        try:
            self._answer(target_config.config)
        except BoathouseError as error:
            raise DbtBaseException(str(error)) from error  # dbt shows of others the traceback

    def _answer(self, asked: dict[str, Any]) -> None:
        if "is_cut" in asked:
            asked["answer"]["is_cut"] = is_cut(get_flags())
            return
        following = self._of_command()
        if "following" in asked:
            asked["answer"].update(asdict(following.ask(asked["following"])))
        elif "narrow" in asked:
            asked["answer"]["sql"] = following.narrowed(asked["narrow"], asked["sql"])
        elif "combined" in asked:
            combination = Combination.of(asked["columns"], asked["by"])
            block = Block(asked["relation"], asked["block"], combination)
            asked["answer"]["sql"] = following.combined(asked["combined"], block, asked["known"])
        elif "begin" in asked:
            if self._command is not None:
                self._command.at_end(following.mark_microbatch())
        elif "nodes" in asked:
            asked["answer"].update(following.nodes)

    def _of_command(self) -> Following:
        """Return what the models of the command that is running have to do."""
        flags = get_flags()
        with self._lock:
            if self._following is None or self._following[0] is not flags:
                following = Following(
                    get_adapter_by_type("duckdb"),
                    partial(nodes.of_command, flags),
                    is_cut=is_cut(flags),
                    may_rebuild=self._settings.rebuild == "auto" or flags.FULL_REFRESH,
                )
                self._following = flags, following
            return self._following[1]

    def _begin(self) -> str:
        """Return the name of the command; its first connection begins it."""
        with self._lock:
            if self._command is None or self._command.invocation != get_invocation_id():
                self._command = DbtCommand(self._settings)
        try:
            self._command.begin()
        except BoathouseError as error:
            raise DbtBaseException(str(error)) from error  # dbt shows of others the traceback
        return self._command.name
