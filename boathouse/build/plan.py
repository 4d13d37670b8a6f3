"""What a build has to do so that everything is up to date: dbt's selectors for it."""

from collections.abc import Iterable
from dataclasses import dataclass

from boathouse.build.blockers import Outlook
from boathouse.build.nodes import TEST_KINDS, Node
from boathouse.lake import Lake

UNIT_TESTS = "resource_type:unit_test"


@dataclass(frozen=True)
class Plan:
    """What is out of date and the way to bring it up to date."""

    reasons: dict[str, str]  # why, by the id of the node
    select: list[str]  # dbt's selectors; empty for everything
    exclude: list[str]
    tested_load: int  # rows of raw up to this load have passed all tests that are to be run

    @property
    def is_empty(self) -> bool:
        """Return whether everything is up to date."""
        return not self.reasons


def make_plan(lake: Lake) -> Plan:
    """Return what is out of date, judged by what the lake keeps of project, builds and loads."""
    with lake.reading():
        outlook = Outlook(lake)
    if not outlook.nodes:
        return Plan({"": "nothing has been built yet"}, [], [], 0)
    graph = _Graph(outlook.graph)
    reasons = {**outlook.behind, **outlook.reasons}
    chosen = graph.with_descendants(reasons)
    results = {node.unique_id: node.kind for node in outlook.nodes}
    is_all = all(each in chosen for each, kind in results.items() if kind != "unit_test")
    has_unit_tests = any(kind == "unit_test" and each in chosen for each, kind in results.items())
    tests = [each for each, kind in results.items() if kind == "test" and each in chosen]
    return Plan(
        reasons=reasons,
        select=[] if is_all else graph.selectors(chosen),
        exclude=[] if has_unit_tests else [UNIT_TESTS],
        tested_load=min((outlook.loads_seen(each) for each in tests), default=0),
    )


class _Graph:
    """Nodes and sources, and what is made from each."""

    def __init__(self, nodes: dict[str, Node]) -> None:
        self._nodes = nodes
        self._children: dict[str, list[str]] = {}
        for node in nodes.values():
            if node.kind != "unit_test":  # they speak of the code alone
                for parent in node.depends_on:
                    self._children.setdefault(parent, []).append(node.unique_id)

    def with_descendants(self, roots: Iterable[str]) -> set[str]:
        """Return nodes and all that is made from them or tests them."""
        found, waiting = set(roots), list(roots)
        while waiting:
            for child in self._children.get(waiting.pop(), []):
                if child not in found:
                    found.add(child)
                    waiting.append(child)
        return found

    def selectors(self, chosen: set[str]) -> list[str]:
        """Return few selectors for all that is chosen: those from which the rest follows."""
        sources = [each for each in self._children if each.startswith("source.")]
        found, covered = [], set()
        for source in sources:
            below = self.with_descendants(self._children[source])
            if below <= chosen:
                found.append(f"source:{'.'.join(source.split('.')[-2:])}+")
                covered |= below
        for unique_id in chosen - covered:
            node = self._nodes[unique_id]
            if node.kind in TEST_KINDS:
                is_implied = any(parent in chosen for parent in node.depends_on)
            else:
                is_implied = any(parent in chosen - covered for parent in node.depends_on)
            if not is_implied or node.kind == "unit_test":
                found.append(node.name if node.kind in TEST_KINDS else f"{node.name}+")
        return sorted(found)
