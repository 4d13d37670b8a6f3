"""Random text that may or may not be CSV: loaded as Python's csv module understands it."""

import csv
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from yards import Yard

COLUMNS = {"a": "varchar", "b": "varchar", "c": "varchar"}
HEADER = "a,b,c\n"

texts = st.text(alphabet='x", \n\r', max_size=14)
fields = st.sampled_from(["", "x", '""', '"x"', '"x,x"', '"x""x"', '"x\nx"', ' "x"', 'x"x', '""x'])
records = st.lists(fields, min_size=2, max_size=4).map(",".join)
bodies = st.one_of(
    texts,
    st.lists(records, max_size=4).map("\n".join),
    st.lists(st.one_of(st.just("x,x,x"), records), max_size=4).map(lambda r: "\n".join(r) + "\n"),
)


@dataclass
class Expected:
    """What Python's csv module makes of a file."""

    is_refused: bool = False
    good: list[tuple[int, tuple[str | None, ...]]] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)


def understood(body: str) -> Expected:
    """Read a body record by record; a line that starts a broken record is a record of its own."""
    found = Expected()
    reader = csv.reader((HEADER + body).splitlines(keepends=True), strict=True)
    next(reader)
    row = 0
    while True:
        try:
            values: list[str] | None = next(reader)
        except StopIteration:
            return found
        except csv.Error as error:
            if "unexpected end" in str(error):
                return Expected(is_refused=True)
            values = None
        if values == []:
            continue
        row += 1
        while values and len(values) > len(COLUMNS) and not values[-1]:
            values.pop()
        if values and len(values) == len(COLUMNS):
            found.good.append((row, tuple(value or None for value in values)))
        else:
            found.bad.append(row)


@given(st.lists(bodies, min_size=1, max_size=3))  # one that is misread spoils it for the others
@settings(max_examples=10)
def test_files_are_read_as_the_csv_module_reads_them(found: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        yard = Yard(Path(folder)).source(columns=COLUMNS)
        for number, body in enumerate(found):
            yard.path(f"{number:03}.csv").write_text(HEADER + body, newline="")
        yard.load()
        statuses = {name: status for name, status, *_ in yard.ledger()}
        rows = yard.rows("select _file, _row, a, b, c from lake.raw.things order by _file, _row")
        rejects = yard.rows(
            "select file_name, row_number from lake.meta.rejected_rows order by row_number"
        )
        for number, body in enumerate(found):
            name = f"{number:03}.csv"
            expected = understood(body)
            assert (statuses[name] == "rejected") == expected.is_refused, repr(body)
            good = [(row, tuple(values)) for file, row, *values in rows if file == name]
            assert good == expected.good, repr(body)
            assert [row for file, row in rejects if file == name] == expected.bad, repr(body)
