"""Whether models hold what their SQL says: some keys are computed from everything and compared.

An incremental model is right as long as each build was; rows changed by hand, a fault of the
engine or of Boathouse itself would stay in it for ever. An audit takes the keys that changed
since the last one and a random share of all others, computes them as a full refresh would, and
names what differs. Such a model is made anew by the next run, and nothing is released before.
"""

import math
import random
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import duckdb

from boathouse import catalog, lake, lock
from boathouse.build import Manifest, dbt, prepare_manifest
from boathouse.build.blockers import Outlook
from boathouse.build.declarations import key_of
from boathouse.build.following import columns_in, name_of
from boathouse.build.history import History, Name
from boathouse.build.pushdown import PushdownError, Trace, narrow, trace
from boathouse.contracts import load_contracts
from boathouse.lake import Lake
from boathouse.settings import Settings, using
from boathouse.sql import constant, identifier, literal, row

COMMAND = "boathouse audit"
_SHOWN = 5  # differing keys named of each model
_CLOSE = 1e-9  # sums of doubles depend on the order in which they are added
_PARTS = 1_000_000


@dataclass(frozen=True)
class Difference:
    """One key of a model whose rows are not what they should be."""

    key: Mapping[str, Any]
    has: tuple[Mapping[str, Any], ...]
    should_have: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class ModelAudit:
    """What came of the audit of one model; `skipped` says why it was not looked at."""

    model: str
    keys: int = 0  # compared; 0 with `is_whole` for a model that was compared as a whole
    is_whole: bool = False
    differences: int = 0
    shown: tuple[Difference, ...] = ()
    seconds: float = 0.0
    skipped: str = ""


@dataclass(frozen=True)
class AuditReport:
    """What came of an audit."""

    models: tuple[ModelAudit, ...]
    share: float
    seconds: float

    @property
    def is_right(self) -> bool:
        """Return whether nothing differs."""
        return not any(model.differences for model in self.models)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)


def audit(
    settings: Settings,
    *,
    share: float = 0.01,
    seconds: float = 300,
    seed: int | None = None,
    manifest: Manifest | None = None,
) -> AuditReport:
    """Compare models with what their SQL says, and mark those that differ.

    Writers go on meanwhile: all is read as of one moment. What was audited longest ago comes
    first, so that a time that is too short for all is spent on each in turn.

    Args:
        settings: Which home and project.
        share: Of the keys of each model, 0 to 1, beside those that changed since its last audit.
        seconds: Most to spend; models that are not reached are reported as skipped.
        seed: Makes the choice of keys repeatable.
        manifest: The project, when it has been parsed already.

    Raises:
        BuildError: the project cannot be parsed.
        LakeError: there is no lake.
    """
    started = time.monotonic()
    with lock.writer(settings, COMMAND):
        with lake.connect(settings) as opened:
            catalog.ensure(opened, load_contracts(settings.project))
        models = _Models(settings, manifest or prepare_manifest(settings))
    found: list[ModelAudit] = []
    with lake.connect(settings, read_only=True) as opened, opened.reading():
        work = _Audit(opened, models, share, seed if seed is not None else random.getrandbits(32))
        for node in work.in_turn():
            left = seconds - (time.monotonic() - started)
            found.append(work.one(node, left))
        progress = work.progress
    _note(settings, found, progress)
    return AuditReport(tuple(found), share, time.monotonic() - started)


class _Models:
    """The models of the project with their SQL as for a full refresh."""

    def __init__(self, settings: Settings, manifest: Manifest) -> None:
        with using(settings):
            dbt.close_connection()
            options = ["--full-refresh", "--select", "resource_type:model"]
            ran = dbt.invoke("compile", options, settings, manifest=manifest.parsed)
            dbt.close_connection()
        nodes = [result.node for result in ran.results]
        self.views: dict[Name, str] = {
            name_of(node): node.compiled_code
            for node in nodes
            if node.config.materialized == "view"
        }
        self.audited = [
            node
            for node in nodes
            if node.config.materialized == "table"
            or (
                node.config.materialized == "incremental"
                and node.config.incremental_strategy != "microbatch"
            )
        ]


@dataclass
class _Audit:
    """The audit of all models, as of one moment."""

    opened: Lake
    models: _Models
    share: float
    seed: int
    progress: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        outlook = Outlook(self.opened)
        self._stale = {**outlook.behind, **outlook.reasons}
        self._history = History(lambda: self.opened.con)
        self._columns = {
            name: columns
            for name, columns in self._history.columns.items()
            if name not in self.models.views
        }
        self._last = {
            model: (load_id, snapshot, at)
            for model, load_id, snapshot, at in self.opened.rows(
                "select model, max(load_id), max(lake_snapshot), max(audited_at) "
                "from lake.meta.audits where skipped = '' group by model"
            )
        }
        self._now = (
            int(self.opened.value("select coalesce(max(load_id), 0) from lake.meta.loads")),
            self.opened.current_snapshot(),
        )

    def in_turn(self) -> list[Any]:
        """Return the models, those first whose last audit is longest ago."""

        def last(node: Any) -> tuple[str, str]:
            name = ".".join(name_of(node))
            return (str(self._last[name][2]) if name in self._last else "", name)

        return sorted(self.models.audited, key=last)

    def one(self, node: Any, seconds: float) -> ModelAudit:
        """Audit one model within some seconds."""
        name = ".".join(name_of(node))
        if name_of(node) not in self._columns:
            return ModelAudit(name, skipped="it was never built")
        if node.unique_id in self._stale:
            return ModelAudit(name, skipped=f"it is out of date: {self._stale[node.unique_id]}")
        if seconds <= 0:
            return ModelAudit(name, skipped="the time was over")
        started = time.monotonic()
        timer = threading.Timer(seconds, self.opened.con.interrupt)
        timer.start()
        try:
            done = self._compare(node, name)
        except duckdb.InterruptException:
            return ModelAudit(name, skipped="the time was over")
        finally:
            timer.cancel()
        if not done.skipped:
            self.progress[name] = self._now
        return ModelAudit(**{**vars(done), "seconds": time.monotonic() - started})

    def _compare(self, node: Any, name: str) -> ModelAudit:
        key = key_of(node.config.to_dict())
        sql = node.compiled_code
        try:
            traced = trace(sql, key, views=self.models.views, columns=self._columns)
        except PushdownError:
            traced = None
        if traced is not None and traced.volatile:
            return ModelAudit(name, skipped=f"its rows depend on the moment ({traced.volatile})")
        keys = 0
        should_have = f"select * from ({sql}) as computed"
        has = f"select * from {node.relation_name}"
        is_traced = traced is not None and key and all(scan.keys for scan in traced.scans)
        if traced is not None and is_traced:
            keys = self._choose(node, key, traced)
            same = " and ".join(
                f"rows.{column} is not distinct from chosen.{column}"
                for column in map(identifier, key)
            )
            some = f"semi join audited_keys as chosen on {same}"
            narrowed = narrow(
                sql, key, "audited_keys", views=self.models.views, columns=self._columns
            )
            should_have = f"select * from ({narrowed}) as rows {some}"
            has = f"{has} as rows {some}"
        listed = ", ".join(map(identifier, self._columns[name_of(node)]))
        self._hold("should_have", f"select {listed} from ({should_have})")
        self._hold("has", f"select {listed} from ({has})")
        differing = self._differences(key or list(self._columns[name_of(node)]))
        return ModelAudit(name, keys, not is_traced, len(differing), tuple(differing[:_SHOWN]))

    def _choose(self, node: Any, key: Sequence[str], traced: Trace) -> int:
        """Gather the keys to be compared, and return how many they are."""
        name = ".".join(name_of(node))
        load_id, snapshot, _ = self._last.get(name, (0, 0, None))
        columns = ", ".join(map(identifier, key))
        queries = [self._sample(columns, node.relation_name)]
        for scan in traced.scans:
            values = ", ".join(
                f"{value} as {identifier(column)}"
                for value, column in zip(scan.keys or (), key, strict=True)
            )
            relation = ".".join(map(identifier, scan.relation))
            queries.append(self._sample(columns, f"(select {values} from {relation})"))
            needed = {each for value in scan.keys or () for each in columns_in(value)}
            changed = (
                self._history.changed(scan.relation, needed, load_id, snapshot)
                if name in self._last
                else None
            )
            if changed is not None and changed.rows:
                queries.append(f"select {values} from ({changed.rows})")
        self._hold("audited_keys", f"select distinct * from ({' union all '.join(queries)})")
        return int(self.opened.value("select count(*) from audited_keys"))

    def _sample(self, columns: str, relation: str) -> str:
        limit = round(self.share * _PARTS)
        chosen = f"hash({columns}, {self.seed}) % {_PARTS} < {limit}"
        return f"select {columns} from {relation} as sampled where {chosen}"

    def _hold(self, table: str, query: str) -> None:
        self.opened.con.execute(f"create or replace temp table {table} as {query}")

    def _differences(self, key: Sequence[str]) -> list[Difference]:
        has = self._rows_by_key("(from has except all from should_have)", key)
        should_have = self._rows_by_key("(from should_have except all from has)", key)
        found = []
        for value in sorted({*has, *should_have}, key=str):
            mine, right = has.get(value, []), should_have.get(value, [])
            if not _are_close(mine, right):
                found.append(
                    Difference(dict(zip(key, value, strict=True)), tuple(mine), tuple(right))
                )
        return found

    def _rows_by_key(self, query: str, key: Sequence[str]) -> dict[tuple[Any, ...], list[Any]]:
        reading = self.opened.con.execute(f"select * from {query}")
        columns = [each[0] for each in reading.description or []]
        found: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
        for values in reading.fetchall():
            shown = dict(zip(columns, values, strict=True))
            found[tuple(_hashable(shown[column]) for column in key)].append(shown)
        return found


def _hashable(value: Any) -> Any:
    return str(value) if isinstance(value, list | dict) else value


def _are_close(some: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether rows are the same but for the last digits of doubles."""
    if len(some) != len(others):
        return False
    pairs = zip(sorted(some, key=_exactly), sorted(others, key=_exactly), strict=True)
    return all(
        _is_close(value, other[column]) for one, other in pairs for column, value in one.items()
    )


def _exactly(shown: Mapping[str, Any]) -> list[str]:
    """Return what of a row does not depend on the order in which numbers were added."""
    return [str(value) for value in shown.values() if not isinstance(value, float)]


def _is_close(value: Any, other: Any) -> bool:
    if isinstance(value, float) and isinstance(other, float):
        is_close = math.isclose(value, other, rel_tol=_CLOSE, abs_tol=_CLOSE)
        return is_close or (math.isnan(value) and math.isnan(other))
    return bool(value == other)


def _note(
    settings: Settings, found: Sequence[ModelAudit], progress: Mapping[str, tuple[int, int]]
) -> None:
    """Note what was audited, and mark what differs so that the next run makes it anew."""
    wrong = {each.model: each for each in found if each.differences}

    def write(con: duckdb.DuckDBPyConnection) -> None:
        rows = [
            row(
                (
                    each.model,
                    *progress.get(each.model, (0, 0)),
                    each.keys,
                    each.differences,
                    each.skipped,
                )
            )
            for each in found
        ]
        con.execute(
            "insert into lake.meta.audits (model, load_id, lake_snapshot, keys, differences, "
            "skipped, audited_at) select *, cast(now() as timestamp) from "
            f"(values {', '.join(rows)})"
        )
        for model, each in wrong.items():
            reason = f"an audit found {each.differences} of its keys to differ from a full refresh"
            con.execute(
                f"update lake.meta.model_state set stale_reason = {literal(reason)} "
                f"where model = {literal(model)}"
            )
            con.execute(
                "insert into lake.meta.model_state (model, load_id, lake_snapshot, "
                f"rebuilt_snapshot, stale_reason) select {literal(model)}, 0, 0, 0, "
                f"{literal(reason)} where not exists (select 1 from lake.meta.model_state "
                f"where model = {constant(model)})"
            )

    if found:
        with lock.writer(settings, COMMAND), lake.connect(settings) as opened:
            opened.write(write, "note an audit")
