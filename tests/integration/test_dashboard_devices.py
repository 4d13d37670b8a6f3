"""The pages of what devices send: telemetry, vehicles, actions and fleet."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from streamlit.testing.v1 import AppTest
from support.dashboard import BOLD, LAST_DAY, SCRIPT, changing, copy_released, open_page

from boathouse.settings import Settings
from dashboards.filters import step
from dashboards.released import Release, Warehouse
from dashboards.text import moment, number, plain

PAGES = ("telemetry", "vehicles", "actions", "fleet")


@pytest.fixture
def release(nine_domains: Settings, monkeypatch: pytest.MonkeyPatch) -> Release:
    monkeypatch.setenv("BOATHOUSE_HOME", str(nine_domains.home_folder))
    return Warehouse(nine_domains).current()


def opened(name: str, **query: str | Sequence[str]) -> AppTest:
    app = open_page(name, query)
    assert not app.exception and not app.error
    return app


def markdown(app: AppTest) -> str:
    """Return everything on a page that Streamlit takes as Markdown."""
    metrics = [f"{each.label}\n{each.value}\n{each.delta}" for each in app.metric]
    return "\n".join([*(each.value for each in (*app.markdown, *app.caption)), *metrics])


def figures(app: AppTest) -> dict[str, str]:
    return {each.label.replace("\\", ""): each.value.replace("\\", "") for each in app.metric}


def tables(app: AppTest, column: str) -> list[pl.DataFrame]:
    """Return the page's tables that have a column."""
    frames = [pl.from_pandas(each.value) for each in app.dataframe]
    return [frame for frame in frames if column in frame.columns]


@pytest.mark.usefixtures("release")
def test_text_of_cars_is_shown_as_it_is() -> None:
    app = opened("vehicles", vehicle=BOLD, day=str(LAST_DAY))
    assert SCRIPT not in markdown(app) and BOLD not in markdown(app)
    assert app.selectbox(key="vehicle").value == BOLD
    assert plain(SCRIPT) in {each.value for each in app.metric}
    (calls,) = [each for each in tables(app, "note") if "vehicle_id" in each.columns]
    (call,) = calls.filter(vehicle_id=BOLD).iter_rows(named=True)
    assert (call["note"], call["event_type"], call["event_value"]) == (SCRIPT, SCRIPT, BOLD)
    (fleet,) = tables(app, "status_source")
    assert fleet.filter(vehicle_id=BOLD)["status"].to_list() == [SCRIPT]


@pytest.mark.usefixtures("release")
def test_text_of_trucks_is_shown_as_it_is() -> None:
    app = opened("fleet", truck=BOLD, parameter="sensor_01")
    assert SCRIPT not in markdown(app) and BOLD not in markdown(app)
    assert app.selectbox(key="truck").value == BOLD
    assert figures(app)["Readings"] == "2"
    (texts,) = tables(app, "value_text")
    assert texts["value_text"].to_list() == [SCRIPT]


def test_retention_agrees_with_the_mart(release: Release) -> None:
    heat = release.query("telemetry/retention")
    mart = release.run("select * from marts.rpt_engagement_daily order by event_date", {})
    assert heat.filter(pl.col("days_later") > 1).height
    found = {
        day: back / new
        for day, new, back in heat.filter(days_later=1)
        .select("first_day", "new_players", "players_back")
        .iter_rows()
    }
    known = mart.filter(pl.col("day_1_retention").is_not_null())
    expected = dict(known.select("event_date", "day_1_retention").iter_rows())
    assert found == pytest.approx(expected)


def test_telemetry_takes_days_from_the_url(release: Release) -> None:
    (players,) = release.run(
        "select daily_active_players, new_players from marts.rpt_engagement_daily "
        "where event_date = $day",
        {"day": LAST_DAY},
    ).iter_rows()
    shown = figures(opened("telemetry", dates=[str(LAST_DAY), str(LAST_DAY)]))
    assert (shown["Active players"], shown["New players"]) == tuple(map(number, players))


def test_telemetry_takes_the_currency_from_the_url(release: Release) -> None:
    currencies = release.query("telemetry/currencies")["currency"].to_list()
    assert len(currencies) > 1
    (every,) = tables(opened("telemetry"), "revenue_per_purchase")
    assert every["currency"].to_list() == currencies
    (one,) = tables(opened("telemetry", currency=currencies[-1]), "revenue_per_purchase")
    assert one["currency"].to_list() == currencies[-1:]


def test_vehicles_take_status_from_the_url(release: Release) -> None:
    app = opened("vehicles", status=["in_use", "charging"])
    (fleet,) = tables(app, "status_source")
    assert set(fleet["status"]) == {"in_use", "charging"}
    assert fleet.height == sum(
        count
        for status, count in release.query("vehicles/fleet_status", statuses=[]).iter_rows()
        if status in ("in_use", "charging")
    )


@pytest.mark.usefixtures("release")
def test_vehicle_without_events_on_the_day_says_when_its_last_were() -> None:
    before = LAST_DAY - timedelta(days=1)
    app = opened("vehicles", vehicle=BOLD, day=str(before))
    assert f"the last are of {plain(LAST_DAY)}" in markdown(app)


def test_actions_of_all_days_agree_with_the_summary(release: Release) -> None:
    ((windows, actions, average, busiest),) = release.run(
        "select windows, actions, average_actions_per_window, busiest_window_start "
        "from marts.rpt_action_summary",
        {},
    ).iter_rows()
    app = opened("actions")
    shown = figures(app)
    assert shown["Actions"] == number(actions)
    assert shown["Ten-minute windows with actions"] == number(windows)
    assert shown["Opens and closes per window"] == number(average, 2)
    assert moment(busiest) in markdown(app).replace("\\", "")


@pytest.mark.parametrize("minutes", [10, 60, 1440])
def test_actions_are_counted_once_however_wide_the_bars(release: Release, minutes: int) -> None:
    chosen = {"minutes": minutes, "low": date(2000, 1, 1), "high": LAST_DAY}
    bars = release.query("actions/over_time", **chosen)
    total = release.query("actions/totals", **chosen)["actions"].item()
    assert bars["total_actions"].sum() == total > 0
    widths = bars.select(pl.col("window_end") - pl.col("window_start")).to_series()
    assert set(widths) == {timedelta(minutes=minutes)}
    assert set(bars["window_start"].dt.epoch("s") % (60 * minutes)) == {0}


def test_fleet_takes_truck_and_parameter_from_the_url(release: Release) -> None:
    chosen = {"low": LAST_DAY, "high": LAST_DAY, "truck": BOLD, "parameter": "sensor_02"}
    band = release.query("fleet/band", **chosen)
    assert band.select("minimum", "average", "maximum", "readings").row(0) == (12.5, 12.5, 12.5, 1)
    every = release.query("fleet/band", **(chosen | {"truck": None})).row(0, named=True)
    (mart,) = release.run(
        "select minimum, average, maximum, readings from marts.rpt_fleet_parameter_daily "
        "where parameter = 'sensor_02' and day = $day",
        {"day": LAST_DAY},
    ).iter_rows()
    columns = ("minimum", "average", "maximum", "readings")
    assert tuple(every[each] for each in columns) == pytest.approx(mart)


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.usefixtures("release")
def test_wrong_values_in_the_url_are_ignored(name: str) -> None:
    wrong = dict.fromkeys(
        ("dates", "day", "status", "vehicle", "currency", "truck", "parameter"), "<nonsense>"
    )
    assert figures(opened(name, **wrong)) == figures(opened(name))


def test_pages_of_empty_marts_say_that_there_is_nothing(
    nine_domains: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = copy_released(nine_domains, tmp_path / "home")
    with changing(own) as con:
        for (mart,) in con.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts'"
        ).fetchall():
            con.execute(f"delete from marts.{mart}")
    monkeypatch.setenv("BOATHOUSE_HOME", str(own.home_folder))
    for name in PAGES:
        assert "Nothing here with these filters." in markdown(opened(name)), name


def test_steps_of_pictures_stay_readable() -> None:
    def steps(days: int) -> str:
        return step(LAST_DAY, LAST_DAY + timedelta(days=days - 1))

    assert [steps(days) for days in (1, 31, 32, 217, 218)] == [
        "day",
        "day",
        "week",
        "week",
        "month",
    ]
