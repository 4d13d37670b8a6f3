"""Music: when people listen, to which songs, and who listens most."""

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.show import figure, figures, side_by_side, table
from dashboards.text import number


def show(view: View) -> None:
    """Draw the page."""
    low, high = view.query("span").row(0)
    with filters.row():
        first, last = filters.dates(low, high)
        level = filters.one_or_all("Level", "level", view.query("levels")["level"].to_list())
    totals = view.query("totals", low=first, high=last, level=level).row(0, named=True)
    figures(
        [
            ("Plays", number(totals["plays"]), ""),
            ("Listeners", number(totals["listeners"]), ""),
            ("Sessions", number(totals["sessions"]), ""),
            ("Plays of known songs", number(totals["plays_of_known_songs"]), ""),
        ]
    )
    heat = view.query("heat", low=first, high=last, level=level)
    figure(
        "Plays by weekday and hour",
        heat,
        charts.heat(heat, "hour_of_day", "weekday", "plays"),
        "Hours are UTC.",
    )
    by_day = view.query("by_day", low=first, high=last, level=level)
    figure("Plays per day", by_day, charts.columns(by_day, "day", "plays", color="level"))
    songs = view.query("songs", low=first, high=last, level=level)
    users = view.query("users", low=first, high=last, level=level)
    with side_by_side() as (left, right):
        with left:
            figure(
                "Top songs",
                songs,
                charts.bars(songs, "plays", "song"),
                "Of the songs that the catalogue knows.",
            )
        with right:
            table("Top listeners", users)
