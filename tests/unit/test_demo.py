"""The demo data as a whole: same options same bytes, names, dirt, faulty files, wrong options."""

import gzip
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from boathouse.demo import GENERATORS, DemoOptions, GeneratedFile, generate
from boathouse.errors import UsageError

UNTIL = date(2024, 3, 10)
SMALL = DemoOptions(scale=0.05, days=4, until=UNTIL)
DIRTY = DemoOptions(scale=0.5, days=4, dirty=0.1, until=UNTIL)
SOURCES = sorted(GENERATORS)


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def bytes_by_name(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in files_below(folder)}


def content(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def faulty(files: list[GeneratedFile], fault: str) -> list[Path]:
    return [file.path for file in files if file.path.name.partition(".")[0].endswith(f"_{fault}")]


@pytest.mark.parametrize("source", SOURCES)
def test_same_options_give_same_bytes(source: str, tmp_path: Path) -> None:
    options = DemoOptions(scale=0.05, days=4, dirty=0.1, until=UNTIL)
    generate(tmp_path / "one", [source], options)
    generate(tmp_path / "two", [source], options)
    assert bytes_by_name(tmp_path / "one" / source) == bytes_by_name(tmp_path / "two" / source)


@pytest.mark.parametrize("source", SOURCES)
def test_another_seed_gives_other_bytes_under_the_same_names(source: str, tmp_path: Path) -> None:
    generate(tmp_path / "one", [source], SMALL)
    generate(tmp_path / "two", [source], DemoOptions(scale=0.05, days=4, seed=43, until=UNTIL))
    one, two = bytes_by_name(tmp_path / "one" / source), bytes_by_name(tmp_path / "two" / source)
    assert one.keys() == two.keys()
    assert all(one[name] != two[name] for name in one)


@pytest.mark.parametrize(
    # Purchases are a history, and a fleet's few files are spread over all days.
    "source",
    [source for source in SOURCES if source != "purchases" and not source.startswith("vehicle")],
)
def test_a_later_range_leaves_the_days_both_have_as_they_are(source: str, tmp_path: Path) -> None:
    generate(tmp_path / "one", [source], SMALL)
    generate(tmp_path / "two", [source], DemoOptions(scale=0.05, days=4, until=date(2024, 3, 11)))
    one, two = bytes_by_name(tmp_path / "one" / source), bytes_by_name(tmp_path / "two" / source)
    shared = one.keys() & two.keys()
    assert len(shared) >= 2
    assert all(one[name] == two[name] for name in shared)


def test_one_more_day_of_purchases_leaves_the_days_before_as_they_are(tmp_path: Path) -> None:
    generate(tmp_path / "one", ["purchases"], SMALL)
    later = DemoOptions(scale=0.05, days=5, until=date(2024, 3, 11))
    generate(tmp_path / "two", ["purchases"], later)
    one, two = (bytes_by_name(tmp_path / part / "purchases") for part in ("one", "two"))
    assert one.items() <= two.items()
    assert len(two) == 5


@pytest.mark.parametrize("source", SOURCES)
def test_files_lie_in_the_sources_folder_and_no_unfinished_one_stays(
    source: str, tmp_path: Path
) -> None:
    files = generate(tmp_path, [source], DIRTY)
    assert {file.source for file in files} == {source}
    assert sorted(file.path for file in files) == files_below(tmp_path / source)
    assert not [file.path for file in files if file.path.name.startswith(".")]


@pytest.mark.parametrize("source", SOURCES)
def test_rows_are_the_records_in_the_file(source: str, tmp_path: Path) -> None:
    plain = [file for file in generate(tmp_path, [source], DIRTY) if file.path.suffix != ".gz"]
    for file in plain:
        lines = content(file.path).count(b"\n")
        headers = 1 if ".csv" in file.path.name else 0
        assert file.rows == max(0, lines - headers), file.path.name


@pytest.mark.parametrize("source", SOURCES)
def test_about_the_asked_share_of_records_is_faulty(source: str, tmp_path: Path) -> None:
    clean_options = DemoOptions(scale=0.5, days=4, until=UNTIL)
    clean = generate(tmp_path / "clean", [source], clean_options)
    generate(tmp_path / "dirty", [source], DIRTY)
    total = changed = 0
    for file in clean:
        before = content(file.path).split(b"\n")
        name = file.path.relative_to(tmp_path / "clean")
        after = content(tmp_path / "dirty" / name).split(b"\n")
        assert len(before) == len(after), "a fault changes a record, it neither adds nor drops one"
        total += file.rows
        changed += sum(old != new for old, new in zip(before, after, strict=True))
    assert changed / total == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("source", SOURCES)
def test_clean_data_has_no_faulty_files(source: str, tmp_path: Path) -> None:
    files = generate(tmp_path, [source], SMALL)
    faults = ("empty", "header_only", "truncated", "latin1", "wrong_columns", "copy")
    assert not [path for fault in faults for path in faulty(files, fault)]


@pytest.mark.parametrize("source", SOURCES)
def test_faulty_files_are_what_their_names_say(source: str, tmp_path: Path) -> None:
    files = generate(tmp_path, [source], DIRTY)
    rows = {file.path: file.rows for file in files}

    empty = faulty(files, "empty")
    assert empty
    assert all(path.read_bytes() == b"" and rows[path] == 0 for path in empty)

    header_only = faulty(files, "header_only")
    assert bool(header_only) == (".csv" in empty[0].name)
    assert all(path.read_bytes().count(b"\n") == 1 and rows[path] == 0 for path in header_only)

    for path in faulty(files, "truncated"):
        assert path.suffix == ".gz"
        assert rows[path] == 0
        with pytest.raises(EOFError):
            gzip.decompress(path.read_bytes())

    for path in faulty(files, "latin1"):
        assert rows[path] > 0
        assert path.read_bytes().decode("latin-1")
        with pytest.raises(UnicodeDecodeError):
            path.read_bytes().decode("utf-8")

    for path in faulty(files, "copy"):
        original = path.with_name(path.name.replace("_copy", ""))
        assert path.read_bytes() == original.read_bytes()
        assert rows[path] == rows[original]

    for fault in ("truncated", "latin1", "copy", "wrong_columns"):
        assert len(faulty(files, fault)) == len(empty)


def test_data_grows_linearly_with_scale(tmp_path: Path) -> None:
    small = generate(tmp_path / "small", ["session_events"], SMALL)
    large = generate(
        tmp_path / "large", ["session_events"], DemoOptions(scale=0.5, days=4, until=UNTIL)
    )
    ratio = sum(file.rows for file in large) / sum(file.rows for file in small)
    assert ratio == pytest.approx(10, rel=0.05)


def test_the_last_day_is_yesterday_unless_told() -> None:
    before = datetime.now(UTC).date()
    last_day = DemoOptions().last_day
    after = datetime.now(UTC).date()
    assert before - timedelta(days=1) <= last_day <= after - timedelta(days=1)


def test_unknown_source_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no_such_source") as refusal:
        generate(tmp_path, ["purchases", "no_such_source"], SMALL)
    assert "purchases" in refusal.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 0.0},
        {"scale": -1.0},
        {"scale": float("nan")},
        {"days": 0},
        {"seed": -1},
        {"dirty": 1.5},
        {"dirty": -0.1},
    ],
)
def test_options_no_data_can_be_made_for_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        DemoOptions(**wrong)  # type: ignore[arg-type]
