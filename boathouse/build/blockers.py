"""Why the lake as it is must not be released: what failed, was never run, or is out of date.

Judged from `meta` alone, without dbt: the nodes of the project at the last build, their latest
results, and the builds that never finished. Results up to the last release are kept as one row
per node in `meta.node_results`, so that the cost is that of the builds since.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import duckdb

from boathouse.build.nodes import Node, remembered
from boathouse.build.report import GREEN
from boathouse.lake import Lake

_SKIPPED = "skipped"


@dataclass(frozen=True)
class Blocker:
    """One reason; `node` and `path` are empty when it is not about a single node."""

    reason: str
    node: str = ""
    path: str = ""

    def __str__(self) -> str:
        return f"{self.node} ({self.path}): {self.reason}" if self.node else self.reason


@dataclass(frozen=True)
class Latest:
    """The latest result of a node; `failures` is the number of offending rows of a test."""

    build_id: int
    unique_id: str
    name: str
    kind: str
    status: str
    seconds: float
    failures: int | None
    message: str | None


LATEST_RESULTS = """
    with results as (
        from lake.meta.node_results
        union all
        from lake.meta.build_results
        where build_id > (select coalesce(max(build_id), 0) from lake.meta.node_results)
    )
    select unnest(max_by(results, build_id))
    from results
    group by unique_id
"""


def latest_results(lake: Lake) -> dict[str, Latest]:
    """Return the latest result of every node that ever ran, by its id."""
    return {row[1]: Latest(*row) for row in lake.rows(LATEST_RESULTS)}


def keep_latest_results(con: duckdb.DuckDBPyConnection) -> None:
    """Bring `meta.node_results` up to date, in the transaction that is open."""
    con.execute(f"create or replace temp table latest_results as {LATEST_RESULTS}")
    con.execute("delete from lake.meta.node_results")
    con.execute(
        """
        insert into lake.meta.node_results by name
        from latest_results
        where unique_id in (select unique_id from lake.meta.nodes)
        """
    )
    con.execute("drop table latest_results")


def find_blockers(lake: Lake) -> list[Blocker]:
    """Return every reason not to release the lake as it is, causes before consequences.

    None means that it is releasable.
    """
    builds = lake.rows(
        """
        select build_id, command, status, selected
        from lake.meta.builds
        where status = 'running' or build_id = (select max(build_id) from lake.meta.builds)
        order by build_id
        """
    )
    nodes = remembered(lake)
    if not builds or not nodes:
        return [Blocker("Nothing has been built yet.")]
    blockers = []
    build_id, command, status, _ = builds[-1]
    if status == "running":
        blockers.append(Blocker(f"Build {build_id} (`{command}`) did not finish."))
    interrupted = {
        unique_id: number
        for number, _, is_running, selected in builds
        if is_running == "running"
        for unique_id in selected or []
    }
    judge = _judge(latest_results(lake), interrupted)
    found = [
        Blocker(reason, node.name, node.path)
        for node in nodes
        if node.leaves_result and (reason := judge(node))
    ]
    return blockers + sorted(found, key=lambda blocker: blocker.reason.startswith(_SKIPPED))


def _judge(latest: dict[str, Latest], interrupted: dict[str, int]) -> Callable[[Node], str | None]:
    """Return a function that says what is wrong with a node, if anything."""

    def judge(node: Node) -> str | None:
        result = latest.get(node.unique_id)
        stopped = interrupted.get(node.unique_id, 0)
        if result is None:
            return "it was never run"
        if result.build_id < stopped:
            return f"build {stopped}, which was going to run it, did not finish"
        if result.status == _SKIPPED:
            return f"{_SKIPPED} in build {result.build_id}, because of what it depends on"
        if result.status not in GREEN:
            return f"{result.status} in build {result.build_id}: {_first_line(result.message)}"
        if node.kind == "test":
            return _out_of_date(result, (latest.get(each) for each in node.depends_on))
        return None

    return judge


def _out_of_date(result: Latest, parents: Iterable[Latest | None]) -> str | None:
    for parent in parents:
        if parent is not None and parent.build_id > result.build_id:
            return (
                f"passed in build {result.build_id}, but {parent.name} was made anew in "
                f"build {parent.build_id}"
            )
    return None


def _first_line(message: str | None) -> str:
    return (message or "no message").strip().splitlines()[0]
