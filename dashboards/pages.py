"""The menu: every page by section, in the order in which people read them."""

from dashboards.frame import Page
from dashboards.views import overview, quality, releases, sql, telemetry

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
            "telemetry",
            "Telemetry",
            ":material/insights:",
            "What the game's clients report: who plays, who comes back, how far, and for how much.",
            telemetry.show,
            (
                "fct_game_events",
                "rpt_engagement_daily",
                "rpt_level_funnel",
                "rpt_revenue_daily",
            ),
            "telemetry",
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
