"""The order of deliveries does not matter: late, again, corrected, in any grouping, by any build.

For random scenarios (see `support.order`) the marts that incremental builds leave must equal what
the domain's reference in plain Python says, after every run that builds all of them, and what one
full refresh makes, load times included.

`BOATHOUSE_ORDER_EXAMPLES=50` looks for more; with `BOATHOUSE_ORDER_SEARCH=1` at random ones, and
then hypothesis shrinks what it finds.
"""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, Phase, example, given
from hypothesis import settings as hypothesis_settings
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

NewWarehouse = Callable[[], Warehouse]


@pytest.fixture(scope="module", params=sorted(CASES))
def new_warehouse(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewWarehouse]:
    """Return a function that makes an empty warehouse of a domain: every mart built, no rows."""
    case = CASES[request.param]
    folder = tmp_path_factory.mktemp(case.domain)
    template = Settings(
        project=copy_project(folder / "project", [case.domain]),
        home=folder / "empty",
        threads=1,  # a handful of rows: more threads would only wait for each other
        settle_seconds=0,
    )
    manifest = prepare_manifest(template)
    without_tests = ["resource_type:test", "resource_type:unit_test"]
    run_build(template, exclude=without_tests, manifest=manifest).require_green()
    dbt.close_connection()
    contracts = load_contracts(template.project)

    def make() -> Warehouse:
        shutil.rmtree(folder / "home", ignore_errors=True)
        return Warehouse(case, clone(template, folder / "home"), contracts, manifest)

    yield make
    dbt.close_connection()
    shutil.rmtree(folder)


def require_order_does_not_matter(warehouse: Warehouse, runs: Scenario) -> None:
    case = warehouse.case
    counting = Counting(case)
    for number, run in enumerate(runs, 1):
        warehouse.do(run)
        for file in {(file.source, file.name): file for file in run.files}.values():
            counting.deliver(file, number)
        assert warehouse.ledger() == counting.ledger
        if run.build is Build.ALL:
            what = f"after run {number}, compared with the reference"
            require_same(
                warehouse.rows(warehouse.followed), expected_rows(case, counting.files), what
            )
    warehouse.build()
    expected = expected_rows(case, counting.files)
    require_same(warehouse.rows(case.marts), expected, "at the end, compared with the reference")
    all_columns = dict.fromkeys(case.marts, "*")
    incremental = warehouse.rows(all_columns)
    warehouse.build(full_refresh=True)
    require_same(incremental, warehouse.rows(all_columns), "compared with a full refresh")


def test_marts_follow_from_what_was_delivered_not_from_when(new_warehouse: NewWarehouse) -> None:
    case = new_warehouse().case

    @PROPERTY
    @given(runs=scenarios_of(case))
    def check(runs: Scenario) -> None:
        require_order_does_not_matter(new_warehouse(), runs)

    for runs in case.examples:
        check = example(runs=runs)(check)
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
