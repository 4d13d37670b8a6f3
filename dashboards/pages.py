"""The menu: every page by section, in the order in which people read them."""

from dashboards.frame import Page
from dashboards.views import overview, purchases, quality, releases, sessions, sql, students

PAGES: dict[str, list[Page]] = {
    "": [
        Page(
            "overview",
            "Overview",
            ":material/dashboard:",
            "What there is, how fresh it is, and whether it can be trusted.",
            overview.show,
        ),
    ],
    "Domains": [
        Page(
            "sessions",
            "Sessions",
            ":material/sports_esports:",
            "Sessions of a mobile game's players: where, when, who, and whether they end.",
            sessions.show,
            (
                "fct_sessions",
                "dim_players",
                "rpt_sessions_by_country",
                "rpt_sessions_by_country_hour",
            ),
            "sessions",
        ),
        Page(
            "students",
            "Students",
            ":material/school:",
            "What an evaluation of students says: grades, groups, and five questions.",
            students.show,
            ("fct_student_performance", "rpt_student_metrics"),
            "students",
        ),
        Page(
            "purchases",
            "Purchases",
            ":material/shopping_cart:",
            "A shop's purchases with their history: what was true on which day.",
            purchases.show,
            ("fct_purchase_versions", "fct_purchases", "purchases_as_of", "rpt_purchases_daily"),
            "purchases",
        ),
    ],
    "Trust": [
        Page(
            "quality",
            "Data quality",
            ":material/fact_check:",
            "What was rejected and why, what the tests said, what was replayed.",
            quality.show,
        ),
        Page(
            "releases",
            "Releases",
            ":material/inventory_2:",
            "Which releases there are, and what changed between two of them.",
            releases.show,
        ),
    ],
    "Explore": [
        Page(
            "sql",
            "SQL",
            ":material/terminal:",
            "Ask the released warehouse anything; nothing can be changed or broken from here.",
            sql.show,
        ),
    ],
}
