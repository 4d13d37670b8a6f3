"""dbt made lean comes to the same: types of answers, lines of its log, plugins, macros, texts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dbt.clients.jinja import MacroGenerator, MacroStack, get_rendered
from dbt.context.macros import MacroNamespaceBuilder
from dbt.context.manifest import ManifestContext
from dbt.events.logging import _get_logfile_config
from dbt.exceptions import CompilationError
from dbt.plugins.manager import PluginManager
from dbt_common.behavior_flags import Behavior, BehaviorFlag
from dbt_common.clients import agate_helper, jinja
from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.logger import LineFormat
from dbt_common.events.types import Formatting, Note, PrintEvent, RetryExternalCall

from boathouse.build.lean import make_lean


@pytest.fixture(autouse=True)
def _lean() -> None:
    make_lean()


@pytest.mark.parametrize("text_columns", [(), ("code",), ("code", "none")])
def test_answers_have_the_types_that_their_rows_say(text_columns: tuple[str, ...]) -> None:
    rows = [["007", 1, None], ["8", 2, None]]
    for _ in range(2):
        table = agate_helper.table_from_rows(rows, ["code", "number", "none"], text_columns)
        assert [type(each).__name__ for each in table.column_types] == [
            "Text" if "code" in text_columns else "Number",
            "Integer",
            "Text" if "none" in text_columns else "Integer",
        ]
        code = "007" if "code" in text_columns else 7
        assert table.rows[0][0] == code


def test_log_has_the_lines_of_its_level_and_above(tmp_path: Path) -> None:
    log = tmp_path / "dbt.log"
    manager = EventManager()
    manager.add_logger(
        _get_logfile_config(str(log), False, LineFormat.DebugText, EventLevel.INFO, 10_000)
    )
    for level in EventLevel:
        manager.fire_event(Note(msg=f"told as {level.value}"), level=level)
    manager.fire_event(PrintEvent(msg="printed"), level=EventLevel.DEBUG)
    manager.flush()
    told = [line.rpartition("]: ")[2] for line in log.read_text().splitlines()]
    assert told == ["told as info", "told as warn", "told as error", "printed"]


class Listener:
    """Hears messages, and remembers what they say."""

    def __init__(self, *takes: str) -> None:
        self.heard: list[str] = []
        if takes:
            self.takes = takes

    def __call__(self, message: Any) -> None:
        self.heard.append(message.data.msg)


def test_listener_hears_all_or_what_it_takes() -> None:
    everything, notes = Listener(), Listener("Note")
    manager = EventManager()
    manager.callbacks = [everything, notes]
    manager.fire_event(Note(msg="a note"), level=EventLevel.DEBUG)
    manager.fire_event(Formatting("layout"), level=EventLevel.DEBUG)
    assert everything.heard == notes.heard == ["a note", "layout"]
    manager.callbacks = [notes]
    manager.fire_event(Formatting("not taken"), level=EventLevel.DEBUG)
    manager.fire_event(Formatting("for all"), level=EventLevel.INFO)
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        manager.fire_event(Formatting("while it ends"), level=EventLevel.DEBUG)
    assert notes.heard == ["a note", "layout", "for all", "while it ends"]


def test_event_says_what_it_was_made_of() -> None:
    event = RetryExternalCall(attempt=2, max=5)
    assert event.message() == "Retrying external call. Attempt: 2 Max attempts: 5"
    assert event.to_dict() == {"attempt": 2, "max": 5}
    event.attempt = 3
    assert (event.attempt, event.pb_msg.attempt) == (3, 3)
    other = RetryExternalCall(attempt=2, max=5)
    other.max = 6
    assert (other.attempt, other.max) == (2, 6)
    with pytest.raises(Exception, match="Unable to parse"):
        RetryExternalCall(attempt="second").message()


def macro(package: str, name: str) -> Any:
    return SimpleNamespace(package_name=package, name=name, unique_id=f"macro.{package}.{name}")


def test_macros_of_the_nearest_package_win() -> None:
    packages = ("inner", "dbt", "root", "own", "other")
    macros = {
        package: {name: macro(package, name) for name in ("all", *packages[: number + 1])}
        for number, package in enumerate(packages)
    }
    node, stack = object(), MacroStack()
    builder = MacroNamespaceBuilder("root", "own", stack, ["inner", "dbt"], node)
    context: dict[str, Any] = {}
    namespace = builder.build_namespace(macros, context)
    found = {name: each.macro.package_name for name, each in namespace.local_namespace.items()}
    assert found == dict.fromkeys(("all", "inner", "dbt", "root", "own"), "own")
    all_in = namespace.global_project_namespace["all"]
    assert isinstance(all_in, MacroGenerator)
    assert (all_in.macro.package_name, all_in.node, all_in.stack) == ("inner", node, stack)
    assert all_in.context is context

    class Context(ManifestContext):
        def __init__(self) -> None:
            self._ctx = {"all": "given", "mine": "given"}
            self.namespace = namespace

        def generate_builtins(self) -> dict[str, Any]:
            return {}

    flat = Context().to_dict()
    assert flat["mine"] == "given" and set(flat) > set(namespace)
    assert {name: flat[name] for name in namespace} == dict(namespace)
    assert flat["all"].macro.package_name == "own"
    assert flat["other"]["all"].macro.package_name == "other"


def test_text_is_compiled_once_and_rendered_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    generate = jinja.MacroFuzzEnvironment._generate

    def noted(self: Any, source: Any, *args: Any, **more: Any) -> str:
        compiled.append(type(self).__name__)
        return generate(self, source, *args, **more)

    for environment in (jinja.MacroFuzzEnvironment, jinja.NativeSandboxEnvironment):
        monkeypatch.setattr(environment, "_generate", noted)
    text = "{{ number * 2 }} of test_text_is_compiled_once"
    for number in (1, 2, 3):
        rendered = get_rendered(text, {"number": number})
        assert rendered == f"{2 * number} of test_text_is_compiled_once"
    assert get_rendered("{{ [number] }}", {"number": 4}, native=True) == [4]
    assert get_rendered("{{ [number] }}", {"number": 4}) == "[4]"
    assert compiled == ["MacroFuzzEnvironment", "NativeSandboxEnvironment", "MacroFuzzEnvironment"]
    for _ in range(2):
        with pytest.raises(CompilationError):
            get_rendered("{{ number", {"number": 1})


def test_plugins_are_looked_for_once() -> None:
    assert "dbt" not in PluginManager.get_prefixed_modules()
    assert PluginManager.get_prefixed_modules() is PluginManager.get_prefixed_modules()


def test_flag_names_the_module_that_asks_for_it() -> None:
    flags = Behavior([BehaviorFlag(name="x", default=False, description="A flag.")], {})
    assert flags.x._behavior_change_event.flag_source == __name__
