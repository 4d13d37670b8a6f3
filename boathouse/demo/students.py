"""Demo data of the domain `students`: deliveries of an evaluation system.

Columns, their order, vocabularies and quoting are those of the UCI data set 320 "Student
Performance" (https://archive.ics.uci.edu/dataset/320); shares and averages are close to its
`student-mat.csv`. Every file depends on the seed, its day, its course and the scale alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from boathouse.demo.common import (
    DemoOptions,
    Document,
    Floats,
    GeneratedFile,
    Ints,
    choose,
    choose_faults,
    random_for,
    write_faulty_files,
    write_file,
)

SOURCE = "student_performance"

STUDENTS = 395  # per file, at scale 1
FEWEST_STUDENTS = 40
WITH_EMPTY_VALUE = 0.01
REPEATED = 0.005

COLUMNS = (
    "school", "sex", "age", "address", "famsize", "Pstatus", "Medu", "Fedu", "Mjob", "Fjob",
    "reason", "guardian", "traveltime", "studytime", "failures", "schoolsup", "famsup", "paid",
    "activities", "nursery", "higher", "internet", "romantic", "famrel", "freetime", "goout",
    "Dalc", "Walc", "health", "absences", "G1", "G2", "G3",
)  # fmt: skip
TEXT_COLUMNS = frozenset(
    ("school", "sex", "address", "famsize", "Pstatus", "Mjob", "Fjob", "reason", "guardian",
     "schoolsup", "famsup", "paid", "activities", "nursery", "higher", "internet", "romantic")
)  # fmt: skip
# UCI quotes two of the three grades as if they were text.
QUOTED_COLUMNS = TEXT_COLUMNS | {"G1", "G2"}

FAULTS = (
    "age_99",
    "grade_21",
    "grade_negative",
    "text_in_number",
    "not_a_number",
    "fields_missing",
    "fields_too_many",
)

# Job weights by education 0 … 4: teachers and health workers studied, others less so.
JOBS = ("at_home", "health", "other", "services", "teacher")
MOTHERS_JOBS = ((5, 0, 4, 2, 0), (6, 0.3, 9, 3, 0), (5, 1, 12, 6, 0.2), (3, 2, 8, 8, 2),
                (1.5, 4, 4, 6, 9))  # fmt: skip
FATHERS_JOBS = ((2, 0, 5, 2, 0), (1.5, 0.2, 12, 5, 0), (1, 0.4, 12, 6, 0.2), (0.8, 0.8, 10, 6, 1),
                (0.6, 2, 7, 5, 5))  # fmt: skip


@dataclass(frozen=True)
class Course:
    """What tells the files of one course from those of the other."""

    file_stem: str
    delimiter: str
    share_of_gp: float
    average_grade: float
    share_of_dropouts: float


COURSES = (
    Course("student-mat", ";", share_of_gp=0.88, average_grade=11.1, share_of_dropouts=0.095),
    Course("student-por", ",", share_of_gp=0.65, average_grade=11.6, share_of_dropouts=0.025),
)


def write_student_performance(folder: Path, options: DemoOptions) -> Iterator[GeneratedFile]:
    """Write `student-mat_YYYY-MM-DD.csv` and `student-por_…` every second day; yield the files.

    Mathematics is delimited by `;`, Portuguese by `,`. About 395 * scale (40 at least) rows each;
    some with an empty value, some repeated exactly. With `dirty`, faulty files come beside those
    of the last delivery.
    """
    days = _delivery_days(options)
    for day in days:
        for course in COURSES:
            cells = _cells(_students(course, day, options), course, day, options)
            faults = choose_faults(
                random_for(options, SOURCE, course.file_stem, "faults", day),
                cells.height,
                options.dirty,
                FAULTS,
            )
            header = course.delimiter.join(COLUMNS)
            document = Document(_as_lines(cells, faults, course.delimiter), header)
            path = write_file(folder, f"{course.file_stem}_{day}.csv", document.encode())
            file = GeneratedFile(SOURCE, path, cells.height)
            yield file
            if options.dirty and day == days[-1]:
                yield from _faulty_files(file, document.head(), cells.head(), course.delimiter)


def _delivery_days(options: DemoOptions) -> list[date]:
    """Every second day of the calendar, so that a later range has the same ones; never none."""
    days = options.day_range()
    return [day for day in days if day.toordinal() % 2 == 0] or days[-1:]


def _students(course: Course, day: date, options: DemoOptions) -> pl.DataFrame:
    """Typed rows, believable one by one and together: grades follow ability, failures, study."""
    rng = random_for(options, SOURCE, course.file_stem, day)
    count = max(FEWEST_STUDENTS, round(STUDENTS * options.scale * rng.uniform(0.97, 1.03)))

    def drawn(weights: dict[Any, float]) -> npt.NDArray[Any]:
        return choose(rng, count, weights)

    def yes(share: float | Floats) -> npt.NDArray[np.str_]:
        return np.where(rng.random(count) < share, "yes", "no")

    ability = rng.normal(size=count)
    failures = rng.binomial(3, np.clip(0.08 - 0.11 * ability, 0.01, 0.7))
    repeated_year = (failures > 0) & (rng.random(count) < 0.7)
    mothers_education = drawn({0: 1, 1: 15, 2: 26, 3: 25, 4: 33})
    fathers_education = np.clip(mothers_education - drawn({-1: 14, 0: 50, 1: 24, 2: 12}), 0, 4)
    study_time = drawn({1: 27, 2: 50, 3: 16, 4: 7})
    weekend_alcohol = drawn({1: 38, 2: 22, 3: 20, 4: 13, 5: 7})
    support = mothers_education - 2.5 + (study_time - 2)
    is_dropout = rng.random(count) < course.share_of_dropouts * np.clip(1 - ability, 0.1, 3)
    first, second, final = _grades(
        rng, course.average_grade + 2.5 * ability + 0.3 * support - 0.7 * failures, is_dropout
    )
    return pl.DataFrame(
        {
            "school": drawn({"GP": course.share_of_gp, "MS": 1 - course.share_of_gp}),
            "sex": drawn({"F": 53, "M": 47}),
            "age": drawn({15: 22, 16: 28, 17: 27, 18: 20, 19: 3}) + repeated_year * failures,
            "address": drawn({"U": 78, "R": 22}),
            "famsize": drawn({"GT3": 71, "LE3": 29}),
            "Pstatus": drawn({"T": 90, "A": 10}),
            "Medu": mothers_education,
            "Fedu": fathers_education,
            "Mjob": _jobs(rng, mothers_education, MOTHERS_JOBS),
            "Fjob": _jobs(rng, fathers_education, FATHERS_JOBS),
            "reason": drawn({"course": 37, "home": 27, "reputation": 27, "other": 9}),
            "guardian": drawn({"mother": 69, "father": 23, "other": 8}),
            "traveltime": drawn({1: 65, 2: 27, 3: 6, 4: 2}),
            "studytime": study_time,
            "failures": failures,
            "schoolsup": yes(np.where(ability < 0, 0.2, 0.06)),
            "famsup": yes(0.61),
            "paid": yes(0.46 if course.file_stem == "student-mat" else 0.06),
            "activities": yes(0.51),
            "nursery": yes(0.8),
            "higher": yes(np.clip(0.97 + 0.08 * ability, 0.5, 0.99)),
            "internet": yes(0.65 + 0.07 * mothers_education),
            "romantic": yes(0.33),
            "famrel": drawn({1: 2, 2: 5, 3: 17, 4: 49, 5: 27}),
            "freetime": drawn({1: 5, 2: 16, 3: 40, 4: 29, 5: 10}),
            "goout": drawn({1: 6, 2: 26, 3: 33, 4: 22, 5: 13}),
            "Dalc": np.maximum(weekend_alcohol - drawn({0: 12, 1: 40, 2: 32, 3: 16}), 1),
            "Walc": weekend_alcohol,
            "health": drawn({1: 12, 2: 11, 3: 23, 4: 17, 5: 37}),
            "absences": np.where(is_dropout, 0, _absences(rng, count)),
            "G1": first,
            "G2": second,
            "G3": final,
        }
    ).select(COLUMNS)


def _grades(
    rng: np.random.Generator, expected: Floats, is_dropout: npt.NDArray[np.bool_]
) -> tuple[Ints, Ints, Ints]:
    """Grades 0 … 20 of the three periods; each follows the one before. A dropout ends at 0."""
    count = len(expected)
    first = np.clip(np.rint(expected + rng.normal(0, 1.4, count)), 3, 19)
    second = np.clip(np.rint(first + rng.normal(-0.1, 1.5, count)), 4, 19)
    final = np.clip(np.rint(second + rng.normal(0.2, 1.0, count)), 4, 20)
    left_early = is_dropout & (rng.random(count) < 1 / 3)
    second = np.where(left_early, 0, second)
    final = np.where(is_dropout, 0, final)
    return first.astype(np.int64), second.astype(np.int64), final.astype(np.int64)


def _jobs(
    rng: np.random.Generator, education: Ints, weights: tuple[tuple[float, ...], ...]
) -> npt.NDArray[np.str_]:
    """A job for each parent, by the weights of the parent's education."""
    cumulative = np.cumsum(np.array(weights), axis=1)
    of_parent = cumulative[education]
    drawn = rng.random(len(education)) * of_parent[:, -1]
    job: npt.NDArray[np.str_] = np.array(JOBS)[(drawn[:, np.newaxis] >= of_parent).sum(axis=1)]
    return job


def _absences(rng: np.random.Generator, count: int) -> Ints:
    """Lessons missed: none for a quarter, few for most, many for some (75 at most)."""
    some = np.clip(np.ceil(rng.gamma(0.9, 8.5, count)), 1, 75)
    return np.where(rng.random(count) < 0.25, 0, some).astype(np.int64)


def _cells(students: pl.DataFrame, course: Course, day: date, options: DemoOptions) -> pl.DataFrame:
    """The rows as text for the file, quoted like UCI's, with empty values and repeated rows."""
    rng = random_for(options, SOURCE, course.file_stem, "delivery", day)
    count = students.height
    column_left_empty = np.where(
        rng.random(count) < WITH_EMPTY_VALUE, rng.integers(len(COLUMNS), size=count), -1
    )
    left_empty = pl.Series(column_left_empty)
    cells = students.select(
        pl.when(left_empty == position)
        .then(pl.lit('""' if name in QUOTED_COLUMNS else ""))
        .otherwise(pl.format('"{}"' if name in QUOTED_COLUMNS else "{}", name))
        .alias(name)
        for position, name in enumerate(COLUMNS)
    )
    repeats = rng.integers(count, size=max(1, round(REPEATED * count)))
    order = np.insert(np.arange(count), rng.integers(count, size=len(repeats)), repeats)
    return cells[order]


def _as_lines(cells: pl.DataFrame, faults: pl.Series, delimiter: str) -> pl.Series:
    """One line per row, faulty where `faults` names a fault."""
    fault = pl.col("fault")
    instead = {
        "age": ("age_99", "99"),
        "absences": ("text_in_number", "many"),
        "G1": ("grade_negative", '"-1"'),
        "G2": ("not_a_number", "NaN"),
        "G3": ("grade_21", "21"),
    }
    written = cells.with_columns(faults).with_columns(
        pl.when(fault == kind).then(pl.lit(text)).otherwise(column).alias(column)
        for column, (kind, text) in instead.items()
    )
    line = pl.concat_str(COLUMNS, separator=delimiter)
    return written.select(
        line=pl.when(fault == "fields_missing")
        .then(pl.concat_str(COLUMNS[:-2], separator=delimiter))
        .when(fault == "fields_too_many")
        .then(pl.concat_str(line, pl.lit(f'{delimiter}"yes"')))
        .otherwise(line)
    ).to_series()


def _faulty_files(
    file: GeneratedFile, good: Document, cells: pl.DataFrame, delimiter: str
) -> Iterator[GeneratedFile]:
    accented = Document(
        good.records.str.replace_all('"mother"', '"mãe"', literal=True), good.header
    )
    kept = [column for column in COLUMNS if column != "school"]
    without_school = Document(
        cells.select(pl.concat_str(kept, separator=delimiter)).to_series(), delimiter.join(kept)
    )
    yield from write_faulty_files(file, good=good, latin1=accented, wrong_columns=without_school)
