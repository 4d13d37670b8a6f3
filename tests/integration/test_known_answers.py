"""The answers that `domains.md` gives for data that everybody can look up, out of the marts.

Files go the way of every delivery: landing, load, build with all tests, release. The real files
are read from `../shared/data` (or `BOATHOUSE_SHARED_DATA`).
"""

import shutil
from collections.abc import Sequence
from datetime import date
from typing import Any

import duckdb
import pytest
from houses import SHARED_DATA, put
from support.homes import clone, copy_project

from boathouse import lake
from boathouse.build import dbt, prepare_manifest, run_build
from boathouse.contracts import load_contracts
from boathouse.ingest.loader import load
from boathouse.release import release
from boathouse.settings import Settings


def rows(settings: Settings, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query on the released warehouse."""
    con = duckdb.connect(str(settings.warehouse), read_only=True)
    try:
        return con.execute(query).fetchall()
    finally:
        con.close()


# -- students ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def students(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return a house with the real file of 395 students, released."""
    file = SHARED_DATA / "students" / "student-mat.csv"
    if not file.exists():
        pytest.skip(f"{file} is not there; set BOATHOUSE_SHARED_DATA to the folder of real data")
    folder = tmp_path_factory.mktemp("students")
    settings = Settings(
        project=copy_project(folder / "project", ["students"]),
        home=folder / "home",
        threads=2,  # as for real: the other tests take one
        settle_seconds=0,
    )
    put(settings, "student_performance", file.name, file.read_bytes())
    report = load(settings, load_contracts(settings.project))
    assert report.sources["student_performance"].rows_loaded == 395
    run_build(settings).require_green()
    release(settings)
    return settings


def test_every_student_is_in_the_mart_once(students: Settings) -> None:
    query = "select count(*), count(distinct student_key), any_value(course)"
    assert rows(students, f"{query} from marts.fct_student_performance") == [
        (395, 395, "mathematics")
    ]


def test_mothers_jobs_of_male_students_younger_than_20(students: Settings) -> None:
    found = rows(students, "select mjob from marts.rpt_mothers_jobs")
    assert sorted(found) == [("at_home",), ("health",), ("other",), ("services",), ("teacher",)]


def test_most_frequent_travel_time_of_rural_students(students: Settings) -> None:
    query = "select traveltime, travel_time_label, students from marts.rpt_rural_travel_time"
    assert rows(students, query) == [(1, "less than 15 minutes", 35)]


def test_three_most_frequent_fathers_jobs_per_cohabitation_status(students: Settings) -> None:
    query = "select pstatus, rank, fjob, students from marts.rpt_fathers_jobs order by all"
    assert rows(students, query) == [
        ("a", 1, "other", 23),
        ("a", 2, "services", 7),
        ("a", 3, "teacher", 5),
        ("t", 1, "other", 194),
        ("t", 2, "services", 104),
        ("t", 3, "teacher", 24),
    ]


def test_most_frequent_number_of_class_failures_per_family_size(students: Settings) -> None:
    query = "select famsize, failures, students from marts.rpt_class_failures order by all"
    assert rows(students, query) == [("gt3", 0, 222), ("le3", 0, 90)]


def test_median_absences_per_sex_and_family_relations(students: Settings) -> None:
    query = "select sex, famrel, median_absences from marts.rpt_absences_by_family_relations"
    assert rows(students, f"{query} order by all") == [
        ("f", 1, 10.0),
        ("f", 2, 5.0),
        ("f", 3, 3.0),
        ("m", 1, 5.0),
        ("m", 2, 7.0),
        ("m", 3, 4.0),
    ]


def test_metrics_add_up_to_the_known_numbers_of_students(students: Settings) -> None:
    query = "select sum(students)::bigint from marts.rpt_student_metrics where sex = "
    assert [rows(students, f"{query} '{sex}'") for sex in "fm"] == [[(208,)], [(187,)]]


# -- purchases -----------------------------------------------------------------------------

FIRST = b"""PurchaseID,product,user,date
1002313003,12,1003431,2022-05-20
1002313002,13,1003432,2021-06-19
1002313004,14,1003433,2023-07-21
"""
SECOND = b"""PurchaseID,product,user,date
1002313003,12,1003431,2022-05-20
1002313002,13,1003432,2021-06-19
1002313004,10,1003433,2023-07-22
1002313005,15,1003434,2023-07-22
"""
DAY_1, DAY_2 = date(2023, 7, 21), date(2023, 7, 22)
ON_DAY_1 = ("purchases_2023-07-21.csv", FIRST)
ON_DAY_2 = ("purchases_2023-07-22.csv", SECOND)
COPY_OF_DAY_1 = ("purchases_2023-07-21 (1).csv", FIRST)

Files = Sequence[tuple[str, bytes]]


@pytest.fixture(scope="module")
def no_purchases(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return a house in which everything is built, without a row."""
    folder = tmp_path_factory.mktemp("purchases")
    settings = Settings(
        project=copy_project(folder / "project", ["purchases"]),
        home=folder / "home",
        settle_seconds=0,
    )
    run_build(settings).require_green()
    return settings


@pytest.fixture(
    scope="module",
    params=[
        [[ON_DAY_1], [ON_DAY_2]],
        [[ON_DAY_2], [ON_DAY_1]],
        [[ON_DAY_1, ON_DAY_2]],
        [[ON_DAY_2, ON_DAY_1], [ON_DAY_1, COPY_OF_DAY_1], [ON_DAY_2]],
        [[("purchases_2023-07-21.csv", SECOND)], [ON_DAY_2], [ON_DAY_1]],
    ],
    ids=["in order", "reversed", "at once", "twice", "corrected"],
)
def purchases(
    request: pytest.FixtureRequest,
    no_purchases: Settings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Settings:
    """Return a house to which the two snapshots came in one order or another, released."""
    settings = clone(no_purchases, tmp_path_factory.mktemp("purchases") / "home")
    contracts = load_contracts(settings.project)
    manifest = prepare_manifest(settings)
    select, exclude = ["source:raw.purchases+"], ["resource_type:unit_test"]
    runs: Sequence[Files] = request.param
    for files in runs:
        for name, content in files:
            put(settings, "purchases", name, content)
        load(settings, contracts)
        run_build(settings, select=select, exclude=exclude, manifest=manifest).require_green()
    dbt.close_connection()
    release(settings)
    shutil.rmtree(settings.landing_folder)
    return settings


def test_changed_purchase_has_two_versions_and_the_others_one(purchases: Settings) -> None:
    query = """
        select purchase_id, version, product_id, purchased_on, valid_from, valid_until, is_current
        from marts.fct_purchase_versions
        order by all
    """
    assert rows(purchases, query) == [
        (1002313002, 1, 13, date(2021, 6, 19), date(2021, 6, 19), None, True),
        (1002313003, 1, 12, date(2022, 5, 20), date(2022, 5, 20), None, True),
        (1002313004, 1, 14, DAY_1, DAY_1, DAY_2, False),
        (1002313004, 2, 10, DAY_2, DAY_2, None, True),
        (1002313005, 1, 15, DAY_2, DAY_2, None, True),
    ]


def test_current_purchases_are_those_of_the_newest_snapshot(purchases: Settings) -> None:
    query = "select purchase_id, product_id, user_id, version from marts.fct_purchases order by all"
    assert rows(purchases, query) == [
        (1002313002, 13, 1003432, 1),
        (1002313003, 12, 1003431, 1),
        (1002313004, 10, 1003433, 2),
        (1002313005, 15, 1003434, 1),
    ]


def test_purchases_as_of_a_day_are_what_was_valid_then(purchases: Settings) -> None:
    query = "select purchase_id, product_id from marts.purchases_as_of(date '{}') order by all"
    first, second = (1002313002, 13), (1002313003, 12)
    expected = {
        date(2021, 6, 18): [],
        date(2021, 6, 19): [first],
        date(2023, 7, 20): [first, second],
        DAY_1: [first, second, (1002313004, 14)],
        DAY_2: [first, second, (1002313004, 10), (1002313005, 15)],
        date(2030, 1, 1): [first, second, (1002313004, 10), (1002313005, 15)],
    }
    assert {day: rows(purchases, query.format(day)) for day in expected} == expected


def test_dbt_snapshot_believes_the_current_purchases(purchases: Settings) -> None:
    query = "select purchase_id, product_id from lake.snapshots.snap_purchases"
    with lake.connect(purchases) as opened:
        believed = opened.rows(
            f"{query} where dbt_valid_to is null and not dbt_is_deleted::boolean order by all"
        )
    current = "select purchase_id, product_id from marts.fct_purchases order by all"
    assert believed == rows(purchases, current)
