"""The demo student files are UCI's in form, believable in content and odd as promised."""

import re
from datetime import date
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

from boathouse.demo import DemoOptions, GeneratedFile, generate

UNTIL = date(2024, 3, 10)
NAME = re.compile(r"student-(mat|por)_\d{4}-\d{2}-\d{2}\.csv")
UCI_HEADER = (
    "school;sex;age;address;famsize;Pstatus;Medu;Fedu;Mjob;Fjob;reason;guardian;traveltime;"
    "studytime;failures;schoolsup;famsup;paid;activities;nursery;higher;internet;romantic;famrel;"
    "freetime;goout;Dalc;Walc;health;absences;G1;G2;G3"
)
UCI_FILE = Path(__file__).parents[3] / "shared/data/students/student-mat.csv"
UCI_LINE = re.compile(
    r'("\w+";){2}\d+;("\w+";){3}(\d;){2}("\w+";){4}(\d;){3}("\w+";){8}(\d;){6}\d+;("\d+";){2}\d+'
)
YES_NO = {"yes", "no"}
JOBS = {"teacher", "health", "services", "at_home", "other"}
VOCABULARIES = {
    "school": {"GP", "MS"},
    "sex": {"F", "M"},
    "address": {"U", "R"},
    "famsize": {"GT3", "LE3"},
    "Pstatus": {"A", "T"},
    "Mjob": JOBS,
    "Fjob": JOBS,
    "reason": {"course", "home", "reputation", "other"},
    "guardian": {"mother", "father", "other"},
    **dict.fromkeys(("schoolsup", "famsup", "paid", "activities"), YES_NO),
    **dict.fromkeys(("nursery", "higher", "internet", "romantic"), YES_NO),
}
RANGES = {
    "age": (15, 22),
    **dict.fromkeys(("Medu", "Fedu"), (0, 4)),
    **dict.fromkeys(("traveltime", "studytime"), (1, 4)),
    "failures": (0, 3),
    **dict.fromkeys(("famrel", "freetime", "goout", "Dalc", "Walc", "health"), (1, 5)),
    "absences": (0, 75),
    **dict.fromkeys(("G1", "G2", "G3"), (0, 20)),
}


def read(file: GeneratedFile) -> pl.DataFrame:
    delimiter = ";" if "mat" in file.path.name else ","
    text = pl.read_csv(file.path, separator=delimiter, infer_schema=False)
    return text.with_columns(pl.all().replace("", None))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[GeneratedFile]:
    landing = tmp_path_factory.mktemp("landing")
    return generate(landing, ["student_performance"], DemoOptions(until=UNTIL))


@pytest.fixture(scope="module")
def students(files: list[GeneratedFile]) -> pl.DataFrame:
    return pl.concat(read(file) for file in files)


@pytest.fixture
def mathematics_lines(files: list[GeneratedFile]) -> list[str]:
    return next(f.path for f in files if "mat" in f.path.name).read_text().splitlines()


def test_both_courses_come_every_second_day(files: list[GeneratedFile]) -> None:
    assert all(NAME.fullmatch(file.path.name) for file in files)
    days = sorted({date.fromisoformat(file.path.stem[-10:]) for file in files})
    assert len(files) == 2 * len(days) == 14
    assert {(later - day).days for day, later in pairwise(days)} == {2}


@pytest.mark.parametrize("until", [date(2024, 3, 9), date(2024, 3, 10)])
def test_a_single_day_brings_files_too(until: date, tmp_path: Path) -> None:
    options = DemoOptions(scale=0.1, days=1, until=until)
    assert len(generate(tmp_path, ["student_performance"], options)) == 2


def test_header_is_uci_s_with_each_course_s_delimiter(files: list[GeneratedFile]) -> None:
    for file in files:
        header = file.path.read_text().partition("\n")[0]
        delimiter = ";" if "mat" in file.path.name else ","
        assert header == UCI_HEADER.replace(";", delimiter)


def test_lines_are_quoted_like_uci_s(mathematics_lines: list[str]) -> None:
    with_all_values = [line for line in mathematics_lines[1:] if not re.search(r';;|""|;$', line)]
    assert len(with_all_values) > 350
    assert all(UCI_LINE.fullmatch(line) for line in with_all_values)


@pytest.mark.skipif(not UCI_FILE.exists(), reason="the shared UCI file is not there")
def test_the_header_and_line_pattern_of_these_tests_fit_the_uci_file() -> None:
    header, *lines = UCI_FILE.read_text().splitlines()
    assert header == UCI_HEADER
    assert all(UCI_LINE.fullmatch(line) for line in lines)


def test_a_file_has_about_395_rows_and_40_at_least(
    files: list[GeneratedFile], tmp_path: Path
) -> None:
    assert all(file.rows == pytest.approx(395, rel=0.05) for file in files)
    few = generate(tmp_path, ["student_performance"], DemoOptions(scale=0.01, until=UNTIL))
    assert {file.rows for file in few} == {41}  # 40 and a repeated one


def test_values_are_in_uci_s_vocabularies_and_ranges(students: pl.DataFrame) -> None:
    for column, words in VOCABULARIES.items():
        assert set(students[column].drop_nulls()) == words, column
    for column, (low, high) in RANGES.items():
        values = students[column].drop_nulls().cast(pl.Int64)
        assert values.is_between(low, high).all(), column


def test_about_1_percent_of_rows_have_an_empty_value(students: pl.DataFrame) -> None:
    share = students.select(pl.any_horizontal(pl.all().is_null()).mean()).item()
    assert share == pytest.approx(0.01, abs=0.006)


def test_every_file_repeats_a_row_exactly(files: list[GeneratedFile]) -> None:
    for file in files:
        repeated = file.rows - read(file).n_unique()
        assert 1 <= repeated <= 5


def test_grades_follow_each_other_and_failures(students: pl.DataFrame) -> None:
    numbers = students.select(pl.col("G1", "G2", "G3", "failures").cast(pl.Int64)).drop_nulls()
    correlation = numbers.select(
        first=pl.corr("G1", "G2"), second=pl.corr("G2", "G3"), failures=pl.corr("failures", "G3")
    ).row(0, named=True)
    assert correlation["first"] > 0.7
    assert correlation["second"] > 0.7
    assert correlation["failures"] < -0.2


def test_absences_are_skewed(students: pl.DataFrame) -> None:
    absences = pl.col("absences").drop_nulls().cast(pl.Int64)
    skew, share_of_none = students.select(skew=absences.skew(), none=(absences == 0).mean()).row(0)
    assert skew > 1
    assert share_of_none > 0.2


def test_dirty_rows_have_every_promised_fault(tmp_path: Path) -> None:
    options = DemoOptions(days=2, dirty=0.5, until=UNTIL)
    lines = generate(tmp_path, ["student_performance"], options)[0].path.read_text().splitlines()
    fields = [line.split(";") for line in lines[1:]]
    assert {len(row) for row in fields} == {31, 33, 34}
    whole = [row for row in fields if len(row) == 33]
    assert any(row[2] == "99" for row in whole)
    assert any(row[29] == "many" for row in whole)
    assert any(row[30] == '"-1"' for row in whole)
    assert any(row[31] == "NaN" for row in whole)
    assert any(row[32] == "21" for row in whole)
