"""Rows by one value: whatever the type, what the mart's own list says of the same rows."""

import io
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import houses
import orjson
import polars as pl
import pyarrow as pa
import pytest
from support.api import Client, serving
from support.command import PATIENCE_SECONDS
from support.homes import clone, copy_project

from api.formats import ARROW, CSV, NDJSON
from boathouse.build import run_build
from boathouse.errors import ReleaseError
from boathouse.release import release
from boathouse.settings import Settings

MART = "fct_things"
# Column → (type, SQL of its value in row `i`); every fifth value but for the key's is null.
COLUMNS = {
    "part": ("varchar", "'x' || (i % 3)"),
    "thing_id": ("ubigint", "18446744073709551615::ubigint - i::ubigint"),
    "happened_at": ("timestamp", "timestamp '2026-03-10' + to_microseconds((i // 3) * 1000001)"),
    "flag": ("boolean", "i % 2 = 0"),
    "tiny": ("tinyint", "i % 4 - 2"),
    "small": ("usmallint", "65535 - i % 4"),
    "big": ("bigint", "-9223372036854775807 - 1 + i % 3"),
    "unsigned": ("ubigint", "9223372036854775808::ubigint + (i % 3)::ubigint"),
    "total": ("hugeint", "(-99999999999999999999999999999999999999)::hugeint + i % 3"),
    "single": ("float", "0.1 + i"),
    "ratio": ("double", "['0.1', 'nan', 'inf', '-inf', '-0.0', '5e-324'][1 + i % 6]::double"),
    "price": ("decimal(18,2)", "(i % 4 - 1) * 0.05"),
    "exact": ("decimal(38,10)", "(i % 3) * 1234567890123456789012345678.0000000001"),
    "day": ("date", "date '0001-01-01' + (i % 3)"),
    "clock": ("time", "time '23:59:59.999999'"),
    "moment": ("timestamp", "timestamp '9999-12-31 23:59:59.999999' - to_days(i % 3)"),
    "second": ("timestamp_s", "timestamp_s '1969-12-31 23:59:59'"),
    "zoned": ("timestamptz", "'2026-03-10 12:00:00+05:30'::timestamptz + to_hours(i % 3)"),
    "one": ("uuid", "('00000000-0000-0000-0000-00000000000' || (i % 3))::uuid"),
    "name": ("varchar", "['', 'ü/%2F?', '''; drop table', 'null'][1 + i % 4]"),
    "document": ("json", "'{\"a\": 1}'::json"),
    "bytes": ("blob", "'\\xAA\\x00'::blob"),
    "span": ("interval", "to_hours(i % 3)"),
    "nano": ("timestamp_ns", "timestamp_ns '2026-03-10 00:00:00.123456789'"),
    "several": ("integer[]", "[i % 3, null]"),
    "pair": ("struct(a integer, b timestamptz)", "{'a': i % 2, 'b': '2026-03-10 00:00:00Z'}"),
}  # fmt: skip
KEY = ("part", "thing_id")
BY = [c for c in COLUMNS if c not in ("thing_id", "happened_at", "single", "ratio")]
ROWS = 60


def write_mart(project: Path, lookups: str, columns: dict[str, tuple[str, str]] = COLUMNS) -> None:
    folder = project / "models" / "marts" / "things"
    folder.mkdir(parents=True, exist_ok=True)
    always = (*KEY, "happened_at")
    values = [
        f"cast(case when {name in always} or i % 5 <> 4 then {value} end as {kind}) as {name}"
        for name, (kind, value) in columns.items()
    ]
    (folder / f"{MART}.sql").write_text(
        f"select {', '.join(values)} from (select cast(range as integer) as i from range({ROWS}))"
    )
    described = "".join(
        f"      - {{name: {name}, data_type: '{kind}', description: A column.}}\n"
        for name, (kind, _) in columns.items()
    )
    (folder / f"{MART}.yml").write_text(
        f"""
models:
  - name: {MART}
    description: One row per thing.
    config:
      meta:
        lookups: {lookups}
        api: {{filters: [{", ".join(BY)}], order: [-happened_at]}}
    data_tests:
      - unique_combination: {{arguments: {{columns: [{", ".join(KEY)}]}}}}
    columns:
{described}"""
    )


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return settings for a house with a mart of many types, looked up by almost each of them."""
    folder = tmp_path_factory.mktemp("things")
    project = copy_project(folder / "project", [])
    everything = ", ".join(COLUMNS)
    entries = [f"of_{c}: {{by: {c}, newest: happened_at, columns: [{everything}]}}" for c in BY]
    entries.append("few: {by: part, newest: moment, columns: [flag], where: tiny > 0}")
    write_mart(project, f"{{{', '.join(entries)}}}")
    settings = Settings(project=project, home=folder / "home", settle_seconds=0)
    run_build(settings).require_green()
    release(settings)
    return settings


@pytest.fixture(scope="module")
def client(things: Settings) -> Iterator[Client]:
    with serving(things) as client:
        yield client


def values_of(settings: Settings, column: str) -> list[str]:
    """Return the values of a column, as a client writes them."""
    query = (
        f"select distinct cast({column} as varchar) from marts.{MART} where {column} is not null"
    )
    found = [value for (value,) in houses.released_rows(settings, query)]
    if COLUMNS[column][0].startswith("timestamp") and column != "nano":
        return [f"{value.removesuffix('+00').replace(' ', 'T')}Z" for value in found]
    return found


def by_key(client: Client, column: str, value: str, accept: str, limit: int = 1000) -> Any:
    path = f"/marts/{MART}/by/of_{column}/{quote(value, safe='')}?limit={limit}"
    return client.get(path, headers={"Accept": accept})


def assert_same_as_list(client: Client, settings: Settings) -> None:
    for column in BY:
        values = values_of(settings, column)
        assert values, column
        for value in values:
            asked = {column: value, "limit": 1000}
            listed = client.get(f"/marts/{MART}", params=asked, headers={"Accept": NDJSON})
            assert listed.status_code == 200, (column, value, listed.text)
            found = by_key(client, column, value, NDJSON)
            assert found.status_code == 200, (column, value, found.text)
            assert found.text, (column, value)
            assert sorted(found.text.splitlines()) == sorted(listed.text.splitlines()), column


def test_rows_by_a_value_are_those_of_the_list_whatever_the_type(
    client: Client, things: Settings
) -> None:
    assert_same_as_list(client, things)


def test_rows_by_a_value_follow_what_changes_whatever_the_type(
    things: Settings, tmp_path: Path
) -> None:
    own = clone(things, tmp_path / "home")
    houses.execute(
        own,
        f"update lake.marts.{MART} set happened_at = happened_at + interval 1 day, ratio = -ratio, "
        "price = price + 1, name = name || '!' where thing_id % 30 = 0",
        f"delete from lake.marts.{MART} where thing_id % 30 = 1",
    )
    report = release(own)
    assert [mart.how for mart in report.marts] == ["changed in part"]
    with serving(own) as client:
        assert_same_as_list(client, own)


def test_forms_of_rows_by_a_value_are_those_of_the_list(client: Client) -> None:
    for value in ("0.05", "123.45"):  # the second has no rows
        asked = {"price": value}
        for form in (CSV, ARROW):
            listed = client.get(f"/marts/{MART}", params=asked, headers={"Accept": form})
            found = by_key(client, "price", value, form)
            frames = [_read(form, each.content) for each in (listed, found)]
            assert frames[0].schema == frames[1].schema
            assert sorted(map(repr, frames[0].rows())) == sorted(map(repr, frames[1].rows()))


def _read(form: str, content: bytes) -> pl.DataFrame:
    if form == CSV:
        return pl.read_csv(io.BytesIO(content), infer_schema=False)
    frame = pl.from_arrow(pa.ipc.open_stream(content).read_all())
    assert isinstance(frame, pl.DataFrame)
    return frame


def test_newest_come_first_and_pages_have_each_row_once(client: Client) -> None:
    path = f"/marts/{MART}/by/of_part/x1"
    whole = client.json(path, params={"limit": 1000})["items"]
    assert len(whole) == ROWS // 3
    times = [row["happened_at"] for row in whole]
    assert times == sorted(times, reverse=True)
    for limit in (1, 7):
        assert client.pages(path, limit=limit) == whole
    lines = by_key(client, "part", "x1", NDJSON, limit=7)
    following = client.session.get(lines.links["next"]["url"], timeout=PATIENCE_SECONDS)
    assert following.json()["items"] == whole[7:14]


def test_answer_has_the_columns_that_were_asked_for_and_the_rows_that_meet_the_condition(
    client: Client, things: Settings
) -> None:
    rows = client.pages(f"/marts/{MART}/by/few/x0")
    assert {tuple(row) for row in rows} == {("part", "thing_id", "flag", "moment")}
    query = (
        f"select count(*) from marts.{MART} where part = 'x0' and tiny > 0 and moment is not null"
    )
    assert [(len(rows),)] == houses.released_rows(things, query)


@pytest.mark.parametrize(
    ("column", "value", "status"),
    [
        ("price", "0.050", 200),
        ("price", "0.051", 200),
        ("price", "cheap", 422),
        ("tiny", "128", 422),
        ("one", "nobody", 422),
        ("day", "10000-01-01", 422),
        ("name", "x" * 1001, 422),
    ],
)
def test_value_is_understood_or_refused_as_a_filter_is(
    client: Client, column: str, value: str, status: int
) -> None:
    found = by_key(client, column, value, "*/*")
    listed = client.get(f"/marts/{MART}", params={column: value, "limit": 1000})
    assert found.status_code == listed.status_code == status, found.text
    if status == 200:
        assert found.json()["count"] == listed.json()["count"]


@pytest.mark.parametrize("place", [[2**63, "1"], [1], ["1", "1"], [1, None], [1, "1", 2]])
def test_cursor_that_has_been_changed_is_refused(client: Client, place: list[Any]) -> None:
    path = f"/marts/{MART}/by/of_part/x1?limit=1"
    parts = orjson.loads(urlsafe_b64decode(client.json(path)["next"] + "=="))
    changed = urlsafe_b64encode(orjson.dumps([*parts[:3], place])).decode().rstrip("=")
    answer = client.get(f"{path}&cursor={changed}")
    assert answer.status_code == 400, answer.text


def test_look_ups_are_listed_and_described(client: Client) -> None:
    (mart,) = client.json("/marts")["items"]
    few = next(each for each in mart["lookups"] if each["url"].endswith("/few"))
    assert few == {"by": "part", "newest": "moment", "url": f"/marts/{MART}/by/few"}
    paths = client.json("/openapi.json")["paths"]
    for each in mart["lookups"]:
        parameters = paths[f"{each['url']}/{{value}}"]["get"]["parameters"]
        assert [p["name"] for p in parameters] == ["value", "limit", "cursor"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("happened_at = 'infinity'", "happened_at holds infinity"),
        ("day = date '12020-01-01'", "day holds infinity, or a year"),
        ("zoned = timestamptz '0044-03-15 (BC) 00:00:00Z'", "zoned holds infinity, or a year"),
        ("clock = '24:00:00'", "clock holds 24:00:00"),
        (
            "total = 150000000000000000000000000000000000000::hugeint",
            "total holds a number of more",
        ),
        ("thing_id = null", "thing_id is null in some row"),
        (
            "thing_id = 7, happened_at = '2026-03-10'",
            "two rows have the same part and moment and thing_id",
        ),
    ],
)
def test_row_that_cannot_be_looked_up_is_refused_by_name_and_nothing_is_released(
    things: Settings, tmp_path: Path, change: str, said: str
) -> None:
    own = clone(things, tmp_path / "home")
    before = own.warehouse.resolve()
    houses.execute(own, f"update lake.marts.{MART} set {change} where part = 'x1'")
    with pytest.raises(ReleaseError) as raised:
        release(own)
    assert said in raised.value.message
    assert re.match(rf"The look-up \w+ of {MART} cannot be made: ", raised.value.message)
    assert own.warehouse.resolve() == before
