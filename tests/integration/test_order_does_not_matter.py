"""The order of deliveries does not matter: late, again, corrected, in any grouping, by any build.

For random scenarios (see `support.order`) of all domains at once, the marts that incremental
builds leave must equal what the domain's reference in plain Python says, after every run that
builds all of them, and what one full refresh makes, load times included.

`BOATHOUSE_ORDER_EXAMPLES=50` looks for more; with `BOATHOUSE_ORDER_SEARCH=1` at random ones, and
then hypothesis shrinks what it finds.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count, zip_longest
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.cases import CASES
from support.homes import REPOSITORY, clone, copy_project
from support.order import Build, Counting, Scenario, Warehouse, expected_rows, require_same
from support.order import scenarios as scenarios_of

from boathouse.build import dbt, prepare_manifest, run_build
from boathouse.contracts import load_contracts
from boathouse.settings import Settings

EXAMPLES = int(os.environ.get("BOATHOUSE_ORDER_EXAMPLES", "1"))
IS_SEARCH = "BOATHOUSE_ORDER_SEARCH" in os.environ
PROPERTY = hypothesis_settings(
    max_examples=EXAMPLES,
    derandomize=not IS_SEARCH,
    database=None,
    print_blob=True,
    # A step of shrinking takes seconds: only for a person who looks for something.
    phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if IS_SEARCH else [])],
    suppress_health_check=list(HealthCheck),
)

# `BOATHOUSE_ORDER_DOMAINS=music,fleet` looks at those alone.
DOMAINS = sorted(filter(None, os.environ.get("BOATHOUSE_ORDER_DOMAINS", "").split(","))) or sorted(
    CASES
)

NewWarehouse = Callable[[], Warehouse]
Scenarios = Mapping[str, Scenario]  # of each domain, all at the same time


@pytest.fixture(scope="module")
def new_warehouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewWarehouse]:
    """Return a function that makes an empty warehouse: every mart built, no rows."""
    folder = tmp_path_factory.mktemp("order")
    template = Settings(
        project=copy_project(folder / "project", DOMAINS),
        home=folder / "empty",
        threads=1,  # a handful of rows: more threads would only wait for each other
        settle_seconds=0,
    )
    manifest = prepare_manifest(template)
    without_tests = ["resource_type:test", "resource_type:unit_test"]
    run_build(template, exclude=without_tests, manifest=manifest).require_green()
    dbt.close_connection()
    contracts = load_contracts(template.project)

    names = map("home-{}".format, count())  # of its own: what is attached is known by its place

    def make() -> Warehouse:
        return Warehouse(clone(template, folder / next(names)), contracts, manifest)

    yield make
    dbt.close_connection()
    shutil.rmtree(folder)


def require_order_does_not_matter(warehouse: Warehouse, scenarios: Scenarios) -> None:
    runs_of = {CASES[domain]: runs for domain, runs in scenarios.items() if runs}
    countings = {case: Counting(case) for case in runs_of}
    for number in range(max(map(len, runs_of.values()), default=0)):
        now = {case: runs[number] for case, runs in runs_of.items() if number < len(runs)}
        warehouse.do(now)
        for case, run in now.items():
            for file in {(file.source, file.name): file for file in run.files}.values():
                countings[case].deliver(file, number + 1)
        ledgers = (counting.ledger for counting in countings.values())
        assert warehouse.ledger() == sum(ledgers, Counter())
        right = [case for case, run in now.items() if run.build is Build.ALL]
        found = warehouse.rows(_all_of(warehouse.followed(case) for case in right))
        what = f"after run {number + 1}, compared with the reference"
        require_same(found, _all_of(expected_rows(c, countings[c].files) for c in right), what)
    marts = _all_of(case.marts for case in runs_of)
    models = [f"+{mart}" for mart in marts]
    warehouse.build(*models)
    expected = _all_of(expected_rows(case, each.files) for case, each in countings.items())
    require_same(warehouse.rows(marts), expected, "at the end, compared with the reference")
    all_columns = dict.fromkeys(marts, "*")
    incremental = warehouse.rows(all_columns)
    warehouse.build(*models, full_refresh=True)
    require_same(incremental, warehouse.rows(all_columns), "compared with a full refresh")


def _all_of(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one mapping of what those of several domains say of their marts."""
    return {mart: said for part in parts for mart, said in part.items()}


def test_marts_follow_from_what_was_delivered_not_from_when(new_warehouse: NewWarehouse) -> None:
    cases = {domain: CASES[domain] for domain in DOMAINS}

    @PROPERTY
    @given(st.fixed_dictionaries({domain: scenarios_of(case) for domain, case in cases.items()}))
    def check(scenarios: Scenarios) -> None:
        require_order_does_not_matter(new_warehouse(), scenarios)

    for runs in zip_longest(*(case.examples for case in cases.values()), fillvalue=()):
        check = example(dict(zip(cases, runs, strict=True)))(check)
    check()


def test_every_domain_and_every_mart_has_a_reference() -> None:
    marts = REPOSITORY / "models" / "marts"
    domains = {folder.name for folder in marts.iterdir() if folder.is_dir()}
    assert domains == set(CASES)
    for case in CASES.values():
        found = {
            path.stem
            for path in (marts / case.domain).glob("*.sql")
            if "table_function" not in path.read_text()
        }
        assert found == set(case.marts), case.domain
