"""One module per domain: what its files hold and what its marts must be."""

from support.cases import courier, music, purchases, sessions, students

CASES = {
    case.domain: case
    for case in (sessions.CASE, purchases.CASE, students.CASE, courier.CASE, music.CASE)
}
