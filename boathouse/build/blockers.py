"""What is out of date, and why the lake as it is must not be released.

The one place that decides it: for `boathouse run`, `build` and `watch`, for Dagster, and for dbt
typed by hand. Judged from `meta` alone, without dbt: the nodes of the project with a fingerprint
of their rules, their latest results, the builds that never finished, and the loads that came
since. Results up to the last release are kept as one row per node in `meta.latest_results`, so that
the cost is that of the builds since.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import duckdb

from boathouse.build.nodes import TEST_KINDS, Node, remembered
from boathouse.build.report import GREEN
from boathouse.contracts import SOURCE_NAME
from boathouse.lake import Lake

_SKIPPED = "skipped"
RELEASED_SCHEMA = "marts"


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
    fingerprint: str | None
    place: str | None


# Where a connection leaves the latest results that it has found.
LATEST = "temp.found_results"
# By way of a table, since a union of two tables of the lake takes as long again as both of them.
_FIND_LATEST = (
    "create or replace temp table temp.known_results as from lake.meta.latest_results",
    """
    insert into temp.known_results by name
    from lake.meta.build_results
    where build_id > (select coalesce(max(build_id), 0) from temp.known_results)
    """,
    # Of the nodes as they are: a build into a place of somebody's own says nothing about them.
    f"""
    create or replace temp table {LATEST} as
    select unnest(max_by(results, results.build_id))
    from temp.known_results as results
    inner join lake.meta.nodes as nodes
        on results.unique_id = nodes.unique_id and results.place = nodes.place
    group by results.unique_id
    """,
)


def latest_results(lake: Lake) -> dict[str, Latest]:
    """Return the latest result of every node that ever ran, by its id; leaves them in `LATEST`."""
    for statement in _FIND_LATEST:
        lake.con.execute(statement)
    return {row[1]: Latest(*row) for row in lake.rows(f"from {LATEST}")}


def keep_latest_results(con: duckdb.DuckDBPyConnection) -> None:
    """Bring `meta.latest_results` up to date, in the transaction that is open.

    They are those that this connection has found in `LATEST`, while nobody else could build.
    """
    con.execute("delete from lake.meta.latest_results")
    con.execute(f"insert into lake.meta.latest_results by name from {LATEST}")


class Outlook:
    """The nodes of the project, and what is wrong with the latest result of each."""

    def __init__(self, lake: Lake) -> None:
        """Read what the lake says; in one transaction that takes a third less time."""
        self.graph = {node.unique_id: node for node in remembered(lake)}
        self.nodes = [node for node in self.graph.values() if node.leaves_result]
        self._latest = latest_results(lake)
        builds = lake.rows(
            "select build_id, command, status, selected, load_id from lake.meta.builds "
            "order by build_id"
        )
        self._seen = {build[0]: build[4] or 0 for build in builds}
        self._interrupted = {
            unique_id: build[0]
            for build in builds
            if build[2] == "running"
            for unique_id in build[3] or []
        }
        self.newest = builds[-1] if builds else None
        self._loads: dict[str, list[int]] = {}
        for source, load_id in lake.rows(
            "select source, load_id from lake.meta.loads "
            "where status in ('loaded', 'replaced') order by load_id"
        ):
            self._loads.setdefault(source, []).append(load_id)
        self._stale: dict[str, str] = dict(
            lake.rows(
                "select model, stale_reason from lake.meta.model_state "
                "where stale_reason is not null"
            )
        )

    @cached_property
    def reasons(self) -> dict[str, str]:
        """Return why the result of a node does not count any more, by its id; loads aside."""
        return {
            node.unique_id: reason
            for node in self.nodes
            if (reason := self._reason(node)) is not None
        }

    @cached_property
    def behind(self) -> dict[str, str]:
        """Return the nodes that have not seen all loads of what they read, with a reason."""
        found = {}
        for node in self.nodes:
            if node.kind == "unit_test" or node.unique_id not in self._latest:
                continue
            for source in self._sources_of(node.unique_id):
                loads = self._loads.get(source, [])
                if self._count(node, source) < len(loads):
                    found[node.unique_id] = f"load {loads[-1]} of {source} came since"
        return found

    @cached_property
    def mixed(self) -> dict[str, str]:
        """Return the nodes that have seen fewer loads of a source than others have."""
        found = {}
        counts: dict[str, dict[str, int]] = {}
        for node in self.nodes:
            is_live = node.materialized == "view"
            if node.kind == "unit_test" or node.unique_id not in self._latest:
                continue
            if is_live and node.schema_name != RELEASED_SCHEMA:
                continue
            for source in self._sources_of(node.unique_id):
                seen = len(self._loads.get(source, [])) if is_live else self._count(node, source)
                counts.setdefault(source, {})[node.unique_id] = seen
        for source, seen_by in counts.items():
            most = max(seen_by.values())
            for unique_id, seen in seen_by.items():
                if seen < most:
                    load = self._loads[source][most - 1]
                    found[unique_id] = f"it has not seen load {load} of {source}, as others have"
        return found

    def loads_seen(self, unique_id: str) -> int:
        """Return the newest load that a node's latest result has seen, if that result counts."""
        result = self._latest.get(unique_id)
        if result is None or unique_id in self.reasons:
            return 0
        return self._seen.get(result.build_id, 0)

    def _count(self, node: Node, source: str) -> int:
        seen = self._seen.get(self._latest[node.unique_id].build_id, 0)
        return bisect_right(self._loads.get(source, []), seen)

    def _reason(self, node: Node) -> str | None:
        result = self._latest.get(node.unique_id)
        stopped = self._interrupted.get(node.unique_id, 0)
        if result is None:
            return "it was never run"
        if result.build_id < stopped:
            return f"build {stopped}, which was going to run it, did not finish"
        if result.status == _SKIPPED:
            return f"{_SKIPPED} in build {result.build_id}, because of what it depends on"
        if result.status not in GREEN:
            return f"{result.status} in build {result.build_id}: {_first_line(result.message)}"
        if result.fingerprint != node.fingerprint:
            return f"its code has changed since build {result.build_id}"
        stale = self._stale.get(node.place.replace('"', "").lower())
        if stale:
            return stale
        if node.kind == "unit_test":
            return None
        return _out_of_date(result, map(self._latest.get, self._parents(node)))

    def _parents(self, node: Node) -> list[str]:
        """Return the nodes with results that a node depends on, through ephemeral models too."""
        found, waiting = [], list(node.depends_on)
        while waiting:
            parent = self.graph.get(unique_id := waiting.pop())
            if parent is not None and not parent.leaves_result:
                waiting += parent.depends_on
            else:
                found.append(unique_id)
        return found

    def _sources_of(self, unique_id: str) -> frozenset[str]:
        """Return the names of the raw tables that a node reads, by way of others too."""
        if unique_id not in self._reading:
            node = self.graph.get(unique_id)
            found: set[str] = set()
            self._reading[unique_id] = frozenset()
            for parent in node.depends_on if node else []:
                if parent.startswith("source."):
                    if f".{SOURCE_NAME}." in parent:
                        found.add(parent.rpartition(".")[2])
                else:
                    found |= self._sources_of(parent)
            self._reading[unique_id] = frozenset(found)
        return self._reading[unique_id]

    @cached_property
    def _reading(self) -> dict[str, frozenset[str]]:
        return {}


def find_blockers(lake: Lake) -> list[Blocker]:
    """Return every reason not to release the lake as it is, causes before consequences.

    None means that it is releasable. Loads that nothing has been built from are no reason.
    """
    with lake.reading():
        outlook = Outlook(lake)
    if outlook.newest is None or not outlook.nodes:
        return [Blocker("Nothing has been built yet.")]
    blockers = []
    build_id, command, status, *_ = outlook.newest
    if status == "running":
        blockers.append(Blocker(f"Build {build_id} (`{command}`) did not finish."))
    reasons: Mapping[str, str] = {**outlook.mixed, **outlook.reasons}
    found = [
        Blocker(reasons[node.unique_id], node.name, node.path)
        for node in outlook.nodes
        if node.unique_id in reasons
    ]
    return blockers + sorted(found, key=lambda blocker: blocker.reason.startswith(_SKIPPED))


def _out_of_date(result: Latest, parents: Iterable[Latest | None]) -> str | None:
    done = "passed" if result.kind in TEST_KINDS else "was built"
    for parent in parents:
        if parent is not None and parent.build_id > result.build_id:
            return (
                f"{done} in build {result.build_id}, but {parent.name} was made anew in "
                f"build {parent.build_id}"
            )
    return None


def _first_line(message: str | None) -> str:
    return (message or "no message").strip().splitlines()[0]
