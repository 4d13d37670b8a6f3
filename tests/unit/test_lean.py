"""dbt made lean comes to the same: types of answers, lines of its log, plugins."""

from pathlib import Path

import pytest
from dbt.events.logging import _get_logfile_config
from dbt.plugins.manager import PluginManager
from dbt_common.clients import agate_helper
from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.logger import LineFormat
from dbt_common.events.types import Note, PrintEvent

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


def test_plugins_are_looked_for_once() -> None:
    assert "dbt" not in PluginManager.get_prefixed_modules()
    assert PluginManager.get_prefixed_modules() is PluginManager.get_prefixed_modules()
