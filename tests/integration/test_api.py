"""The API over a real release, through a real server: what it answers, to whom, and when not."""

import csv
import io
import json
import logging
import os
import re
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copyfile
from time import sleep
from typing import Any
from urllib.parse import quote

import duckdb
import polars as pl
import pyarrow as pa
import pytest
import requests
from support.api import Client, serving
from support.command import PATIENCE_SECONDS
from support.dashboard import BOLD, LAST_DAY, SCRIPT, changing, copy_released, release_again
from support.homes import clone

from api.app import LOOK_SECONDS
from api.problems import MEDIA_TYPE
from boathouse.api_keys import KeyRing
from boathouse.release import rollback
from boathouse.settings import Settings

NOON = datetime(LAST_DAY.year, LAST_DAY.month, LAST_DAY.day, 12)


@pytest.fixture(scope="module")
def client(nine_domains: Settings) -> Iterator[Client]:
    """Return a client of a server whose clock says noon of the data's last day."""
    with serving(nine_domains.model_copy(update={"api_now": NOON})) as client:
        yield client


@pytest.fixture(scope="module")
def released(
    nine_domains: Settings, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Return a connection to a copy of what the server serves."""
    path = tmp_path_factory.mktemp("released") / "2.duckdb"
    copyfile(nine_domains.releases_folder / "2.duckdb", path)
    with duckdb.connect(str(path), read_only=True) as con:
        con.execute("set timezone = 'UTC'")
        yield con


@pytest.fixture
def own(nine_domains: Settings, tmp_path: Path) -> Settings:
    """Return settings for a copy of what is released, which a test may change."""
    return copy_released(nine_domains, tmp_path / "home")


def assert_problem(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    problem = answer.json()
    assert problem["status"] == status
    assert problem["title"] and problem["type"] == "about:blank"
    return str(problem["detail"])


# -- sessions ------------------------------------------------------------------------------------


def completed(con: duckdb.DuckDBPyConnection, player: str) -> list[dict[str, Any]]:
    rows = con.execute(
        "select player_id, session_id, country, strftime(ended_at, '%Y-%m-%dT%H:%M:%S.%fZ') as ts "
        "from marts.fct_sessions where player_id = ? and is_completed "
        "order by ended_at desc, session_id desc",
        [player],
    )
    return rows.pl().rows(named=True)


def times(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return items whose times can be compared, however their zeros are written."""
    return [{**each, "ts": datetime.fromisoformat(each["ts"])} for each in items]


def test_completed_sessions_of_a_player_come_latest_first(
    client: Client, released: duckdb.DuckDBPyConnection
) -> None:
    players = released.execute(
        "select player_id from marts.fct_sessions group by all order by count(*) desc, 1 limit 30"
    ).fetchall()
    for (player,) in players:
        expected = completed(released, player)
        path = f"/models/completed-sessions/{quote(player, safe='')}"
        first = client.json(path)
        assert first["count"] == min(20, len(expected))
        assert ("next" in first) == (len(expected) > 20)
        assert times(first["items"]) == times(expected[:20])
        assert times(client.pages(path, limit=7)) == times(expected)


def test_names_are_served_as_they_are(client: Client) -> None:
    for player in (SCRIPT, BOLD):
        page = client.json(f"/models/completed-sessions/{quote(player, safe='')}")
        assert page["count"] == 20
        assert {item["player_id"] for item in page["items"]} == {player}


def test_player_whom_nobody_knows_has_no_sessions(client: Client) -> None:
    assert client.json("/models/completed-sessions/nobody") == {"items": [], "count": 0}


@pytest.mark.parametrize("spelling", ["started-sessions", "started_sessions"])
def test_started_sessions_of_a_country_are_those_of_the_last_hours(
    client: Client, released: duckdb.DuckDBPyConnection, spelling: str
) -> None:
    for hours in (1, 5, 24):
        for country, until in (("PK", NOON), ("us", NOON), ("PK", NOON - timedelta(hours=13))):
            rows = released.execute(
                "select player_id, session_id, country, started_at as ts from marts.fct_sessions "
                "where country = upper($country) and started_at <= $until "
                "and started_at >= $until - to_hours($hours) "
                "order by started_at desc, session_id desc",
                {"country": country, "until": until, "hours": hours},
            )
            expected = [
                {**each, "ts": f"{each['ts'].isoformat()}Z"} for each in rows.pl().rows(named=True)
            ]
            asked = {} if until == NOON else {"as_of": f"{until.isoformat()}Z"}
            path = f"/models/{spelling}/{country}/{hours}"
            assert times(client.json(path, params=asked)["items"]) == times(expected)
            assert times(client.pages(path, limit=3, **asked)) == times(expected)


def test_time_with_an_offset_is_that_moment(client: Client) -> None:
    path = "/models/started-sessions/PK/24"
    there = client.json(path, params={"as_of": "2026-03-10T17:00:00+05:00"})
    assert there == client.json(path, params={"as_of": "2026-03-10T12:00:00Z"})
    assert there["count"]


# -- marts ---------------------------------------------------------------------------------------


def test_every_mart_with_a_word_about_the_api_is_listed(
    client: Client, released: duckdb.DuckDBPyConnection
) -> None:
    listed = client.json("/marts")
    public = released.execute("select mart from meta.api order by mart").fetchall()
    assert [each["name"] for each in listed["items"]] == [name for (name,) in public]
    assert listed["count"] == len(public) > 30
    for mart in listed["items"]:
        assert mart["description"] and all(column["description"] for column in mart["columns"])


def test_pages_of_every_mart_have_each_row_once(
    client: Client, released: duckdb.DuckDBPyConnection
) -> None:
    for mart in client.json("/marts")["items"]:
        name = mart["name"]
        count = released.execute(f"select count(*) from marts.{name}").fetchall()[0][0]
        limit = max(1, min(10_000, count // 3))
        found = client.pages(mart["url"], limit=limit)
        rows = released.execute(f"from marts.{name}").pl().rows(named=True)
        assert sorted(map(comparable, found)) == sorted(map(comparable, rows)), name


def comparable(row: dict[str, Any]) -> str:
    """Return a row's values as texts, whatever JSON made of their types."""
    return repr([_text(value) for value in row.values()])


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z".replace(".000000Z", "Z")
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", value):
        return f"{datetime.fromisoformat(value).replace(tzinfo=None).isoformat()}Z"
    try:
        return f"{float(value):.10g}"
    except (TypeError, ValueError):
        return str(value)


def test_row_of_every_mart_is_found_by_its_key(client: Client) -> None:
    for mart in client.json("/marts")["items"]:
        page = client.json(mart["url"], params={"limit": 3})
        for row in page["items"]:
            values = [row[column] for column in mart["key"]]
            if values and all(value not in (None, "") for value in values):
                parts = [
                    str(value).lower() if value in (True, False) else str(value) for value in values
                ]
                path = "/".join([mart["url"], *(quote(part, safe="") for part in parts)])
                assert client.json(path) == row, path


def test_filters_narrow_a_list(client: Client, released: duckdb.DuckDBPyConnection) -> None:
    for mart, asked, where in (
        ("fct_sessions", {"country": "PK"}, "country = 'PK'"),
        (
            "fct_sessions",
            {"session_date_from": "2026-03-09", "session_date_before": "2026-03-10"},
            "session_date = date '2026-03-09'",
        ),
        ("fct_sessions", {"is_completed": "false"}, "not is_completed"),
        ("rpt_level_funnel", {"level_min": 2, "level_max": 4}, "level between 2 and 4"),
        (
            "fct_game_events",
            {"occurred_at_from": "2026-03-09T12:00:00Z", "event_name": "level_start"},
            "occurred_at >= timestamp '2026-03-09 12:00:00' and event_name = 'level_start'",
        ),
    ):
        query = f"select count(*) from marts.{mart} where {where}"
        expected = released.execute(query).fetchall()[0][0]
        total = released.execute(f"select count(*) from marts.{mart}").fetchall()[0][0]
        assert 0 < expected < total, (mart, asked)
        assert len(client.pages(f"/marts/{mart}", limit=1000, **asked)) == expected


def test_purchases_have_a_history_and_a_past(
    client: Client, released: duckdb.DuckDBPyConnection
) -> None:
    ((purchase,),) = released.execute(
        "select purchase_id from marts.fct_purchase_versions group by all "
        "order by count(*) desc, 1 limit 1"
    ).fetchall()
    history = client.json(f"/purchases/{purchase}/history")
    assert history["count"] > 1
    assert [each["version"] for each in history["items"]] == list(range(1, history["count"] + 1))
    for version in history["items"]:
        day = version["valid_from"]
        then = client.json(f"/purchases/{purchase}", params={"as_of": day})
        assert then["version"] == version["version"]
        assert then["last_changed_on"] == day
    ((current,),) = released.execute("select count(*) from marts.fct_purchases").fetchall()
    assert len(client.pages("/purchases", limit=1000)) == current
    ((before,),) = released.execute(
        "select count(*) from marts.purchases_as_of(date '2026-03-08')"
    ).fetchall()
    past = client.pages("/purchases", limit=50, as_of="2026-03-08")
    assert len(past) == before != current


# -- forms of an answer --------------------------------------------------------------------------


def test_list_has_the_same_rows_in_every_form(client: Client) -> None:
    path = "/marts/fct_game_events?limit=200"
    rows = client.json(path)["items"]
    lines = client.get(path, headers={"Accept": "application/x-ndjson"})
    assert [json.loads(line) for line in lines.text.splitlines()] == rows
    table = client.get(path, headers={"Accept": "text/csv"})
    read = list(csv.DictReader(io.StringIO(table.text)))
    assert [each["event_id"] for each in read] == [each["event_id"] for each in rows]
    assert list(read[0]) == list(rows[0])
    arrow = client.get(path, headers={"Accept": "application/vnd.apache.arrow.stream"})
    frame = pl.from_arrow(pa.ipc.open_stream(arrow.content).read_all())
    assert isinstance(frame, pl.DataFrame)
    assert [
        comparable(row)
        for row in frame.with_columns(pl.col(pl.Datetime).dt.replace_time_zone(None)).rows(
            named=True
        )
    ] == [comparable(row) for row in rows]
    for answer in (lines, table, arrow):
        assert 'rel="next"' in answer.headers["Link"]
        following = client.session.get(answer.links["next"]["url"], timeout=PATIENCE_SECONDS)
        assert following.json()["items"][0] not in rows


def test_form_that_there_is_not_is_refused(client: Client) -> None:
    answer = client.get("/marts/dim_players", headers={"Accept": "image/png"})
    assert "application/json" in assert_problem(answer, 406)
    best = client.get("/marts/dim_players", headers={"Accept": "text/html;q=0.9, text/csv;q=0.2"})
    assert best.headers["content-type"].startswith("text/csv")


def test_client_that_has_the_answer_gets_none(client: Client) -> None:
    for path in ("/marts/dim_players", "/models/completed-sessions/nobody", "/purchases?limit=3"):
        first = client.get(path)
        etag = first.headers["ETag"]
        again = client.get(path, headers={"If-None-Match": f'"other", {etag}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == etag
        since = client.get(path, headers={"If-Modified-Since": first.headers["Last-Modified"]})
        assert since.status_code == 304
        other = client.get(path, headers={"If-None-Match": '"other"'})
        assert other.status_code == 200
    csv_etag = client.get("/marts/dim_players", headers={"Accept": "text/csv"}).headers["ETag"]
    assert csv_etag != client.get("/marts/dim_players").headers["ETag"]


def test_answer_that_depends_on_the_clock_is_never_kept(client: Client) -> None:
    assert "ETag" not in client.get("/models/started-sessions/PK/24").headers
    assert "ETag" in client.get("/models/started-sessions/PK/24?as_of=2026-03-10T12:00:00Z").headers


def test_long_answers_are_packed(client: Client) -> None:
    answer = client.get("/marts/fct_sessions", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.json()["count"] == 100


def test_headers_say_which_release_answered_and_how_good_it_is(client: Client) -> None:
    for path in ("/marts/dim_players", "/models/completed-sessions/x", "/purchases"):
        headers = client.get(path).headers
        assert headers["Boathouse-Release"] == "2"
        assert headers["Boathouse-Tests"] == "passed"
        assert headers["Boathouse-Freshness"] in ("fresh", "stale", "late")
        assert datetime.fromisoformat(headers["Boathouse-Released-At"])


def test_data_that_is_late_is_said_to_be(nine_domains: Settings) -> None:
    later = datetime.now() + timedelta(days=400)
    with serving(nine_domains.model_copy(update={"api_now": later})) as client:
        assert client.get("/purchases").headers["Boathouse-Freshness"] in ("stale", "late")


# -- what is asked wrongly -----------------------------------------------------------------------

WRONG = [
    ("/models/started-sessions/PK/0", 422),
    ("/models/started-sessions/PK/25", 422),
    ("/models/started-sessions/PK/-1", 422),
    ("/models/started-sessions/PK/99999999999999999999999", 422),
    ("/models/started-sessions/PK/1.5", 422),
    ("/models/started-sessions/Pakistan/1", 422),
    ("/models/started-sessions/%00%00/1", 422),
    ("/models/started-sessions/PK/1?as_of=yesterday", 422),
    ("/models/started-sessions/PK/1?as_of=10", 422),
    ("/models/completed-sessions/", 422),
    ("/models/completed-sessions/a%00b", 422),
    ("/models/completed-sessions/" + "x" * 5000, 422),
    ("/models/completed-sessions/x?limit=0", 422),
    ("/models/completed-sessions/x?limit=-1", 422),
    ("/models/completed-sessions/x?limit=10001", 422),
    ("/models/completed-sessions/x?limit=1e3", 422),
    ("/models/completed-sessions/x?limit=٣", 422),
    ("/models/completed-sessions/x?cursor=", 400),
    ("/models/completed-sessions/x?cursor=%FF%FE", 400),
    ("/models/completed-sessions/x?cursor=bm90IGpzb24", 400),
    ("/models/completed-sessions/x?cursor=WzEsMl0", 400),
    ("/models/completed-sessions/x?cursor=" + "A" * 5000, 422),
    ("/models/completed-sessions/x?nonsense=1", 422),
    ("/marts/fct_sessions?counrty=PK", 422),
    ("/marts/fct_sessions?session_date=2026-02-30", 422),
    ("/marts/fct_sessions?session_date=20260301", 422),
    ("/marts/fct_sessions?is_completed=maybe", 422),
    ("/marts/rpt_level_funnel?level_min=99999999999", 422),
    ("/marts/fct_purchases/1e2", 422),
    ("/marts/fct_purchases/9223372036854775808", 422),
    ("/marts/fct_purchases/-5", 404),
    ("/marts/dim_players/nobody", 404),
    ("/marts/stg_sessions__events", 404),
    ("/marts/meta.loads", 404),
    ("/nothing", 404),
    ("/docs", 404),
]


@pytest.mark.parametrize(("path", "status"), WRONG, ids=[path[:60] for path, _ in WRONG])
def test_wrong_question_is_a_problem(client: Client, path: str, status: int) -> None:
    assert assert_problem(client.get(path), status)


def test_api_is_only_for_reading(client: Client) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = client.session.request(
            method, f"{client.address}/marts/dim_players", timeout=PATIENCE_SECONDS
        )
        assert_problem(answer, 405)


def test_cursor_of_another_question_is_refused(client: Client) -> None:
    sessions = client.json("/marts/fct_sessions?limit=1")["next"]
    players = client.json("/marts/dim_players?limit=1")["next"]
    for path in (
        f"/marts/dim_players?cursor={sessions}",
        f"/marts/fct_sessions?country=PK&cursor={sessions}",
        f"/models/completed-sessions/x?cursor={players}",
        f"/models/started-sessions/PK/1?cursor={players}",
        f"/purchases?cursor={players}",
    ):
        assert "question" in assert_problem(client.get(path), 400)


INJECTIONS = ["' or 1=1 --", "x' union select * from meta.loads --", '"; drop table marts.x; --']


def test_no_parameter_reaches_the_sql(client: Client) -> None:
    before = len(client.pages("/marts/dim_players", limit=1000))
    described = client.json("/openapi.json")
    tried = 0
    for path, operations in described["paths"].items():
        parameters = operations["get"].get("parameters", [])
        for parameter in parameters:
            for text in INJECTIONS:
                answer = client.get(*_put(path, parameters, parameter["name"], text))
                assert answer.status_code in (200, 400, 404, 422), answer.text
                if answer.status_code == 200:
                    assert not answer.json().get("items"), (path, parameter["name"], text)
                tried += 1
    assert tried > 300
    assert len(client.pages("/marts/dim_players", limit=1000)) == before


def _put(path: str, parameters: list[Any], name: str, text: str) -> tuple[str]:
    """Return a request with a text as one parameter, and what goes through as all others."""
    fitting = {"country": "PK", "hours": "1"}
    query = ""
    for parameter in parameters:
        value = text if parameter["name"] == name else fitting.get(parameter["name"], "1")
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", quote(value, safe=""))
        elif parameter["name"] == name:
            query = f"?{name}={quote(value, safe='')}"
    return (path + query,)


# -- who may -------------------------------------------------------------------------------------


def test_beyond_loopback_nobody_is_let_in_without_a_key(own: Settings) -> None:
    ring = KeyRing(own)
    key, secret = ring.create("game", ["sessions"], "1000/minute")
    with serving(own, host="0.0.0.0") as client:
        assert "boathouse api-key" in assert_problem(client.get("/marts"), 401)
        assert client.get("/marts").headers["WWW-Authenticate"] == "Bearer"
        for path in ("/health", "/ready", "/openapi.json"):
            assert client.get(path).status_code == 200
        for wrong in ("", "nonsense", secret[:-1], secret + "x", f"bh_{key.key_id}_", "bh_é_x"):
            headers = {"Authorization": f"Bearer {wrong}".encode()}
            assert_problem(client.get("/marts", headers=headers), 401)
        for headers in ({"Authorization": f"Bearer {secret}"}, {"X-API-Key": secret}):
            assert client.get("/models/completed-sessions/x", headers=headers).status_code == 200
            assert_problem(client.get("/purchases", headers=headers), 403)
            listed = client.json("/marts", headers=headers)["items"]
            assert {mart["domain"] for mart in listed} == {"sessions"}
        ring.revoke(key.key_id)
        assert_problem(client.get("/marts", headers={"X-API-Key": secret}), 401)


def test_key_that_is_not_valid_is_refused_on_loopback_too(client: Client) -> None:
    assert_problem(client.get("/marts", headers={"X-API-Key": "bh_00000000_x"}), 401)


def test_too_many_requests_of_a_key_have_to_wait(own: Settings) -> None:
    ring = KeyRing(own)
    _, slow = ring.create("slow", ["*"], "3/hour")
    _, quick = ring.create("quick", ["*"], "1000/second")
    with serving(own) as client:
        statuses = [
            client.get("/purchases", headers={"X-API-Key": slow}).status_code for _ in range(5)
        ]
        assert statuses == [200, 200, 200, 429, 429]
        refused = client.get("/purchases", headers={"X-API-Key": slow})
        assert_problem(refused, 429)
        assert 0 < int(refused.headers["Retry-After"]) <= 3600
        assert client.get("/purchases", headers={"X-API-Key": quick}).status_code == 200


def test_no_key_is_ever_in_a_log_or_on_the_disk(
    own: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    key, secret = KeyRing(own).create("game", ["*"], "1000/minute")
    logging.getLogger("boathouse.api").propagate = True
    with caplog.at_level(logging.INFO), serving(own, host="0.0.0.0") as client:
        client.get("/purchases", headers={"X-API-Key": secret})
        client.get("/purchases", headers={"Authorization": f"Bearer {secret[:-3]}"})
        client.get(f"/purchases?key={secret}")
    requests = [vars(each) for each in caplog.records if each.getMessage() == "request"]
    assert [each["status"] for each in requests] == [200, 401, 401]
    assert requests[0]["key"] == key.key_id
    hidden = secret.rpartition("_")[2]
    assert not [each for each in caplog.records if hidden in str(vars(each))]
    kept = own.home_folder / "api_keys.json"
    assert hidden not in kept.read_text()
    assert oct(kept.stat().st_mode & 0o777) == "0o600"


# -- how it is -----------------------------------------------------------------------------------


def test_requests_have_an_id_and_are_counted(client: Client) -> None:
    given = client.get("/health", headers={"X-Request-ID": "mine-1"})
    assert given.headers["X-Request-ID"] == "mine-1"
    harmful = client.get("/health", headers={"X-Request-ID": "a" * 500})
    assert re.fullmatch(r"[0-9a-f]{32}", harmful.headers["X-Request-ID"])
    client.get("/purchases?limit=x")
    metrics = client.get("/metrics").text
    assert re.search(r'requests_total\{route="/health",status="200"\} [1-9]', metrics)
    assert re.search(r'requests_total\{route="/purchases",status="422"\} [1-9]', metrics)
    assert "boathouse_api_release 2.0" in metrics


def test_before_the_first_release_it_says_what_to_do_and_then_serves(
    own: Settings, tmp_path: Path
) -> None:
    aside = tmp_path / "aside.duckdb"
    own.warehouse.rename(aside)
    with serving(own) as client:
        assert client.json("/health") == {"status": "ok"}
        for path in ("/ready", "/purchases/1", "/models/completed-sessions/x"):
            answer = client.get(path)
            if path != "/purchases/1":  # there are no marts to have paths
                assert "make warehouse" in assert_problem(answer, 503)
        aside.rename(own.warehouse)
        client.wait_for_release(2)
        assert client.json("/purchases")["count"]


def test_last_good_release_is_kept_when_its_file_goes_or_is_spoilt(own: Settings) -> None:
    with serving(own) as client:
        whole = client.json("/marts/dim_players")
        own.warehouse.unlink()
        assert client.json("/marts/dim_players") == whole
        own.warehouse.write_bytes(b"this is no database" * 1000)
        for _ in range(10):
            assert client.json("/marts/dim_players") == whole
        sleep(4 * LOOK_SECONDS)
        assert "rollback" in client.json("/ready")["problem"]
        rollback(own, 1)
        client.wait_for_release(1)
        assert "problem" not in client.json("/ready")


def test_file_that_is_spoilt_in_place_is_a_problem_and_not_a_defect(own: Settings) -> None:
    with serving(own) as client:
        path = own.releases_folder / "2.duckdb"
        path.chmod(0o644)
        path.write_bytes(os.urandom(path.stat().st_size // 2))
        for mart in client.json("/marts")["items"]:
            answer = client.get(mart["url"])
            assert answer.status_code in (200, 503), answer.text
        assert client.get("/models/completed-sessions/x").status_code == 200


def test_release_without_look_ups_is_served_but_for_them(own: Settings) -> None:
    for path in own.releases_folder.glob("*.sqlite"):
        path.unlink()
    with serving(own) as client:
        assert client.json("/marts/dim_players")["count"]
        assert_problem(client.get("/models/completed-sessions/x"), 503)
        assert client.json("/purchases")["count"]


def test_release_without_one_look_up_is_served_but_for_that(own: Settings) -> None:
    for path in own.releases_folder.glob("*.sqlite"):
        path.chmod(0o644)
        with closing(sqlite3.connect(path)) as con, con:
            con.execute("delete from lookups where name like '%.completed_sessions'")
    with serving(own) as client:
        assert_problem(client.get("/models/completed-sessions/x"), 503)
        assert client.get("/models/started-sessions/PK/1").status_code == 200


def test_release_of_another_version_is_refused_with_what_to_do(own: Settings) -> None:
    with changing(own) as con:
        con.execute("drop table meta.api")
    with serving(own) as client:
        assert "another version" in assert_problem(client.get("/ready"), 503)


def test_releases_change_under_load_without_an_error(
    nine_domains: Settings, tmp_path: Path
) -> None:
    own = clone(nine_domains, tmp_path / "home").model_copy(update={"releases_kept": 2})
    paths = ("/marts/dim_players", "/models/completed-sessions/x", "/purchases/1/history")
    answers: list[tuple[int, str]] = []
    is_over = threading.Event()

    def ask(client: Client) -> None:
        with requests.Session() as session:
            own_client = Client(client.address, session=session)
            while not is_over.is_set():
                for path in paths:
                    answer = own_client.get(path)
                    release_id = answer.headers.get("Boathouse-Release", answer.text)
                    answers.append((answer.status_code, release_id))

    with serving(own) as client:
        asking = [threading.Thread(target=ask, args=(client,)) for _ in range(4)]
        for thread in asking:
            thread.start()
        try:
            for release_id in (3, 4, 5):
                release_again(own)
                client.wait_for_release(release_id)
            rollback(own)
            client.wait_for_release(4)
        finally:
            is_over.set()
            for thread in asking:
                thread.join()
    assert {status for status, _ in answers} == {200}
    assert {release_id for _, release_id in answers} == {"2", "3", "4", "5"}


def test_pages_stay_in_their_release_while_others_come_and_go(
    nine_domains: Settings, tmp_path: Path
) -> None:
    own = clone(nine_domains, tmp_path / "home").model_copy(update={"releases_kept": 2})
    with serving(own) as client:
        first = client.json("/marts/dim_players?limit=2")
        player = f"/models/completed-sessions/{quote(SCRIPT, safe='')}"
        mine = client.json(f"{player}?limit=2")
        release_again(own)
        client.wait_for_release(3)
        latest = {each["player_id"] for each in client.pages("/marts/dim_players", limit=500)}
        rest = client.pages("/marts/dim_players", limit=500, cursor=first["next"])
        seen = {each["player_id"] for each in [*first["items"], *rest]}
        assert seen < latest
        answer = client.get(f"{player}?cursor={mine['next']}")
        assert answer.headers["Boathouse-Release"] == "2"
        release_again(own)
        client.wait_for_release(4)
        for path in (
            f"/marts/dim_players?cursor={first['next']}",
            f"{player}?cursor={mine['next']}",
        ):
            until_gone = [client.get(path).status_code for _ in range(3)]
            assert set(until_gone) <= {200, 410}
        release_again(own)
        client.wait_for_release(5)
        assert "Begin again" in assert_problem(client.get(f"{player}?cursor={mine['next']}"), 410)
