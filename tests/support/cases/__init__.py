"""One module per domain: what its files hold and what its marts must be."""

from support.cases import (
    actions,
    courier,
    fleet,
    music,
    purchases,
    sessions,
    students,
    telemetry,
    vehicles,
)

_MODULES = (
    *(sessions, students, purchases, courier, music),
    *(vehicles, actions, fleet, telemetry),
)
CASES = {module.CASE.domain: module.CASE for module in _MODULES}
