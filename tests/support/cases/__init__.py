"""One module per domain: what its files hold and what its marts must be."""

from support.cases import purchases, sessions, students, telemetry, vehicles

CASES = {
    case.domain: case
    for case in (sessions.CASE, purchases.CASE, students.CASE, vehicles.CASE, telemetry.CASE)
}
