"""Actions: what happened in ten-minute windows, and which were the busiest."""

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.show import figure, figures, nothing, table
from dashboards.text import moment, number


def show(view: View) -> None:
    """Draw the page."""
    low, high = view.query("span").row(0)
    if low is None:
        nothing("There are no actions yet.")
        return
    summary = view.query("summary").row(0, named=True)
    figures(
        [
            ("Windows with actions", number(summary["windows"]), "of ten minutes"),
            ("Actions", number(summary["actions"]), ""),
            ("Actions per window", number(summary["average_actions_per_window"], 2), "on average"),
            ("Busiest window", moment(summary["busiest_window_start"]), ""),
        ]
    )
    first, last = filters.dates(low, high)
    windows = view.query("windows", low=first, high=last)
    figure(
        "Actions over time",
        windows,
        charts.lines(windows, "window_start", "actions", color="kind"),
        "Per ten-minute window; per hour when more than two weeks are chosen.",
    )
    busiest = view.query("busiest")
    table("The ten windows with most opens", busiest)
