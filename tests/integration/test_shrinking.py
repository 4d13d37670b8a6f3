"""A mart that lost many of its rows holds the release back, and every face says so."""

import houses
import pytest
from pydantic import SecretStr
from support.api import Client, serving
from support.command import House
from support.dashboard import open_page
from support.servers import webhook

from boathouse import doctor, held, status
from boathouse.alerts import Alarm
from boathouse.build import run_build
from boathouse.build.report import ALLOW_SHRINK
from boathouse.errors import BuildError, ReleaseError
from boathouse.release import release, rollback
from boathouse.release.shrinking import LEAST_LOST
from boathouse.settings import Settings

SESSIONS = "select count(*) from marts.fct_sessions"


def lose(settings: Settings, rows: int, mart: str = "fct_sessions") -> None:
    """Delete so many rows of a mart in the lake; it stays as releasable as it was."""
    houses.execute(
        settings,
        f"delete from lake.marts.{mart} where rowid in "
        f"(select rowid from lake.marts.{mart} order by rowid limit {rows})",
    )


def seen(settings: Settings) -> int:
    ((count,),) = houses.released_rows(settings, SESSIONS)
    return int(count)


def require_held_back(settings: Settings, rows: int) -> str:
    """Check that 60 rows are still released and `rows` are not; return what is said."""
    with pytest.raises(ReleaseError, match="held back") as raised:
        release(settings)
    assert seen(settings) == 60
    told = f"it has {rows} rows, and release 1 has 60"
    assert told in raised.value.message and "--allow-shrink" in raised.value.hint
    (blocker,) = status.collect(settings).blockers
    assert blocker.startswith("fct_sessions (models/marts/sessions/") and told in blocker
    assert any(told in each.what for each in doctor.diagnose(settings).findings)
    return raised.value.message


@pytest.mark.parametrize("rows", [31, 60])
def test_mart_that_lost_more_than_half_of_its_rows_holds_the_release_back(
    house: Settings, rows: int
) -> None:
    release(house)
    lose(house, rows)
    require_held_back(house, 60 - rows)
    typed = House(house.project, house.home_folder)
    assert "Not releasable" in typed.boathouse("status").stdout
    assert "Released: 2" in typed.boathouse("release", "--allow-shrink").stdout
    assert seen(house) == 60 - rows
    assert not status.collect(house).blockers
    assert not release(house).is_new  # what was released once is what the next is held against


def test_runs_and_builds_may_be_told_to_allow_it(house: Settings) -> None:
    release(house)
    lose(house, 31)
    typed = House(house.project, house.home_folder)
    for command in ("run", "release"):
        assert "held back" in typed.boathouse(command, code=1).stderr
    typed.boathouse("run", "--allow-shrink")
    assert seen(house) == 29
    typed.boathouse("build", "--select", "rpt_purchases_daily", "--allow-shrink")
    lose(house, 29)
    typed.boathouse("release")
    assert seen(house) == 0


def test_dashboard_and_api_say_what_is_held_back_until_it_is_released(
    house: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(house)
    monkeypatch.setenv("BOATHOUSE_HOME", str(house.home_folder))
    with serving(house) as api:
        assert "held_back" not in api.json("/ready")
        assert not open_page("overview").expander
        lose(house, 60)
        require_held_back(house, 0)
        since = held_in(api, "fct_sessions (models/marts/sessions/")
        assert "boathouse_release_held_back 1.0" in api.get("/metrics").text
        page = open_page("overview")
        assert not page.exception
        assert "Newer data is held back since" in page.expander[0].label
        told = page.expander[0].markdown[0].value.replace("\\", "")
        assert "it has 0 rows, and release 1 has 60" in told
        for name in ("sessions", "quality", "releases"):
            assert "Newer data is held back since" in open_page(name).expander[0].label
        with pytest.raises(ReleaseError):
            release(house)
        assert held_in(api, "fct_sessions") == since
        release(house, allow_shrink=True)
        assert "held_back" not in api.json("/ready")
        assert "boathouse_release_held_back 0.0" in api.get("/metrics").text
        assert not open_page("overview").expander


def held_in(api: Client, told: str) -> str:
    """Return since when the API says that data is held back, and check that it says why."""
    found = api.json("/ready")["held_back"]
    assert told in found["reasons"][0]
    return str(found["since"])


def test_red_build_is_what_holds_newer_data_back(editable_house: Settings) -> None:
    release(editable_house)
    model = editable_house.project / "models/marts/sessions/dim_players.sql"
    right = model.read_text()
    model.write_text(f"{right}\n+")
    assert not run_build(editable_house, select=["dim_players"]).is_green
    found = held.read(editable_house)
    assert found is not None and "model dim_players" in found.reasons[0]
    model.write_text(right)
    run_build(editable_house, select=["dim_players"]).require_green()
    assert held.read(editable_house) is not None, "nothing newer is released yet"
    release(editable_house)
    assert held.read(editable_house) is None


def test_mart_that_lost_half_of_its_rows_is_released(house: Settings) -> None:
    release(house)
    lose(house, 30)
    release(house)
    assert seen(house) == 30


def test_few_rows_may_always_go(house: Settings) -> None:
    lose(house, 60 - LEAST_LOST)
    release(house)
    lose(house, LEAST_LOST - 1)
    release(house)
    assert seen(house) == 1
    lose(house, 1)
    release(house)
    assert seen(house) == 0


def test_small_mart_that_lost_all_of_its_rows_holds_the_release_back(house: Settings) -> None:
    lose(house, 60 - LEAST_LOST)
    release(house)
    lose(house, LEAST_LOST)
    with pytest.raises(ReleaseError, match="it has 0 rows, and release 1 has 10"):
        release(house)


def test_share_is_a_setting(house: Settings) -> None:
    release(house)
    lose(house, 20)
    with pytest.raises(ReleaseError, match="may lose 30%"):
        release(house.model_copy(update={"max_shrink": 0.3}))
    lose(house, 40)
    release(house.model_copy(update={"max_shrink": 1.0}))
    assert seen(house) == 0


@pytest.mark.parametrize(("said", "may_go", "too_many"), [("true", 60, None), ("0.8", 48, 1)])
def test_mart_may_be_declared_to_shrink(
    house: Settings, said: str, may_go: int, too_many: int | None
) -> None:
    release(house)
    houses.execute(
        house, f"update lake.meta.nodes set may_shrink = '{said}' where name = 'fct_sessions'"
    )
    lose(house, may_go + (too_many or 0))
    if too_many is not None:
        with pytest.raises(ReleaseError, match="may lose 80%"):
            release(house)
        houses.execute(
            house, "update lake.meta.nodes set may_shrink = 'true' where name = 'fct_sessions'"
        )
    release(house)
    assert seen(house) == 60 - may_go - (too_many or 0)


def test_declaration_comes_from_the_model_and_must_be_a_share(editable_house: Settings) -> None:
    release(editable_house)
    path = editable_house.project / "models/marts/sessions/fct_sessions.yml"
    text = path.read_text()

    def declare(said: str) -> None:
        path.write_text(
            text.replace("      meta:\n", f"      meta:\n        may_shrink: {said}\n", 1)
        )

    declare("'a lot'")
    with pytest.raises(BuildError, match=r"may_shrink.* is 'a lot'"):
        run_build(editable_house, select=["fct_sessions"])
    declare("0.9")
    run_build(editable_house, select=["fct_sessions"]).require_green()
    query = "select may_shrink from lake.meta.nodes where name = 'fct_sessions'"
    assert houses.lake_rows(editable_house, query) == [("0.9",)]


def test_build_that_allows_it_allows_it_up_to_the_next_release(house: Settings) -> None:
    release(house)
    run_build(house, select=["dim_players"], command=f"boathouse build{ALLOW_SHRINK}")
    lose(house, 59)
    assert not [each for each in status.collect(house).blockers if "may lose" in each]
    houses.execute(house, "update lake.meta.builds set command = 'boathouse build'")
    assert [each for each in status.collect(house).blockers if "may lose" in each]


def test_mart_made_anew_is_counted_and_one_that_is_gone_is_not(house: Settings) -> None:
    release(house)
    houses.execute(
        house,
        "create or replace table lake.marts.fct_sessions as from lake.marts.fct_sessions limit 1",
    )
    require_held_back(house, 1)
    houses.execute(
        house,
        "drop table lake.marts.fct_sessions",
        "delete from lake.meta.nodes where relation = 'fct_sessions'",
    )
    assert release(house).is_new


def test_release_that_readers_went_back_to_is_what_counts(house: Settings) -> None:
    release(house)
    lose(house, 59)
    release(house, allow_shrink=True)
    rollback(house)
    assert release(house).release.release_id == 2  # it was allowed when it was made
    rollback(house)
    lose(house, 1)
    with pytest.raises(ReleaseError, match="held back"):
        release(house)


def test_readers_without_a_file_get_no_mart_that_lost_its_rows(house: Settings) -> None:
    release(house)
    house.warehouse.unlink()
    lose(house, 59)
    with pytest.raises(ReleaseError, match="held back"):
        release(house)


def test_alert_names_the_mart_and_is_sent_once_however_many_rows_are_left(house: Settings) -> None:
    release(house)
    with webhook() as hook:
        alarm = Alarm(house.model_copy(update={"alert_webhook": SecretStr(hook.address)}))
        for rows in (50, 1):
            lose(house, rows)
            with pytest.raises(ReleaseError) as raised:
                release(house)
            assert not alarm.tell(raised.value)
    assert [each["where"] for each in hook.posted] == ["rows of fct_sessions"]
    assert "it has 10 rows, and release 1 has 60" in hook.posted[0]["what"]
