"""SQL for models that add what is new to what they know: aggregates that can be combined.

A model states once what a row of its input says of its key, and how each column combines. Here
this becomes the aggregation of all rows, that of new rows with the rows that are known, and that
of what an input gained and lost. The least or the greatest value may be among what was lost: then
its key is aggregated from all rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boathouse.build.declarations import as_list
from boathouse.errors import BuildError
from boathouse.sql import identifier, literal

COMBINED = "boathouse_combined"  # the relation, in a model's SQL, of its combined rows
_EXTREMES = {"min": "min", "max": "max", "first": "min", "last": "max"}
_BEYOND = {"min": "<=", "max": ">="}
_TWICE = (
    "The model has several rows where it combines to one: what it joins has several rows for one "
    "of its own."
)


@dataclass(frozen=True)
class Rule:
    """How values of a column combine: `min`, `max`, `sum`, or as of the `first` or `last` row."""

    function: str
    by: str = ""

    def row(self, instead: str = "") -> str:
        """Return the name of what the first or last row says.

        Of a column that has this only `instead` of another rule, a row of the table says something
        else when the other applies: it is told apart, so that it decides about no other column.
        """
        return f"_{self.function}_by_{self.by}{instead and '_for_'}{instead}"


@dataclass(frozen=True)
class _Value:
    """What is aggregated; null when no row `has` it."""

    name: str
    function: str  # min, max or sum
    expression: str
    has: str


@dataclass(frozen=True)
class Combination:
    """The columns that rows are grouped by, and how the others combine."""

    by: tuple[str, ...]
    rules: Mapping[str, tuple[Rule, ...]]

    @classmethod
    def of(cls, columns: Mapping[str, Any], by: Any) -> "Combination":
        """Return what a model writes: a rule for each column, and one name or many.

        Raises:
            BuildError: a rule means nothing, or cannot be kept.
        """
        made = cls(
            tuple(map(str.lower, as_list(by))),
            {name.lower(): _rules(name, written) for name, written in columns.items()},
        )
        if not made.by or not made.rules:
            raise BuildError("`combined` takes rules for columns, and `by`: those that group rows.")
        for name, rules in made.rules.items():
            if name in made.by:
                raise BuildError(f"`combined` groups by {name}, and is told to combine it too.")
            for rule in rules:
                needed = (Rule(_EXTREMES[rule.function]),) if rule.by else ()
                if needed and made.rules.get(rule.by) != needed:
                    raise BuildError(
                        f"{name} is that of the {rule.function} row by {rule.by}: then {rule.by} "
                        f"has to be combined as well, by `{needed[0].function}`."
                    )
        return made

    @property
    def _rows(self) -> dict[str, tuple[Rule, list[str]]]:
        """Return by name what first or last rows say: by which rule, and of which columns."""
        found: dict[str, tuple[Rule, list[str]]] = {}
        for column, rules in self.rules.items():
            for place, rule in enumerate(rules):
                if rule.by:
                    found.setdefault(rule.row(column if place else ""), (rule, []))[1].append(
                        column
                    )
        return found

    @property
    def columns(self) -> list[str]:
        """Return all columns, in the order in which they are selected."""
        return [*self.by, *self.rules]

    @property
    def sums(self) -> set[str]:
        """Return the columns that are added up."""
        return {name for name, rules in self.rules.items() if rules == (Rule("sum"),)}

    def whole(self, rows: str) -> str:
        """Return SQL that combines all rows of a query."""
        return self._result(self._aggregated(rows))

    def added(self, new: str, known: str, again: str = "") -> str:
        """Return SQL that adds new rows to known ones.

        Args:
            new: A query for the rows that came.
            known: A query for rows of the model's own table.
            again: A query for all rows of keys that are in neither.
        """
        rows = " union all ".join(
            f"select {_listed(self.columns)}, {is_known} as _known from ({query}) as part"
            for query, is_known in ((new, 0), (known, 1), (again, 0))
            if query
        )
        return self._result(self._aggregated(rows, has_known=True))

    def changed(self, changes: str, known: str, everything: str) -> str:
        """Return SQL that adds what came to known rows, and takes away what went.

        Args:
            changes: A query for the rows that came and went; `_change` is how many of each.
            known: A query for rows of the model's own table.
            everything: A query for all rows there are now.
        """
        groups, keys = _listed(self.by), as_value(self.by)
        values = self._values(is_shared=False)
        came_and_went = ",\n".join(each for value in values for each in _came_and_went(value))
        in_doubt = f"select {keys} from boathouse_judged where _is_in_doubt"
        computed = f"select * from ({everything}) as computed where {keys} in ({in_doubt})"
        return self._result(f"""
            with boathouse_changes as (
                select {_listed(self.columns)}, _change, 0 as _known
                from ({changes}) as changed
                union all
                select {_listed(self.columns)}, 1 as _change, 1 as _known
                from ({known}) as known
            ),
            boathouse_sums as (
                select
                    {groups},
                    {came_and_went},
                    bool_or(_change < 0) as _has_lost,
                    sum(_known) as _known
                from boathouse_changes
                group by {groups}
            ),
            boathouse_judged as (
                select *, _has_lost and ({_doubt(values)}) as _is_in_doubt
                from boathouse_sums
                where {_is_known_once()}
            )
            select {groups}, {self._unpacked(is_shared=False)}
            from boathouse_judged
            where not _is_in_doubt
            union all
            {self._aggregated(computed)}""")

    def _result(self, query: str) -> str:
        return f"select {_listed(self.columns)} from ({query}) as {COMBINED}"

    def _aggregated(self, rows: str, *, has_known: bool = False) -> str:
        groups = _listed(self.by)
        aggregates = [
            f"{_aggregate(value, value.has)} as {identifier(value.name)}"
            for value in self._values(is_shared=True)
        ]
        if has_known:
            aggregates.append("sum(_known) as _known")
        return (
            f"select {groups}, {self._unpacked(is_shared=True)} from (select {groups}, "
            f"{', '.join(aggregates)} from ({rows}) as observed group by {groups}) as grouped"
            + (f" where {_is_known_once()}" if has_known else "")
        )

    def _values(self, *, is_shared: bool) -> list[_Value]:
        """Return what is aggregated.

        What the first or the last row by a column says is one value: of ten million rows, the
        groups then fit into 3 GB. It has the column's own extreme, too, which can be shared.
        """
        values = [
            _Value(name, _EXTREMES[rule.function], _row(rule, columns), _is_there(rule.by))
            for name, (rule, columns) in self._rows.items()
        ]
        shared = {rule.by for rule, _ in self._rows.values()} if is_shared else set()
        for name, (rule, *_) in self.rules.items():
            if not rule.by and name not in shared:
                values.append(_Value(name, rule.function, identifier(name), _is_there(name)))
        return values

    def _unpacked(self, *, is_shared: bool) -> str:
        """Return the columns as they are taken out of the aggregated values."""
        shared = {rule.by: row for row, (rule, _) in self._rows.items()} if is_shared else {}
        columns = []
        for name, rules in self.rules.items():
            column = identifier(name)
            if name in shared:
                value = f"{identifier(shared[name])}.{column}"
            elif not rules[0].by:
                value = column
            elif len(rules) == 1:
                value = f"{identifier(rules[0].row())}.{column}"
            else:
                rows = [
                    identifier(rule.row(name if place else "")) for place, rule in enumerate(rules)
                ]
                cases = " ".join(f"when {row} is not null then {row}.{column}" for row in rows)
                value = f"case {cases} end"
            columns.append(f"{value} as {column}")
        return ", ".join(columns)


def _row(rule: Rule, columns: Sequence[str]) -> str:
    """Return what a row says of the columns that are of the first or last one.

    Rows at the same place are in the order of these columns, null being after all values for the
    first row and before them for the last: what is known goes before what is not.
    """
    fields = [f"{identifier(rule.by)}: {identifier(rule.by)}"]
    for name in columns:
        if rule.function == "last":
            fields.append(f"{identifier('_has_' + name)}: {_is_there(name)}")
        fields.append(f"{identifier(name)}: {identifier(name)}")
    return "{" + ", ".join(fields) + "}"


def as_value(columns: Sequence[str]) -> str:
    """Return columns as one SQL value, by which rows are compared with nulls being equal."""
    return "{" + ", ".join(f"{identifier(each)}: {identifier(each)}" for each in columns) + "}"


def _rules(name: str, written: Any) -> tuple[Rule, ...]:
    rules = []
    for text in as_list(written):
        words = text.lower().split()
        if len(words) == 3 and words[0] in ("first", "last") and words[1] == "by":
            rules.append(Rule(words[0], words[2]))
        elif words in (["min"], ["max"], ["sum"]):
            rules.append(Rule(words[0]))
        else:
            rules = []
            break
    if not rules or (len(rules) > 1 and not all(rule.by for rule in rules)):
        raise BuildError(
            f"{name} cannot be combined by {written!r}. What can be said is `min`, `max`, `sum`, "
            "`first by <column>`, `last by <column>`, or a list of the last two, of which the "
            "first that there is counts."
        )
    return tuple(rules)


def _aggregate(value: _Value, which: str) -> str:
    if value.function != "sum":
        return f"{value.function}({value.expression}) filter (where {which})"
    # A sum of nothing is 0: whether there ever was a value is not known afterwards.
    return f"coalesce(sum({value.expression}), 0)"


def _came_and_went(value: _Value) -> list[str]:
    """Return what is aggregated of a value over rows that came, went, and were known."""
    if value.function == "sum":
        multiplied = _Value(value.name, "sum", f"_change * {value.expression}", value.has)
        return [f"{_aggregate(multiplied, value.has)} as {identifier(value.name)}"]
    return [
        f"{_aggregate(value, f'{value.has} and {which}')} as {identifier(value.name + suffix)}"
        for suffix, which in (
            ("", "_change > 0"),
            ("_lost", "_change < 0"),
            ("_came", "_change > 0 and _known = 0"),
        )
    ]


def _doubt(values: Sequence[_Value]) -> str:
    """Return when a key that lost rows cannot be combined.

    An extreme that went with a row may be that of another row, which nobody knows; unless one that
    came is as extreme. Where there is none at all, it is not known whether the key has a row left.
    """
    extremes = [value for value in values if value.function != "sum"]
    unknown = [f"{identifier(value.name)} is null" for value in extremes]
    lost = []
    for value in extremes:
        now, went, came = (identifier(value.name + suffix) for suffix in ("", "_lost", "_came"))
        beyond = _BEYOND[value.function]
        lost.append(
            f"{went} is not null and coalesce({went} {beyond} {now}, true) "
            f"and not coalesce({came} {beyond} {went}, false)"
        )
    return " or ".join([f"({' and '.join(unknown) or 'true'})", *map("({})".format, lost)])


def _is_known_once() -> str:
    return f"case when _known > 1 then error({literal(_TWICE)}) else true end"


def _is_there(column: str) -> str:
    return f"{identifier(column)} is not null"


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(identifier, columns))
