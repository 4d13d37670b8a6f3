"""The answers that `domains.md` gives for the real logs and songs, out of the released marts."""

import pytest
from houses import SHARED_DATA, lake_rows, released_rows, with_real_files

from boathouse.settings import Settings


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return a house with the real logs and songs, in the folders they come in, released."""
    real = SHARED_DATA / "music"
    files = {
        "listening_events": real.glob("log_data/**/*.json"),
        "songs": real.glob("song_data/**/*.json"),
    }
    return with_real_files(tmp_path_factory.mktemp("music"), "music", files)


def test_every_event_and_song_is_loaded(music: Settings) -> None:
    query = "select source, sum(rows_loaded)::bigint from lake.meta.loads group by 1 order by 1"
    assert lake_rows(music, query) == [("listening_events", 8056), ("songs", 71)]


@pytest.mark.parametrize(
    ("mart", "expected"),
    [
        ("fct_songplays", 6820),
        ("dim_users", 96),
        ("dim_songs", 71),
        ("dim_artists", 69),
        ("dim_time", 6813),
    ],
)
def test_rows_of_the_star(music: Settings, mart: str, expected: int) -> None:
    assert released_rows(music, f"select count(*) from marts.{mart}") == [(expected,)]


def test_the_one_play_whose_song_is_known(music: Settings) -> None:
    query = """
        select song_title, song_id, artist_id
        from marts.fct_songplays
        where song_id is not null or artist_id is not null
    """
    expected = ("Setanta matins", "SOZCTXZ12AB0182364", "AR5KOSW1187FB35FF4")
    assert released_rows(music, query) == [expected]


def test_unknown_years_and_places_are_null(music: Settings) -> None:
    query = """
        select
            (select count(*) from marts.dim_songs where year is null),
            (select count(*) from marts.dim_songs where year = 0),
            (select count(*) from marts.dim_artists where location = '')
    """
    assert released_rows(music, query) == [(43, 0, 0)]


def test_plays_by_hour_add_up(music: Settings) -> None:
    query = "select sum(plays)::bigint, count(*) <= 168 from marts.rpt_listening_by_hour"
    assert released_rows(music, query) == [(6820, True)]


def test_newest_event_is_known_in_time_not_in_milliseconds(music: Settings) -> None:
    query = """
        select cast(last_event_at as varchar)
        from lake.meta.source_freshness
        where source = 'listening_events'
    """
    assert lake_rows(music, query) == [("2018-11-30 19:54:24.796",)]
