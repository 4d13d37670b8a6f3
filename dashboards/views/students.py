"""Students: metrics by group, how grades are spread, and the five questions of the domain."""

from dashboards import charts, filters
from dashboards.frame import View
from dashboards.show import figure, figures, side_by_side, table
from dashboards.text import number, percent


def show(view: View) -> None:
    """Draw the page."""
    course = filters.one_or_all("Course", "course", view.query("options")["course"].to_list())
    totals = view.query("totals", course=course).row(0, named=True)
    figures(
        [
            ("Student records", number(totals["students"]), ""),
            ("Passed", percent(totals["pass_rate"]), "final grade of 10 or more"),
            ("Average final grade", number(totals["average_g3"], 1), "of 20"),
            ("Median absences", number(totals["median_absences"], 1), ""),
        ]
    )
    grades = view.query("grades", course=course)
    figure(
        "Students by grade",
        grades,
        charts.columns(grades, "grade", "students", color="period", side_by_side=True),
        "G1 and G2 are the periods' grades, G3 the final one; 0 to 20.",
    )
    table("Metrics by school and sex", view.query("metrics", course=course))
    _questions(view, course)


def _questions(view: View, course: str | None) -> None:
    absences = view.query("absences_by_family_relations", course=course)
    with side_by_side() as (left, right):
        with left:
            table(
                "What jobs do the mothers of male students under 20 have?",
                view.query("mothers_jobs", course=course),
            )
            table(
                "How long do most rural students travel?",
                view.query("rural_travel_time", course=course),
            )
            table(
                "How many class failures are most frequent?",
                view.query("class_failures", course=course),
                "Per family size: gt3 is more than three, le3 three or fewer.",
            )
        with right:
            table(
                "What jobs do most fathers have?",
                view.query("fathers_jobs", course=course),
                "Per cohabitation of the parents: a is apart, t together.",
            )
            table(
                "How often are students with poor family relations absent?",
                absences,
                "Median of absences; family relations from 1 (very bad) to 3.",
            )
    drawn = absences.with_columns(absences["family_relations"].cast(str))
    if absences["course"].n_unique() == 1:
        figure(
            "Median absences by family relations",
            drawn,
            charts.columns(
                drawn, "family_relations", "median_absences", color="sex", side_by_side=True
            ),
        )
