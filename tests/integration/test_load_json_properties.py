"""Random JSON lines: read in one look or in several, the rows and their reasons are the same."""

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from yards import Yard

COLUMNS: dict[str, Any] = {
    "id": "bigint!",
    "name": "varchar",
    "amount": "double",
    "price": "decimal(20,2)",
    "is_ok": "boolean",
    "details": "json",
}
# Written as they are, since `json.dumps` would write each number in one way only.
NUMBERS = ["0", "-0", "1", "1.50", "1e5", "1e-7", "1E+20", "100000000000000000000.0", "0.00001234"]
TEXTS = [
    "",
    "x",
    "5",
    "1e-07",
    "e+1",
    '"',
    "[",
    "{",
    "}",
    ":",
    '":',
    '"x":',
    " :",
    "\t",
    "\u0001",
    "é",
]
SCALARS = [*NUMBERS, *(json.dumps(text) for text in TEXTS), "true", "false", "null", '"\\u0000"']
NESTED = ["[]", "{}", "[1]", '{"id": 1}', '{"id":1}']
KEYS = [*COLUMNS, "Id", "userName", "other", "", "NAME", 'na":me']

values = st.sampled_from([*SCALARS * 3, *NESTED])
usual = st.fixed_dictionaries(
    {"id": st.sampled_from(["1", "2", '"3"'])},
    optional={"name": values, "amount": st.sampled_from(NUMBERS), "price": values},
).map(lambda given: list(given.items()))
unusual = st.lists(st.tuples(st.sampled_from(KEYS), values), max_size=4)
lines = st.one_of(
    *[usual.map(lambda pairs: as_line(pairs))] * 4,
    unusual.map(lambda pairs: as_line(pairs)),
    unusual.map(lambda pairs: as_line(pairs, " : ")),
    st.sampled_from(["5", "null", "[]", "{}", '{"id":1}{"id":2}', '{"id":1', "{", '"{"', "x", " "]),
)


def as_line(pairs: list[tuple[str, str]], colon: str = ":") -> str:
    """Write an object, keys given twice included."""
    return "{" + ",".join(f"{json.dumps(key)}{colon}{value}" for key, value in pairs) + "}"


@given(st.lists(lines, min_size=1, max_size=4), st.sampled_from(["reject", "add", "rescue"]))
@example(['{"id":1,"name":[]}'], "rescue")
@example(['{"id":1,"name":{}}'], "rescue")
@example(['{"id":1,"name":1e-7}'], "reject")
@example(['{"id":1,"other":null}'], "reject")
@example(['{"id":1,"id":2}'], "reject")
@example(['{"id":1}', '{"other" :1,"id":2}'], "rescue")
@example(["5", '{"id":"{"}'], "rescue")
@example([" "], "reject")
@settings(max_examples=6)
def test_one_look_finds_what_several_find(found: list[str], new_columns: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        yard = Yard(Path(folder)).source(columns=COLUMNS, format="jsonl", new_columns=new_columns)
        text = "\n".join(found) + "\n"
        # A tab can only stand between the parts of an object: such lines are never flat.
        yard.deliver("one.jsonl", text)
        yard.deliver("several.jsonl", text.replace("{", "{\t", 1) if "{" in text else text)
        yard.load()
        table = {column for (column, *_) in yard.rows("describe lake.raw.things")}
        names = ", ".join(sorted(c for c in table if not c.startswith("_") or c == "_extra"))
        one, several = (
            (
                [row[1:] for row in yard.ledger() if row[0] == file],
                yard.rows(
                    f"select _row, {names} from lake.raw.things where _file = ? order by _row",
                    [file],
                ),
                [(reject.row, reject.reasons) for reject in yard.rejects(file)],
            )
            for file in ("one.jsonl", "several.jsonl")
        )
        assert one == several
