"""What the dashboard makes of text, numbers and frames before Streamlit gets them."""

import io
from datetime import date, datetime

import polars as pl
import pytest

from dashboards import charts
from dashboards.show import as_csv, as_parquet
from dashboards.text import duration, label, plain
from dashboards.views.releases import compare_columns, compare_marts


@pytest.mark.parametrize(
    "text",
    [
        "**x**",
        "<script>",
        "$a$",
        ":red[x]",
        "[a](b)",
        "`c`",
        "# h",
        "1. a",
        "a_b_c",
        "&lt;",
        "~~x~~",
    ],
)
def test_every_character_that_markdown_reads_is_escaped(text: str) -> None:
    shown = plain(text)
    assert shown.replace("\\", "") == text
    for number, character in enumerate(shown):
        if not character.isalnum() and character not in " \\":
            assert shown[number - 1] == "\\", shown


def test_lines_of_data_become_one_line() -> None:
    assert plain("a\n\n# b") == "a \\# b"


def test_label_says_unit_and_zone() -> None:
    assert label("first_seen_at", pl.Datetime()) == "First seen at (UTC)"
    assert label("median_response_seconds") == "Median response (s)"
    assert label("player_id") == "Player ID"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (59, "59 s"), (60, "1.0 min"), (3600, "1.0 h"), (172_800, "2.0 days")],
)
def test_duration_takes_the_largest_unit_that_says_something(
    seconds: float | None, text: str
) -> None:
    assert duration(seconds) == text


def test_download_has_every_row_and_lists_as_json() -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": [["x", "y"], []], "at": [datetime(2026, 1, 2)] * 2})
    assert as_csv(frame).decode().splitlines()[1].startswith('1,"[""x"", ""y""]",2026-01-02')
    assert pl.read_parquet(io.BytesIO(as_parquet(frame))).equals(frame)


def test_times_of_a_chart_are_utc_on_the_axis_and_in_the_tooltip() -> None:
    frame = pl.DataFrame({"at": [datetime(2026, 1, 2, 3)], "day": [date(2026, 1, 2)], "n": [1]})
    drawn = charts.lines(frame, "at", "n").to_dict()
    assert drawn["encoding"]["x"]["scale"]["type"] == "utc"
    assert drawn["encoding"]["x"]["title"] == "At (UTC)"
    (rows,) = drawn["datasets"].values()
    assert rows[0]["at__text"] == "2026-01-02 03:00 UTC"
    assert rows[0]["day__text"] == "2026-01-02"


def test_chart_of_no_rows_can_be_drawn() -> None:
    frame = pl.DataFrame(schema={"day": pl.Date, "kind": pl.String, "n": pl.Int64})
    for drawn in (
        charts.bars(frame, "n", "kind"),
        charts.columns(frame, "day", "n", color="kind"),
        charts.lines(frame, "day", "n", color="kind"),
        charts.heat(frame, "day", "kind", "n"),
    ):
        assert drawn.to_dict()


def test_numbers_along_an_axis_are_in_their_order_also_when_rows_lack_some() -> None:
    frame = pl.DataFrame({"hour": [5, 2], "weekday": ["Mon", "Tue"], "n": [1, 2]})
    drawn = charts.heat(frame, "hour", "weekday", "n").to_dict()
    assert drawn["encoding"]["x"]["sort"] == "ascending"
    assert drawn["encoding"]["y"]["sort"] is None


def contents(**marts: list[str]) -> pl.DataFrame:
    rows = [(name, len(columns), columns, None) for name, columns in marts.items()]
    schema = {
        "name": pl.String,
        "row_count": pl.Int64,
        "columns": pl.List(pl.String),
        "definition": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_comparison_tells_rows_and_columns_that_changed() -> None:
    older = contents(a=["x BIGINT", "y DECIMAL(18, 2)"], b=["x BIGINT"])
    newer = contents(a=["x VARCHAR"], c=["z DATE"])
    assert compare_marts(older, newer).rows() == [
        ("a", 2, 1, -1, "in both"),
        ("b", 1, None, -1, "gone"),
        ("c", None, 1, 1, "new"),
    ]
    assert compare_columns(older, newer).rows() == [
        ("a", "x", "BIGINT", "VARCHAR"),
        ("a", "y", "DECIMAL(18, 2)", None),
        ("b", "x", "BIGINT", None),
        ("c", "z", None, "DATE"),
    ]
    assert compare_columns(newer, newer).is_empty()
