"""What is delivered on a calendar: a line each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CalendarEntry:
    """A schedule: at these times (UTC) load these sources and build what follows from them."""

    name: str
    cron: str
    sources: tuple[str, ...]
    description: str


CALENDAR = (
    CalendarEntry(
        "students_every_second_day",
        "0 6 */2 * *",
        ("student_performance",),
        "The schools' evaluation files, every second day at 6:00.",
    ),
    CalendarEntry(
        "courier_monthly",
        "0 5 1 * *",
        ("courier_messages", "courier_orders"),
        "A month of conversations and orders, on the first of the next.",
    ),
    CalendarEntry(
        "vehicles_daily_summary",
        "30 0 * * *",
        ("vehicle_events", "vehicle_statuses"),
        "The daily summary of the day that has just ended.",
    ),
)
MAINTENANCE_CRON = "0 3 * * *"
AUDIT_CRON = "0 4 * * *"
RUN_DAYS = 30  # Dagster forgets runs that ended longer ago
