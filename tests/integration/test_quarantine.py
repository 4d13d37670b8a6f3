"""What was rejected can be listed, and loaded again once after a fix."""

from pathlib import Path

import pytest
from yards import COLUMNS, Yard

from boathouse.ingest.quarantine import replay, waiting

HEADER = "id,name,amount\n"


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path).source()


def rejected(yard: Yard) -> Yard:
    """Deliver a file of which two rows of four are bad."""
    yard.deliver("a.csv", HEADER + "1,one,1\n2,two,many\n3,three,3\n4,four,few\n")
    yard.load()
    return yard


def test_list_groups_rows_by_what_is_wrong_with_them(yard: Yard) -> None:
    rejected(yard)
    yard.deliver("b.csv", "id,nothing\n1,2\n")
    yard.load()
    found = waiting(yard.settings)
    assert [(group.rows, group.files, group.example_row) for group in found.rows] == [(2, 1, 2)]
    assert "amount" in found.rows[0].reasons[0]
    assert [(file.source, file.name) for file in found.files] == [("things", "b.csv")]
    assert "name" in found.files[0].reason


def test_nothing_waits_in_an_empty_home(yard: Yard) -> None:
    found = waiting(yard.settings)
    assert (found.rows, found.files) == ([], [])


def test_rows_that_broke_a_rule_are_loaded_once_when_the_rule_is_gone(yard: Yard) -> None:
    rule = {"accepted_range": {"arguments": {"max_value": 2}}}
    yard.source(columns={**COLUMNS, "id": ["bigint!", rule]})
    yard.deliver("a.csv", HEADER + "1,one,1\n3,three,3\n4,four,4\n")
    yard.load()
    assert yard.raw("id, _row") == [(1, 1)]
    yard.source()
    yard.replay()
    assert yard.raw("id, _file, _row") == [(1, "a.csv", 1), (3, "a.csv", 2), (4, "a.csv", 3)]
    assert not waiting(yard.settings).rows
    yard.replay()
    assert len(yard.raw("id")) == 3


def test_what_is_still_bad_stays(yard: Yard) -> None:
    rejected(yard)
    report = yard.replay()
    assert len(yard.raw("id")) == 2
    assert [group.rows for group in waiting(yard.settings).rows] == [2]
    assert any("still" in problem.reason for problem in report.problems)


def test_a_rejected_file_that_was_mended_is_loaded(yard: Yard) -> None:
    yard.deliver("b.csv", "id,nothing\n1,2\n")
    yard.load()
    yard.rejected_file("b.csv").write_text(HEADER + "1,one,1\n")
    yard.replay()
    assert yard.raw("id, name, _file") == [(1, "one", "b.csv")]
    assert not waiting(yard.settings).files


def test_rows_of_a_file_that_was_delivered_anew_are_not_replayed(yard: Yard) -> None:
    rule = {"accepted_range": {"arguments": {"max_value": 2}}}
    yard.source(columns={**COLUMNS, "id": ["bigint!", rule]})
    yard.deliver("a.csv", HEADER + "1,one,1\n3,three,3\n")
    yard.load()
    yard.deliver("a.csv", HEADER + "1,one,1\n2,two,2\n")
    yard.load()
    yard.source()
    yard.replay()
    assert sorted(yard.raw("id")) == [(1,), (2,)]


def test_an_original_that_is_gone_from_the_archive_is_told(yard: Yard) -> None:
    rejected(yard)
    for path in yard.settings.archive_folder.rglob("a.csv"):
        path.rename(path.with_name("moved"))
    report = replay(yard.settings, yard.contracts)
    assert any("archive" in problem.reason for problem in report.problems)
    assert len(yard.raw("id")) == 2


def test_an_original_that_was_changed_in_the_archive_is_told_and_not_loaded(yard: Yard) -> None:
    rejected(yard)
    (original,) = yard.settings.archive_folder.rglob("a.csv")
    content = original.read_text()
    original.chmod(0o644)
    original.write_text(content.replace("many", "2").replace("few", "4"))
    report = replay(yard.settings, yard.contracts)
    assert any("has been changed" in problem.reason for problem in report.problems)
    assert sorted(yard.raw("id")) == [(1,), (3,)]
    assert [group.rows for group in waiting(yard.settings).rows] == [2]
