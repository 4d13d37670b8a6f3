"""Reading and checking contracts: what they say, and how a person learns of a mistake."""

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from boathouse.contracts import Contract, load_contracts
from boathouse.errors import ContractError

REPOSITORY = Path(__file__).resolve().parents[2]
LANDING = {"files": "things*.csv", "format": "csv"}


def write(folder: Path, text: str, name: str = "x") -> Path:
    path = folder / "models" / "staging" / name / f"_{name}__sources.yml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))
    return path


def table(folder: Path, **entries: Any) -> None:
    """Write a project with one table; `entries` replace those of a valid one, None removes."""
    valid = {
        "name": "things",
        "config": {"meta": {"landing": LANDING}},
        "columns": [{"name": "id", "data_type": "bigint"}],
    }
    merged = {key: value for key, value in (valid | entries).items() if value is not None}
    write(folder, yaml.safe_dump({"sources": [{"name": "raw", "tables": [merged]}]}))


def contract(folder: Path, **entries: Any) -> Contract:
    table(folder, **entries)
    return load_contracts(folder)["things"]


def error(folder: Path) -> str:
    with pytest.raises(ContractError) as caught:
        load_contracts(folder)
    assert caught.value.hint
    return caught.value.message


def rules(folder: Path, test: Any, data_type: str = "varchar") -> list[tuple[str, str]]:
    column = {"name": "kind", "data_type": data_type, "data_tests": [test]}
    found = contract(folder, columns=[column]).columns[0].rules
    return [(rule.breach, rule.reason) for rule in found]


def test_every_contract_of_the_repository_is_valid() -> None:
    contracts = load_contracts(REPOSITORY)
    assert {"session_events", "student_performance", "purchases"} <= set(contracts)
    purchases = contracts["purchases"]
    assert purchases.domain == "purchases"
    assert [c.name for c in purchases.filename_columns] == ["snapshot_date"]
    assert "snapshot_date" not in {c.name for c in purchases.file_columns}
    assert purchases.table_columns()["_loaded_at"] == "timestamp"


@pytest.mark.parametrize(
    ("landing", "key", "telling"),
    [
        ({"format": "csv"}, "files", "Field required"),
        ({"files": [], "format": "csv"}, "files", "at least 1"),
        ({"files": "*"}, "format", "Field required"),
        ({"files": "*", "format": "xml"}, "format", "'csv', 'json'"),
        (LANDING | {"delimiter": ";;"}, "delimiter", "each delimiter is one character"),
        (LANDING | {"delimiter": '"'}, "delimiter", "each delimiter is one character"),
        (LANDING | {"delimiter": []}, "delimiter", "each delimiter is one character"),
        (LANDING | {"new_columns": "keep"}, "new_columns", "'reject', 'add' or 'rescue'"),
        (LANDING | {"bad_rows": "drop"}, "bad_rows", "'quarantine' or 'reject_file'"),
        (LANDING | {"redelivery": "ignore"}, "redelivery", "'replace' or 'append'"),
        (LANDING | {"delimeter": ";"}, "delimeter", "no such key; the keys are files, format"),
        (LANDING | {"filename_columns": {"id": "("}}, "filename_columns", "no regular expression"),
        (LANDING | {"filename_columns": {"id": "x"}}, "filename_columns", "exactly one (group)"),
    ],
)
def test_a_mistake_in_landing_is_told_with_file_table_and_key(
    tmp_path: Path, landing: dict[str, Any], key: str, telling: str
) -> None:
    table(tmp_path, config={"meta": {"landing": landing}})
    message = error(tmp_path)
    assert message.startswith("models/staging/x/_x__sources.yml: table things: ")
    assert f"config.meta.landing.{key}" in message
    assert telling in message


@pytest.mark.parametrize(
    ("entries", "telling"),
    [
        ({"name": "Things"}, "name 'Things' is no snake_case table name"),
        ({"name": ""}, "name '' is no snake_case table name"),
        ({"name": None}, "name None is no snake_case table name"),
        ({"config": None}, "table things: config.meta.landing is missing"),
        ({"config": ["meta"]}, "table things: config must be a mapping"),
        ({"config": {"meta": "landing"}}, "table things: config.meta must be a mapping"),
        ({"columns": None}, "table things: columns is empty"),
        ({"columns": "id"}, "table things: columns must be a list"),
        ({"columns": ["id"]}, "table things: columns must be a list"),
        ({"columns": [{"data_type": "bigint"}]}, "things: column name None is not snake_case"),
        ({"columns": [{"name": "Id"}]}, "table things: column name 'Id' is not snake_case"),
        ({"columns": [{"name": "_row"}]}, "table things: column name '_row' is not snake_case"),
        ({"columns": [{"name": "id"}]}, "column id: data_type None is none of varchar, bigint"),
        ({"columns": [{"name": "id", "data_type": "int"}]}, "column id: data_type 'int'"),
        ({"columns": [{"name": "id", "data_type": "decimal(39,2)"}]}, "p up to 38"),
        ({"columns": [{"name": "id", "data_type": "decimal(4,5)"}]}, "data_type 'decimal(4,5)'"),
        ({"columns": [{"name": "id", "data_type": "date"}] * 2}, "column id is there twice"),
        (
            {"config": {"event_time": "at", "meta": {"landing": LANDING}}},
            "table things: config.event_time names at, which is no column",
        ),
        (
            {"config": {"freshness": {"warn_after": 2}, "meta": {"landing": LANDING}}},
            "table things: config.freshness.warn_after must be a mapping",
        ),
        (
            {
                "config": {
                    "freshness": {"error_after": {"count": 2, "period": "week"}},
                    "meta": {"landing": LANDING},
                }
            },
            "table things: config.freshness.error_after: needs a count of at least 1, and minute",
        ),
        (
            {"config": {"meta": {"landing": LANDING | {"filename_columns": {"day": "(.)"}}}}},
            "config.meta.landing.filename_columns names day, which is no column",
        ),
    ],
)
def test_a_mistake_in_a_table_is_told_with_file_and_key(
    tmp_path: Path, entries: dict[str, Any], telling: str
) -> None:
    table(tmp_path, **entries)
    message = error(tmp_path)
    assert message.startswith("models/staging/x/_x__sources.yml: ")
    assert telling in message


@pytest.mark.parametrize(
    ("test", "telling"),
    [
        ({}, "{} is no test"),
        (7, "7 is no test"),
        ({"not_null": None, "unique": None}, "is no test"),
        ({"accepted_values": ["a"]}, "data_tests.accepted_values must be a mapping"),
        ({"accepted_values": {"arguments": ["a"]}}, "accepted_values.arguments must be a mapping"),
        ({"not_null": {"config": "where"}}, "data_tests.not_null.config must be a mapping"),
        ({"accepted_values": {}}, "accepted_values needs values"),
        ({"accepted_values": {"values": "a"}}, "accepted_values: values must be a list"),
        ({"accepted_range": {"min": 1}}, "accepted_range needs min_value or max_value"),
        ({"matches_pattern": {}}, "matches_pattern needs pattern"),
        ({"satisfies": {"condition": "true"}}, "satisfies needs otherwise"),
    ],
)
def test_a_mistake_in_a_data_test_is_told_with_file_table_and_column(
    tmp_path: Path, test: Any, telling: str
) -> None:
    table(tmp_path, columns=[{"name": "id", "data_type": "bigint", "data_tests": [test]}])
    message = error(tmp_path)
    assert message.startswith("models/staging/x/_x__sources.yml: table things: column id: ")
    assert telling in message


def test_data_tests_that_are_no_list_are_told(tmp_path: Path) -> None:
    table(tmp_path, columns=[{"name": "id", "data_type": "bigint", "data_tests": "not_null"}])
    assert "column id: data_tests must be a list" in error(tmp_path)


def test_a_bound_that_yaml_takes_for_a_date_is_told(tmp_path: Path) -> None:
    text = """
        sources:
          - name: raw
            tables:
              - name: things
                config: {meta: {landing: {files: "*", format: csv}}}
                columns:
                  - name: day
                    data_type: date
                    data_tests: [{accepted_range: {min_value: 2000-01-01}}]
        """
    write(tmp_path, text)
    message = error(tmp_path)
    assert "column day: accepted_range: min_value is SQL" in message
    assert "write \"date '2000-01-01'\"" in message


def test_broken_yaml_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    write(tmp_path, "sources:\n  - name: raw\n   tables: []\n")
    message = error(tmp_path)
    assert message.startswith("models/staging/x/_x__sources.yml: is no valid YAML")
    assert "line 3" in message


def test_sources_that_are_no_list_are_told(tmp_path: Path) -> None:
    write(tmp_path, "sources: raw\n")
    assert error(tmp_path) == "models/staging/x/_x__sources.yml: sources must be a list of entries."


def test_a_table_with_two_contracts_is_told_with_both_files(tmp_path: Path) -> None:
    table(tmp_path)
    text = (tmp_path / "models/staging/x/_x__sources.yml").read_text()
    write(tmp_path, text, name="y")
    message = error(tmp_path)
    assert message.startswith("models/staging/y/_y__sources.yml: table things is also in ")
    assert "_x__sources.yml" in message


def test_sources_other_than_raw_are_none_of_our_business(tmp_path: Path) -> None:
    write(tmp_path, "sources: [{name: meta, tables: [{name: loads}]}]\n")
    assert load_contracts(tmp_path) == {}


WHERE = {"where": "id > 3"}
VALUES = {"values": ["a", "b"]}


@pytest.mark.parametrize(
    "spelling",
    [
        {"accepted_values": {"arguments": VALUES, "config": WHERE}},
        {"accepted_values": {"arguments": VALUES, "config": WHERE, "name": "my_test"}},
        {"accepted_values": VALUES | {"config": WHERE}},
        {"accepted_values": VALUES | WHERE},
        {"accepted_values": {"arguments": VALUES} | WHERE},
        {"test_name": "accepted_values", "arguments": VALUES, "config": WHERE},
        {"test_name": "accepted_values", "name": "my_test", "config": WHERE} | VALUES,
    ],
)
def test_a_data_test_means_the_same_in_every_spelling(tmp_path: Path, spelling: Any) -> None:
    assert rules(tmp_path, spelling) == [
        (
            "(\"kind\" is not null and \"kind\" not in ('a', 'b') and coalesce((id > 3), false))",
            "kind is {value}, not one of a, b (where id > 3)",
        )
    ]


@pytest.mark.parametrize("spelling", ["not_null", {"not_null": None}, {"not_null": {}}])
def test_not_null_is_a_rule_in_every_spelling(tmp_path: Path, spelling: Any) -> None:
    assert rules(tmp_path, spelling) == [('("kind" is null)', "kind is missing")]


def test_the_old_key_for_data_tests_is_understood(tmp_path: Path) -> None:
    column = {"name": "kind", "data_type": "varchar", "tests": ["not_null"]}
    assert len(contract(tmp_path, columns=[column]).columns[0].rules) == 1


@pytest.mark.parametrize("config", [{"enabled": False}, {"severity": "warn"}, {"severity": "WARN"}])
def test_a_test_that_is_off_or_only_warns_lets_rows_in(tmp_path: Path, config: Any) -> None:
    assert rules(tmp_path, {"not_null": {"config": config}}) == []
    assert rules(tmp_path, {"not_null": dict(config)}) == []


@pytest.mark.parametrize("test", ["unique", {"relationships": {"to": "ref('x')", "field": "id"}}])
def test_a_test_that_says_nothing_of_a_single_row_is_no_rule(tmp_path: Path, test: Any) -> None:
    assert rules(tmp_path, test) == []


def test_a_range_may_be_open_at_one_end(tmp_path: Path) -> None:
    test = {"accepted_range": {"arguments": {"min_value": 1, "max_value": None}}}
    assert rules(tmp_path, test, "bigint") == [
        ('("kind" is not null and "kind" < (1))', "kind is {value}, below 1")
    ]


def test_a_condition_that_is_not_true_is_a_breach_and_no_value_is_none(tmp_path: Path) -> None:
    test = {"satisfies": {"arguments": {"condition": "kind > other", "otherwise": "too small"}}}
    assert rules(tmp_path, test) == [
        (
            '("kind" is not null and not coalesce((kind > other), false))',
            "kind is {value}, too small",
        )
    ]


def test_quotes_in_values_do_not_end_the_sql(tmp_path: Path) -> None:
    [(breach, _)] = rules(tmp_path, {"accepted_values": {"values": ["it's"]}})
    assert "('it''s')" in breach


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("things*.csv", "things_1.csv", True),
        ("things*.csv", "THINGS_1.CSV", True),
        ("THINGS*.csv", "things_1.csv", True),
        ("things*.csv", "sub/folder/things_1.csv", True),
        ("things*.csv", "things_1.csv.gz", False),
        ("things*.csv", "other.csv", False),
        ("logs/**/*.json", "logs/2018/11/a.json", True),
        ("logs/**/*.json", "logs/a.json", True),
        ("logs/**/*.json", "a.json", False),
        ("things[[]1].csv", "things[1].csv", True),
    ],
)
def test_file_names_are_matched(tmp_path: Path, pattern: str, name: str, fits: bool) -> None:
    found = contract(tmp_path, config={"meta": {"landing": {"files": pattern, "format": "csv"}}})
    assert found.matches(name) is fits


def test_decimals_may_be_spelled_with_a_space(tmp_path: Path) -> None:
    found = contract(tmp_path, columns=[{"name": "id", "data_type": "Decimal(18, 2)"}])
    assert found.columns[0].data_type == "decimal(18, 2)"
    assert re.fullmatch(r"decimal\(18, ?2\)", found.table_columns()["id"])
