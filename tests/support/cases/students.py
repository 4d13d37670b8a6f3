"""Students: records in files that are delivered again, corrected, and repeat themselves."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, median
from typing import Any, NamedTuple

from hypothesis import strategies as st

from support.order import DomainCase, File, Rows, SourceCase

TYPICAL = {
    "school": "GP", "sex": "F", "age": 18, "address": "U", "famsize": "GT3", "Pstatus": "A",
    "Medu": 4, "Fedu": 4, "Mjob": "at_home", "Fjob": "teacher", "reason": "course",
    "guardian": "mother", "traveltime": 2, "studytime": 2, "failures": 0, "schoolsup": "yes",
    "famsup": "no", "paid": "no", "activities": "no", "nursery": "yes", "higher": "yes",
    "internet": "no", "romantic": "no", "famrel": 4, "freetime": 3, "goout": 4, "Dalc": 1,
    "Walc": 1, "health": 3, "absences": 6, "G1": 5, "G2": 6, "G3": 6,
}  # fmt: skip
FLAGS = (
    "schoolsup", "famsup", "paid", "activities", "nursery", "higher", "internet", "romantic",
)  # fmt: skip
COLUMNS = [name.lower() for name in TYPICAL]
TRAVEL_TIMES = {
    1: "less than 15 minutes",
    2: "15 to 30 minutes",
    3: "30 minutes to 1 hour",
    4: "more than 1 hour",
}

# What the marts ask about varies much; `""` is an empty cell, 31 and 21 are out of range.
_VARYING: dict[str, list[Any]] = {
    "school": ["GP", "gp", "MS"],
    "sex": ["F", "M"],
    "age": [19, 20, 18, 31],
    "address": ["R", "U"],
    "famsize": ["GT3", "LE3"],
    "Pstatus": ["A", "T"],
    "Mjob": ["health", "At_Home", "other"],
    "Fjob": ["teacher", "services", "other", "health"],
    "traveltime": [1, 2, 3],
    "failures": [0, 1, 2],
    "schoolsup": ["yes", "no", ""],
    "famrel": [1, 3, 4],
    "absences": [0, 1, 5, ""],
    "G3": [9, 10, 21],
}

Student = tuple[Any, ...]
Good = dict[str, Any]  # a record that reached the mart, with its course

_students = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in _VARYING.items()}
).map(lambda varied: tuple({**TYPICAL, **varied}.values()))


def write(students: Sequence[Student]) -> bytes:
    """Return the file's text as the evaluation system writes it."""
    lines = [";".join(TYPICAL), *(";".join(str(value) for value in each) for each in students)]
    return "".join(f"{line}\n" for line in lines).encode()


def reference(files: Sequence[File]) -> dict[str, Rows]:
    """Return all marts as they must be for these files."""
    good = [student for file in files for student in _good(file)]
    return {
        "fct_student_performance": [tuple(student[c] for c in FACT_COLUMNS) for student in good],
        "rpt_student_metrics": _metrics(good),
        "rpt_mothers_jobs": list(
            {(s["course"], s["mjob"]) for s in good if s["sex"] == "m" and s["age"] < 20}
        ),
        "rpt_rural_travel_time": _rural_travel_time(good),
        "rpt_fathers_jobs": _fathers_jobs(good),
        "rpt_class_failures": _class_failures(good),
        "rpt_absences_by_family_relations": _absences(good),
    }


def _good(file: File) -> list[Good]:
    course = None
    if file.name.startswith("student-mat"):
        course = "mathematics"
    elif file.name.startswith("student-por"):
        course = "portuguese"
    distinct: dict[tuple[Any, ...], Good] = {}
    for record in file.records:
        student = {
            name: value.lower() if isinstance(value, str) else value
            for name, value in zip(COLUMNS, record, strict=True)
        }
        if "" in student.values() or student["age"] > 30 or student["g3"] > 20:
            continue
        for flag in FLAGS:
            student[flag] = student[flag] == "yes"
        student["course"] = course
        student["source_file"] = file.name
        student["is_passed"] = student["g3"] >= 10
        student["grade_average"] = fmean((student["g1"], student["g2"], student["g3"]))
        distinct[tuple(student.values())] = student
    return list(distinct.values())


FACT_COLUMNS = ["course", "source_file", *COLUMNS, "is_passed", "grade_average"]


class Metrics(NamedTuple):
    course: str | None
    school: str
    sex: str
    students: int
    average_g1: float
    average_g2: float
    average_g3: float
    pass_rate: float
    median_absences: float
    average_study_time: float


def _grouped(students: Iterable[Good], *names: str) -> Iterable[tuple[tuple[Any, ...], list[Good]]]:
    groups: dict[tuple[Any, ...], list[Good]] = defaultdict(list)
    for student in students:
        groups[tuple(student[name] for name in names)].append(student)
    return groups.items()


def _metrics(good: list[Good]) -> list[Metrics]:
    return [
        Metrics(
            *group,
            len(theirs),
            fmean(s["g1"] for s in theirs),
            fmean(s["g2"] for s in theirs),
            fmean(s["g3"] for s in theirs),
            fmean(s["is_passed"] for s in theirs),
            float(median(s["absences"] for s in theirs)),
            fmean(s["studytime"] for s in theirs),
        )
        for group, theirs in _grouped(good, "course", "school", "sex")
    ]


def _most_frequent(
    students: Iterable[Good], column: str, row: Callable[[Any, int], tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    counts = Counter(student[column] for student in students)
    return [row(value, count) for value, count in counts.items() if count == max(counts.values())]


def _rural_travel_time(good: list[Good]) -> Rows:
    rural = [student for student in good if student["address"] == "r"]
    return [
        (*group, *found)
        for group, theirs in _grouped(rural, "course")
        for found in _most_frequent(theirs, "traveltime", lambda v, n: (v, TRAVEL_TIMES[v], n))
    ]


def _fathers_jobs(good: list[Good]) -> Rows:
    rows = []
    for group, theirs in _grouped(good, "course", "pstatus"):
        counts = Counter(student["fjob"] for student in theirs)
        best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:3]
        rows += [(*group, rank, job, count) for rank, (job, count) in enumerate(best, 1)]
    return rows


def _class_failures(good: list[Good]) -> Rows:
    return [
        (*group, *found)
        for group, theirs in _grouped(good, "course", "famsize")
        for found in _most_frequent(theirs, "failures", lambda v, n: (v, n))
    ]


def _absences(good: list[Good]) -> Rows:
    strained = [student for student in good if student["famrel"] <= 3]
    return [
        (*group, len(theirs), float(median(s["absences"] for s in theirs)))
        for group, theirs in _grouped(strained, "course", "sex", "famrel")
    ]


CASE = DomainCase(
    domain="students",
    sources={
        "student_performance": SourceCase(
            names=["student-mat.csv", "student-mat-2.csv", "student-por.csv", "students.csv"],
            records=st.lists(_students, min_size=1, max_size=6),
            write=write,
        )
    },
    marts={
        "fct_student_performance": FACT_COLUMNS,
        "rpt_student_metrics": Metrics._fields,
        "rpt_mothers_jobs": ("course", "mjob"),
        "rpt_rural_travel_time": ("course", "traveltime", "travel_time_label", "students"),
        "rpt_fathers_jobs": ("course", "pstatus", "rank", "fjob", "students"),
        "rpt_class_failures": ("course", "famsize", "failures", "students"),
        "rpt_absences_by_family_relations": (
            "course",
            "sex",
            "famrel",
            "students",
            "median_absences",
        ),
    },
    reference=reference,
)
