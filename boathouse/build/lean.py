"""Spares dbt what it does again for every command, and what it does for nobody.

dbt is made for one command in a process, and waits for a database far away. In ours it answers in
milliseconds, and `watch` runs two commands for every delivery. What comes out stays the same.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any


@cache
def make_lean() -> None:
    """Make dbt lean in this process, once."""
    _look_for_plugins_once()
    _write_no_line_that_is_thrown_away()
    _keep_type_testers()


def _look_for_plugins_once() -> None:
    # They are found among all modules that Python can see: thousands of names, at every command.
    from dbt.plugins.manager import PluginManager

    found = cache(PluginManager.get_prefixed_modules)
    PluginManager.get_prefixed_modules = staticmethod(found)


def _write_no_line_that_is_thrown_away() -> None:
    # A line for the log is put together, and searched for secrets, before its level is looked at.
    from dbt_common.events.base_types import EventLevel
    from dbt_common.events.logger import _is_print_event, _log_level_map, _Logger

    write_line = _Logger.write_line

    def write_what_is_kept(self: _Logger, msg: Any) -> None:
        least = _log_level_map[self.level]
        if _is_print_event(msg) or _log_level_map[EventLevel(msg.info.level)] >= least:
            write_line(self, msg)

    _Logger.write_line = write_what_is_kept  # type: ignore[method-assign]


def _keep_type_testers() -> None:
    # One is made for every answer to a query: each learns all that there is to parse dates.
    from dbt_common.clients import agate_helper

    make = cache(agate_helper.build_type_tester)

    def type_tester(
        text_columns: Iterable[str], string_null_values: Iterable[str] | None = ("null", "")
    ) -> Any:
        nulls = None if string_null_values is None else tuple(string_null_values)
        return make(frozenset(text_columns), nulls)

    agate_helper.build_type_tester = type_tester
