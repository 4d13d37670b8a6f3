"""One module per domain: what its files hold and what its marts must be."""

from support.cases import actions, fleet, purchases, sessions, students, telemetry, vehicles

_MODULES = (sessions, students, purchases, vehicles, actions, fleet, telemetry)
CASES = {module.CASE.domain: module.CASE for module in _MODULES}
