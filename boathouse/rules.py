"""Data tests of source columns as rules for rows: what a test says of a single row, as SQL.

The tests that are rules are listed in `row_rules`; every other test is dbt's business alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from boathouse.errors import ContractError
from boathouse.sql import identifier, literal

# Tests of packages that say the same as one of ours, with the names of their arguments.
_SAME_AS: dict[str, tuple[str, dict[str, str]]] = {
    "dbt_utils.accepted_range": ("accepted_range", {}),
    "dbt_utils.not_empty_string": ("not_empty", {}),
    "dbt_expectations.expect_column_values_to_not_be_null": ("not_null", {}),
    "dbt_expectations.expect_column_values_to_be_between": ("accepted_range", {}),
    "dbt_expectations.expect_column_values_to_be_in_set": (
        "accepted_values",
        {"value_set": "values"},
    ),
    "dbt_expectations.expect_column_values_to_match_regex": (
        "contains_pattern",
        {"regex": "pattern"},
    ),
}
HINT = "See docs/contracts.md for every key and what it may say."


@dataclass(frozen=True)
class Rule:
    """A test on a column that is also a condition on every row.

    `breach` is SQL that is true for a row that breaks the rule (never null), over the typed
    columns; `reason` is what a person reads, `{value}` standing for the offending value.
    """

    breach: str
    reason: str


_INSIDE = {"below": "above", "above": "below"}


def mapping(entry: Any, place: str) -> dict[str, Any]:
    """Return an optional mapping of the YAML, empty when it is not there."""
    if entry is None:
        return {}
    if not isinstance(entry, dict):
        raise ContractError(f"{place} must be a mapping, not {entry!r}.", hint=HINT)
    return entry


@dataclass(frozen=True)
class _Test:
    """A data test as the YAML gives it; `place` says where, for errors."""

    name: str
    arguments: dict[str, Any]
    where: str | None
    is_rule: bool
    place: str

    def argument(self, key: str) -> Any:
        if key not in self.arguments:
            raise ContractError(f"{self.place}: {self.name} needs {key}.", hint=HINT)
        return self.arguments[key]

    def bounds(self) -> Iterator[tuple[str, str, str]]:
        """Yield each bound of an accepted range, the sign and the word of being beyond it."""
        keys = (("min_value", "<", "below"), ("max_value", ">", "above"))
        found = [(key, self.arguments.get(key), sign, word) for key, sign, word in keys]
        if all(bound is None for _, bound, _, _ in found):
            raise ContractError(
                f"{self.place}: accepted_range needs min_value or max_value.", hint=HINT
            )
        for key, bound, sign, word in found:
            if isinstance(bound, date):
                raise ContractError(
                    f"{self.place}: accepted_range: {key} is SQL, where {bound} is a "
                    f"subtraction; write \"date '{bound}'\".",
                    hint=HINT,
                )
            if bound is not None:
                is_beyond = self.arguments.get("inclusive", True) and not self.arguments.get(
                    "strictly"
                )
                yield (
                    str(bound),
                    sign if is_beyond else f"{sign}=",
                    word if is_beyond else f"not {_INSIDE[word]}",
                )


def _test(entry: Any, place: str) -> _Test:
    """Return a data test in whichever way the YAML spells it."""
    if isinstance(entry, str):
        return _Test(_SAME_AS.get(entry, (entry, {}))[0], {}, None, True, place)
    if not isinstance(entry, dict) or ("test_name" not in entry and len(entry) != 1):
        raise ContractError(
            f"{place}: data_tests: {entry!r} is no test; a test is a name, or one name with "
            "a mapping below it.",
            hint=HINT,
        )
    if "test_name" in entry:
        name, body = entry["test_name"], {k: v for k, v in entry.items() if k != "test_name"}
    else:
        name, given = next(iter(entry.items()))
        body = mapping(given, f"{place}: data_tests.{name}")
    config = mapping(body.get("config"), f"{place}: data_tests.{name}.config")
    flat = {k: v for k, v in body.items() if k not in ("arguments", "config", "name")}
    arguments = flat | mapping(body.get("arguments"), f"{place}: data_tests.{name}.arguments")
    where = config.get("where", flat.get("where"))
    severity = config.get("severity", flat.get("severity", "error"))
    is_enabled = config.get("enabled", flat.get("enabled", True))
    is_rule = bool(is_enabled) and str(severity).lower() != "warn"
    if name in _SAME_AS:
        name, renamed = _SAME_AS[name]
        arguments = {renamed.get(key, key): value for key, value in arguments.items()}
        where = where or arguments.get("row_condition")
    return _Test(str(name), arguments, where, is_rule, place)


def row_rules(column: str, entry: Any, place: str) -> Iterator[Rule]:
    """Yield the row rules of a data test; a test that says nothing of a single row has none.

    A test that is switched off, or that only warns, lets rows in: it is no rule.

    Raises:
        ContractError: the test is not spelled as dbt spells tests, or lacks an argument.
    """
    test = _test(entry, place)
    if not test.is_rule:
        return
    name = identifier(column)
    scope = f" and coalesce(({test.where}), false)" if test.where else ""
    note = f" (where {test.where})" if test.where else ""
    match test.name:
        case "not_null":
            yield Rule(f"({name} is null{scope})", f"{column} is missing{note}")
        case "accepted_values":
            values = test.argument("values")
            if not isinstance(values, list) or not values:
                raise ContractError(
                    f"{test.place}: accepted_values: values must be a list.", hint=HINT
                )
            # Text, which DuckDB brings to the column's type, as it does in dbt's own test.
            listed = ", ".join(literal(str(value)) for value in values)
            yield Rule(
                f"({name} is not null and {name} not in ({listed}){scope})",
                f"{column} is {{value}}, not one of {', '.join(map(str, values))}{note}",
            )
        case "accepted_range":
            for bound, sign, word in test.bounds():
                yield Rule(
                    f"({name} is not null and {name} {sign} ({bound}){scope})",
                    f"{column} is {{value}}, {word} {bound}{note}",
                )
        case "matches_pattern" | "contains_pattern":
            pattern = str(test.argument("pattern"))
            match = "full_match" if test.name == "matches_pattern" else "matches"
            yield Rule(
                f"({name} is not null "
                f"and not regexp_{match}({name}::varchar, {literal(pattern)}){scope})",
                f"{column} is {{value}}, which does not match {pattern}{note}",
            )
        case "not_empty":  # nor of nothing but white space
            yield Rule(
                f"({name} is not null and trim({name}::varchar) = ''{scope})",
                f"{column} is empty{note}",
            )
        case "satisfies":
            condition, otherwise = str(test.argument("condition")), str(test.argument("otherwise"))
            yield Rule(
                f"({name} is not null and not coalesce(({condition}), false){scope})",
                f"{column} is {{value}}, {otherwise}{note}",
            )
