"""The menu: every page by section, in the order in which people read them."""

from dashboards.frame import Page
from dashboards.views import actions, fleet, overview, quality, releases, sql, telemetry, vehicles

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
        Page(
            "vehicles",
            "Vehicles",
            ":material/directions_car:",
            "A fleet of cars: their status, their emergency calls, and one car's day.",
            vehicles.show,
            ("dim_vehicles", "fct_vehicle_daily_summary", "fct_vehicle_events"),
            "vehicles",
        ),
        Page(
            "actions",
            "Actions",
            ":material/door_open:",
            "What is opened and closed, counted in windows of ten minutes.",
            actions.show,
            ("fct_action_windows", "rpt_busiest_open_windows"),
            "actions",
        ),
        Page(
            "fleet",
            "Fleet",
            ":material/local_shipping:",
            "Sensors of trucks, whose parameters come, go and change without notice.",
            fleet.show,
            ("dim_fleet_parameters", "fct_fleet_parameter_days", "fct_fleet_readings"),
            "fleet",
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
