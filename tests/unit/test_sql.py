"""Names and quoting."""

from pathlib import Path

import duckdb
import pytest

from boathouse.sql import identifier, literal, literal_list, path_literal, snake_case


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("PurchaseID", "purchase_id"),
        ("messageSentTime", "message_sent_time"),
        ("Pstatus", "pstatus"),
        ("G1", "g1"),
        ("senderAppType", "sender_app_type"),
        ("HTTPStatusCode", "http_status_code"),
        ("sensor_01", "sensor_01"),
        ("Sensor 11", "sensor_11"),
        ("  user ", "user"),
        ("Fahrzeug-Nr.", "fahrzeug_nr"),
        ("größe (cm)", "größe_cm"),
        ("_load_id", "load_id"),
        ("!!!", ""),
        ("", ""),
    ],
)
def test_header_names_become_snake_case(name: str, expected: str) -> None:
    assert snake_case(name) == expected


@pytest.mark.parametrize("name", ["PurchaseID", "userAgent", "A-B c", "größe"])
def test_snake_case_leaves_its_own_results_alone(name: str) -> None:
    assert snake_case(snake_case(name)) == snake_case(name)


@pytest.mark.parametrize("text", ["plain", "it's", 'say "x"', "a;b--c", "line\nbreak", "\\", ""])
def test_quoted_values_and_names_come_back_unchanged(text: str) -> None:
    con = duckdb.connect()
    assert con.execute(f"select {literal(text)}").fetchall() == [(text,)]
    assert con.execute(f"select {literal_list([text, text])}").fetchall() == [([text, text],)]
    column = text or "x"
    found = con.execute(f"select 1 as {identifier(column)}").description
    assert found is not None
    assert found[0][0] == column


def test_a_path_with_wildcards_stands_for_itself_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a*b [1] it's ?"
    folder.mkdir()
    (tmp_path / "axb 1 it's y").mkdir()
    for place in (folder, tmp_path / "axb 1 it's y"):
        (place / "data.csv").write_text(f"{place.name[1]}\n")
    query = (
        f"from read_csv({path_literal(folder / 'data.csv')}, header = false, all_varchar = true)"
    )
    assert duckdb.connect().execute(query).fetchall() == [("*",)]
