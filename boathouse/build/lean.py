"""Spares dbt what it does again for every command, and what it does for nobody.

dbt is made for one command in a process, and waits for a database far away. In ours it answers in
milliseconds, and `watch` runs two commands for every delivery. What comes out stays the same.
"""

import sys
from collections.abc import Iterable
from functools import cache, partial
from types import CodeType
from typing import Any

_MOST_TEXTS = 10_000


@cache
def make_lean() -> None:
    """Make dbt lean in this process, once."""
    _look_for_plugins_once()
    _write_no_line_that_is_thrown_away()
    _make_no_event_that_nobody_takes()
    _keep_type_testers()
    _name_the_module_that_asks_for_flags()
    _gather_macros_in_sets()
    _compile_each_text_once()


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


def _make_no_event_that_nobody_takes() -> None:
    # Each is made a message, and that a part of another one, before anybody is asked: a thousand
    # of them for a build of forty nodes, nearly all for the sake of debugging. A listener may say
    # in `takes` which ones it looks at; all others are for it only while an error is handled.
    from dbt.tracking import track_behavior_change_warn
    from dbt_common.events.base_types import BaseEvent, DebugLevel, EventLevel
    from dbt_common.events.event_manager import EventManager
    from dbt_common.events.logger import PRINT_EVENT_NAMES, _log_level_map

    track_behavior_change_warn.takes = frozenset({"BehaviorChangeEvent"})
    fire_event, begin = EventManager.fire_event, BaseEvent.__init__
    get, put = BaseEvent.__getattr__, BaseEvent.__setattr__

    def fire_what_is_taken(
        self: EventManager, e: BaseEvent, level: EventLevel | None = None, *rest: Any, **more: Any
    ) -> None:
        name, rank = type(e).__name__, _log_level_map[level or e.level_tag()]
        if (
            rank >= _log_level_map[EventLevel.INFO]
            or name in PRINT_EVENT_NAMES
            or sys.exception() is not None
            or any(rest)
            or any(more.values())
            or any(rank >= _log_level_map[logger.level] for logger in self.loggers)
            or any(name in getattr(listener, "takes", [name]) for listener in self.callbacks)
        ):
            fire_event(self, e, level, *rest, **more)

    def begin_later(self: BaseEvent, *args: Any, **kwargs: Any) -> None:
        if isinstance(self, DebugLevel):
            self.__dict__["begin"] = partial(begin, self, *args, **kwargs)
        else:
            begin(self, *args, **kwargs)

    def begin_now(self: BaseEvent) -> None:
        if "begin" in self.__dict__:
            self.__dict__.pop("begin")()

    def get_begun(self: BaseEvent, key: str) -> Any:
        begin_now(self)
        return get(self, key)  # type: ignore[no-untyped-call]

    def put_begun(self: BaseEvent, key: str, value: Any) -> None:
        begin_now(self)
        put(self, key, value)  # type: ignore[no-untyped-call]

    EventManager.fire_event = fire_what_is_taken  # type: ignore[method-assign]
    BaseEvent.__init__ = begin_later  # type: ignore[method-assign]
    BaseEvent.__getattr__ = get_begun  # type: ignore[method-assign]
    BaseEvent.__setattr__ = put_begun  # type: ignore[method-assign]


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


def _name_the_module_that_asks_for_flags() -> None:
    # For its name alone the source of every function on the stack is read, flag by flag.
    from dbt_common import behavior_flags

    passed = (__name__, behavior_flags.__name__)

    def default_source() -> str:
        frame = sys._getframe()
        while frame.f_back is not None and frame.f_globals["__name__"] in passed:
            frame = frame.f_back
        return str(frame.f_globals["__name__"])

    named = staticmethod(default_source)
    behavior_flags.BehaviorFlagRendered._default_source = named  # type: ignore[method-assign]


def _gather_macros_in_sets() -> None:
    # Each node has a context of its own, with all macros that there are, some six hundred.
    from dbt.clients.jinja import MacroGenerator
    from dbt.context.configured import ConfiguredContext
    from dbt.context.macros import MacroNamespace, MacroNamespaceBuilder
    from dbt.context.manifest import ManifestContext

    to_dict, above = ManifestContext.to_dict, ConfiguredContext.to_dict

    def begin(
        self: MacroGenerator, macro: Any, context: Any = None, node: Any = None, stack: Any = None
    ) -> None:
        self.macro, self.context, self.node, self.stack = macro, context, node, stack

    def add_macros(self: MacroNamespaceBuilder, macros: Iterable[Any], ctx: Any) -> None:
        by_package: dict[str, dict[str, MacroGenerator]] = {}
        for macro in macros:
            made = MacroGenerator(macro, ctx, self.node, self.thread_ctx)
            by_package.setdefault(macro.package_name, {})[macro.name] = made
        for package, named in by_package.items():
            if package in self.internal_package_names:
                self.internal_packages.setdefault(package, {}).update(named)
                continue
            self.packages.setdefault(package, {}).update(named)
            if package == self.search_package:
                self.locals.update(named)
            elif package == self.root_package:
                self.globals.update(named)

    def with_macros(self: ManifestContext) -> Any:
        if not isinstance(self.namespace, MacroNamespace):
            return to_dict(self)
        context = above(self)
        for macros in reversed(list(self.namespace._search_order())):
            context.update(macros)
        return context

    MacroGenerator.__init__ = begin
    MacroNamespaceBuilder.add_macros = add_macros
    ManifestContext.to_dict = with_macros


def _compile_each_text_once() -> None:
    # The same models, tests and hooks are compiled for each command, into the same code.
    from dbt_common.clients import jinja

    known: dict[tuple[str, type], CodeType] = {}
    compile_text = jinja.MacroFuzzEnvironment.compile  # of which the native one is a kind

    def compile_once(self: Any, source: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(source, str) or args or kwargs:
            return compile_text(self, source, *args, **kwargs)
        key = (source, type(self))
        code = known.get(key)
        if code is None:
            if len(known) >= _MOST_TEXTS:
                known.clear()
            code = known[key] = compile_text(self, source)
        return code

    jinja.MacroFuzzEnvironment.compile = compile_once  # type: ignore[method-assign]
