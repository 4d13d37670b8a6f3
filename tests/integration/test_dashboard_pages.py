"""Every page of the dashboard, through Streamlit's own AppTest: with data, without, and broken."""

import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from streamlit.testing.v1 import AppTest
from support.dashboard import BOLD, SCRIPT, changing, copy_released, open_page
from support.homes import REPOSITORY

from boathouse.settings import Settings
from dashboards.frame import Page
from dashboards.pages import PAGES
from dashboards.released import QUERIES

NAMES = [page.name for pages in PAGES.values() for page in pages]


@pytest.fixture
def home(nine_domains: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("BOATHOUSE_HOME", str(nine_domains.home_folder))
    return nine_domains


def told(app: AppTest) -> str:
    return "\n".join(each.value for each in (*app.error, *app.info))


def texts(app: AppTest) -> str:
    """Return everything that Streamlit takes as Markdown on a page."""
    found = [each.value for each in (*app.markdown, *app.caption)]
    return "\n".join([*found, *(metric.label + metric.value for metric in app.metric)])


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", NAMES)
def test_page_with_data_shows_no_error(name: str) -> None:
    app = open_page(name)
    assert not app.exception
    assert told(app) == ""
    assert app.title[0].value
    assert "Release 2" in texts(app)
    assert "tests passed" in texts(app)


@pytest.mark.parametrize("name", NAMES)
def test_page_without_a_release_says_what_to_do(name: str) -> None:
    app = open_page(name)
    assert not app.exception
    assert "There is no release yet" in told(app)
    assert "make warehouse" in told(app).replace("\\", "")


@pytest.mark.parametrize("name", NAMES)
def test_page_on_a_broken_file_says_what_to_do(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOATHOUSE_HOME", str(tmp_path))
    (tmp_path / "warehouse.duckdb").write_bytes(b"this is no database" * 1000)
    app = open_page(name)
    assert not app.exception
    assert "no file that Boathouse has released" in told(app).replace("\\", "")
    assert "boathouse rollback" in told(app).replace("\\", "")


def test_page_of_which_the_file_vanishes_says_so_and_comes_back(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = copy_released(home, tmp_path / "home")
    monkeypatch.setenv("BOATHOUSE_HOME", str(own.home_folder))
    app = open_page("overview")
    assert told(app) == ""
    away = own.warehouse.rename(tmp_path / "away")
    assert "There is no release yet" in told(app.run())
    away.rename(own.warehouse)
    assert told(app.run()) == ""


def test_page_of_a_damaged_release_says_what_to_do(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = copy_released(home, tmp_path / "home")
    newest = own.releases_folder / "2.duckdb"
    newest.chmod(0o644)
    with newest.open("r+b") as file:
        file.truncate(20_000)
    monkeypatch.setenv("BOATHOUSE_HOME", str(own.home_folder))
    app = open_page("overview")
    assert not app.exception
    assert "rollback" in told(app)


def test_page_of_a_domain_that_is_not_in_the_release_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Settings
) -> None:
    own = copy_released(home, tmp_path / "home")
    with changing(own) as con:
        for (mart,) in con.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts'"
        ).fetchall():
            con.execute(f"drop table marts.{mart} cascade")
    monkeypatch.setenv("BOATHOUSE_HOME", str(own.home_folder))
    for pages in PAGES.values():
        for page in pages:
            app = open_page(page.name)
            assert not app.exception
            assert ("This release has no" in told(app)) == bool(page.needs), page.name


def test_pages_of_marts_without_rows_show_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Settings
) -> None:
    own = copy_released(home, tmp_path / "home")
    with changing(own) as con:
        for schema, table in con.execute(
            "select schema_name, table_name from duckdb_tables() where table_name not in "
            "('release', 'sources', 'contents')"
        ).fetchall():
            con.execute(f"delete from {schema}.{table}")
    monkeypatch.setenv("BOATHOUSE_HOME", str(own.home_folder))
    for name in NAMES:
        app = open_page(name)
        assert not app.exception, name
        assert told(app) == "", name


def test_new_release_is_shown_on_the_next_run_and_the_old_one_stays_readable(
    home: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from boathouse.release import rollback
    from dashboards.released import Warehouse

    own = copy_released(home, tmp_path / "home")
    monkeypatch.setenv("BOATHOUSE_HOME", str(own.home_folder))
    place = Warehouse(own)
    shown = place.current()
    assert "Release 2" in texts(open_page("overview"))
    rollback(own, 1)
    assert "Release 1" in texts(open_page("overview"))
    assert place.current().release_id == 1
    shutil.rmtree(own.releases_folder)
    assert shown.run("select count(*) from marts.dim_players", {}).item() == (
        place.current().run("select count(*) from marts.dim_players", {}).item() + 3
    )


@pytest.mark.usefixtures("home")
def test_data_is_never_taken_as_markdown() -> None:
    app = open_page("quality")
    assert SCRIPT not in texts(app) and BOLD not in texts(app)


def test_late_sources_are_told_by_their_own_policy(
    home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dashboards.text
    from dashboards import frame
    from dashboards.released import Warehouse

    sources = Warehouse(home).current().query("frame/freshness", domain=None)
    assert sources.height == 12
    loaded = sources["last_loaded_at"].max()

    def states(hours: float) -> dict[str, str]:
        monkeypatch.setattr(frame, "now", lambda: loaded + timedelta(hours=hours))
        judged = frame.judge_freshness(sources)
        return dict(judged.select("source", "state").iter_rows())

    assert states(1)["session_events"] == "fresh"
    assert states(40) | {"purchases": "late", "session_events": "fresh"} == states(40)
    assert states(50)["session_events"] == "late"
    assert states(50)["songs"] == "no policy"
    assert dashboards.text.duration(7200) == "2.0 h"


def test_every_query_runs_and_is_used() -> None:
    views = Path(QUERIES.parent / "views")
    code = "".join(path.read_text() for path in (*views.glob("*.py"), QUERIES.parent / "frame.py"))
    for path in QUERIES.rglob("*.sql"):
        name = path.stem
        quoted = (f'"{name}"', f'"{path.parent.name}/{name}"')
        assert any(each in code for each in quoted), f"{path} is asked for by nobody"


@pytest.mark.parametrize("page", [p for ps in PAGES.values() for p in ps if p.domain])
def test_page_needs_the_marts_that_it_reads_and_the_lineage_says_so(page: Page) -> None:
    queries = (path.read_text() for path in (QUERIES / page.name).glob("*.sql"))
    read = {mart for query in queries for mart in re.findall(r"\bmarts\.(\w+)", query)}
    assert read == set(page.needs)
    path = REPOSITORY / f"models/marts/{page.domain}/_{page.domain}__exposures.yml"
    exposures = {each["name"]: each for each in yaml.safe_load(path.read_text())["exposures"]}
    users = exposures[f"dashboard_{page.name}"]["depends_on"]
    assert set(users) == {f"ref('{mart}')" for mart in read}
