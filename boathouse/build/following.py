"""What an incremental model must compute again: which keys, or all of its rows.

dbt's macros ask for it (through the plugin, see `macros/incremental`) when a model is about to be
built. The answer follows from what the lake keeps of each model's relation (`meta.model_state`)
and from the model's SQL, in which every relation it reads is traced to the key: see
`boathouse.build.pushdown`. Where that cannot be proven, the model is rebuilt whenever the relation
has changed; a wrong row is never the price of speed.
"""

import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import duckdb
import sqlglot
from sqlglot import exp

from boathouse.build.combined import Block, check_combined, check_sums
from boathouse.build.declarations import STRATEGY, as_list, key_of, naming
from boathouse.build.history import History, Name
from boathouse.build.nodes import Node
from boathouse.build.pushdown import PushdownError, Trace, narrow, trace
from boathouse.contracts import SOURCE_NAME
from boathouse.errors import BuildError
from boathouse.sql import identifier

_NOTED_BY = "remember_progress"


@dataclass(frozen=True)
class Input:
    """One way in which a model reads a relation: how the key is found in its rows."""

    keys: tuple[str, ...]  # SQL over its columns
    finds: tuple[str, ...] = ()  # columns of the model that `keys` are values of, if not its key
    reason: str = ""  # why changes in it cannot be traced to keys


@dataclass
class Answer:
    """What a model must compute again."""

    relation: str  # as dbt writes its name
    name: str = ""  # as meta.model_state does
    key: list[str] = field(default_factory=list)
    rebuild: str = ""  # why all of it must be made anew; empty when it need not be
    load_id: int = 0
    lake_snapshot: int = 0
    is_cut: bool = False
    touched: str = ""  # a temporary table with the keys; empty when all are to be made anew
    nulls: dict[str, bool] = field(default_factory=dict)  # whether a touched key is null there
    tracks: list[str] = field(default_factory=list)
    changes: str = ""  # the table that notes what changes in it, for those who follow
    is_log_current: bool = False  # whether it notes all that is wanted, since:
    tracks_snapshot: int = 0
    rebuilt_snapshot: int = 0
    fingerprint: str = ""
    is_noted: bool = False  # whether a hook notes how far it gets
    is_known: bool = False  # as an incremental model, which it need not be any more


class Following:
    """The models of one dbt command."""

    def __init__(
        self,
        adapter: Any,
        read_nodes: Callable[[], Sequence[Node]],
        *,
        is_cut: bool,
        may_rebuild: bool,
    ) -> None:
        """Take dbt's adapter, with its manifest, and the project's nodes.

        Args:
            adapter: dbt's.
            read_nodes: Returns all nodes of the project; asked when they are first needed.
            is_cut: Whether models see only part of their inputs.
            may_rebuild: Whether models that were built may be made anew without being asked to.
        """
        self._adapter = adapter
        self._manifest = adapter.get_macro_resolver()
        self._read_nodes = read_nodes
        self._is_cut = is_cut
        self._may_rebuild = may_rebuild
        self._answers: dict[str, Answer] = {}
        self._compiled: dict[tuple[str, bool], str] = {}
        self._traces: dict[str, Trace] = {}
        self._blocks: dict[str, Block] = {}
        self._history = History(lambda: self._cursor)
        self._taken_back: dict[tuple[str, Name], str] = {}  # by model and raw table

    @cached_property
    def nodes(self) -> dict[str, Node]:
        """Return the project's nodes by their ids."""
        return {node.unique_id: node for node in self._read_nodes()}

    def ask(self, unique_id: str) -> Answer:
        """Return what a model must compute again; the same for all of a command.

        Raises:
            BuildError: all of it, and that is not to be done without being asked for.
        """
        if unique_id not in self._answers:
            self._answers[unique_id] = self._answer(unique_id)
        answer = self._answers[unique_id]
        if answer.rebuild and answer.lake_snapshot and not self._may_rebuild:
            name = self._manifest.nodes[unique_id].name
            raise BuildError(
                f"{name} has to be made anew: {answer.rebuild}. Run `boathouse build "
                f"--full-refresh --select {name}`, or let it be done with BOATHOUSE_REBUILD=auto."
            )
        return answer

    def mark_microbatch(self) -> Callable[[], None]:
        """Let dbt make microbatch models anew that have to be; return what takes that back.

        Of these dbt decides by itself, before it asks any macro, and goes by their config.
        """
        marked = [
            node
            for node in self._manifest.nodes.values()
            if node.resource_type == "model"
            and node.config.materialized == "incremental"
            and node.config.incremental_strategy == "microbatch"
            and node.config.full_refresh is None
            and not self._is_cut
            and self._may_rebuild
            and self._answer(node.unique_id).rebuild
        ]
        for node in marked:
            node.config.full_refresh = True

        def unmark() -> None:
            for node in marked:
                node.config.full_refresh = None

        return unmark

    def narrowed(self, unique_id: str, sql: str) -> str:
        """Return a model's SQL so that it reads only rows of the keys to compute again."""
        answer = self.ask(unique_id)
        if not answer.touched or answer.touched in sql:
            return sql
        views = self._views_of(self._manifest.nodes[unique_id])
        columns = self._columns_in([sql, *views.values()])
        try:
            return narrow(sql, answer.key, answer.touched, views=views, columns=columns)
        except PushdownError:
            return sql  # the strategy itself leaves other keys' rows out

    def combined(self, unique_id: str, block: Block, known: str) -> str:
        """Return SQL for the combined rows of a model.

        Args:
            unique_id: The model's.
            block: What it combines.
            known: A query for the rows of its table that are to be computed again; empty when all
                rows are combined.

        Raises:
            BuildError: the rows of its table would not say what was combined.
        """
        if not known:
            if self._blocks.setdefault(unique_id, block) != block:
                raise BuildError(f"{unique_id.split('.')[-1]} uses `combined` more than once.")
            return block.whole
        answer, node = self.ask(unique_id), self._manifest.nodes[unique_id]
        block = self._blocks.get(unique_id, block)  # which knows already what it needs
        views = self._views_of(node)
        columns = self._columns_in([block.whole, *views.values()])
        source = block.source(views, columns)
        if source is not None:
            lost = self._lost(node, answer, source)
            return block.added(known, answer.load_id, answer.key, lost, views, columns)
        noted = self._history.noted(block.name, block.needed, answer.lake_snapshot)
        if block.needed and noted is not None:
            return block.changed(known, noted.rows)
        return block.whole  # of touched keys: see `narrowed`

    def _lost(self, node: Any, answer: Answer, source: Name) -> str:
        """Return a table of the keys that lost rows of a raw table; empty when none did."""
        taken_back = self._taken_back.get((node.unique_id, source))
        if taken_back is None:
            return ""
        inputs = self._inputs(node, self._trace(node))[source]
        table = f"{answer.touched}_lost"
        self._gather(answer, table, [self._keys_query(answer, each, taken_back) for each in inputs])
        return table

    def _answer(self, unique_id: str) -> Answer:
        self._history = history = History(lambda: self._cursor, self._noting)
        node = self._manifest.nodes[unique_id]
        name = name_of(node)
        answer = Answer(node.relation_name, ".".join(name), is_cut=self._is_cut)
        answer.fingerprint = self.nodes[unique_id].fingerprint if unique_id in self.nodes else ""
        answer.is_known = answer.name in self._known
        if node.config.materialized != "incremental":
            return answer
        answer.is_noted = any(_NOTED_BY in hook.sql for hook in node.config.post_hook)
        if not answer.is_noted:
            return answer
        state = history.state(name)
        if state is None:
            answer.rebuild = "it was never built whole"
        elif state.stale_reason:
            answer.rebuild = state.stale_reason
        elif state.fingerprint != answer.fingerprint:
            answer.rebuild = "its code has changed since it was built"
        if state is not None:
            answer.load_id, answer.lake_snapshot = state.load_id, state.lake_snapshot
            answer.rebuilt_snapshot = state.rebuilt_snapshot
        if not _is_touched(node):
            return answer
        answer.key = key_of(node.config.to_dict())
        if answer.rebuild:  # else it was checked when it was built by this same code
            self._check_combined(node, answer)
        answer.changes = history.changes_of(name)
        answer.tracks = self._tracks(node)
        if state is not None and state.tracks_snapshot is not None:
            answer.tracks_snapshot = state.tracks_snapshot
            answer.is_log_current = history.notes(name) == answer.tracks
        if not answer.rebuild:
            self._touch(node, answer, history)
        return answer

    def _check_combined(self, node: Any, answer: Answer) -> None:
        """Do nothing when what a model combines reaches its table."""
        if "combined(" not in node.raw_code:
            return
        sql = self._sql(node, whole=True)
        block = self._blocks.get(node.unique_id)
        if block is not None:
            views = self._views_of(node)
            columns = self._columns_in([sql, *views.values()])
            check_combined(node.name, answer.key, sql, block, views, columns)
            with suppress(duckdb.Error):  # the model itself will fail, and say why
                check_sums(node.name, block, self._cursor.execute(block.describe).fetchall())

    def _touch(self, node: Any, answer: Answer, history: History) -> None:
        """Find the keys that were touched, or why they cannot be found."""
        try:
            traced = self._trace(node)
        except PushdownError as error:
            answer.rebuild = f"its SQL cannot be followed: {error}"
            return
        if traced.volatile:
            answer.rebuild = f"its rows depend on when they are made ({traced.volatile})"
            return
        queries = []
        for name, inputs in self._inputs(node, traced).items():
            needed = {column for each in inputs for key in each.keys for column in columns_in(key)}
            changed = history.changed(name, needed, answer.load_id, answer.lake_snapshot)
            if changed is None:
                continue
            if changed.taken_back:
                self._taken_back[node.unique_id, name] = changed.taken_back
            why = next((each.reason for each in inputs if each.reason), changed.reason)
            if why and (changed.reason or history.has_rows(changed)):
                answer.rebuild = f"{'.'.join(name[1:])} has changed: {why}"
                return
            queries += [self._keys_query(answer, each, changed.rows) for each in inputs]
        table = f"touched_keys_{hashlib.sha256(answer.relation.encode()).hexdigest()[:16]}"
        try:
            self._gather(answer, table, queries)
        except duckdb.Error as error:
            # A column that came or went, a snapshot that is gone: what changed cannot be told.
            answer.rebuild = f"what has changed cannot be told ({str(error).splitlines()[0]})"
            return
        counts = ", ".join(f"count(*) > count({identifier(column)})" for column in answer.key)
        found = self._cursor.execute(f"select {counts} from {table}").fetchall()[0]
        answer.touched = table
        answer.nulls = dict(zip(answer.key, found, strict=True))

    def _gather(self, answer: Answer, table: str, queries: Sequence[str]) -> None:
        """Make a temporary table of the keys that queries return, named as the model's are."""
        columns = ", ".join(identifier(column) for column in answer.key)
        nothing = f"select {columns} from {answer.relation} where false"
        self._cursor.execute(
            f"create or replace temp table {table} as "
            f"select distinct * from ({' union all '.join([nothing, *queries])})"
        )

    @staticmethod
    def _keys_query(answer: Answer, each: Input, rows: str) -> str:
        found = f"select {', '.join(each.keys)} from ({rows}) as changed"
        if not each.finds:
            return found
        columns = ", ".join(identifier(column) for column in answer.key)
        values = ", ".join(identifier(column) for column in each.finds)
        return (
            f"select {columns} from {answer.relation} where row({values}) in "
            f"(select row({values}) from ({found}) as found ({values}))"
        )

    def _inputs(self, node: Any, traced: Trace) -> dict[Name, list[Input]]:
        """Return what a model reads, by relation: as its SQL tells, else as it declares."""
        declared = self._declared(node)
        found: dict[Name, list[Input]] = {}
        for scan in traced.scans:
            name = scan.relation
            if scan.keys is not None:
                each = Input(scan.keys)
            else:
                each = declared.get(name, Input((), reason=scan.reason))
            if each not in found.setdefault(name, []):
                found[name].append(each)
        return found

    def _declared(self, node: Any) -> dict[Name, Input]:
        config = node.config.to_dict()
        found = {}
        for entry in (config.get("meta") or {}).get("follows") or []:
            finds = tuple(as_list(entry.get("finds")))
            keys = tuple(as_list(entry.get("keys")) or map(identifier, key_of(config)))
            parent = self._named(node, "source" if "source" in entry else "model", entry)
            named = tuple(naming(key, parent.relation_name) for key in keys)
            found[name_of(parent)] = Input(named, finds)
        return found

    def _named(self, node: Any, kind: str, entry: Mapping[str, Any]) -> Any:
        """Return the source or model that a model names among its inputs."""
        if kind == "source":
            for source in self._manifest.sources.values():
                if source.name == entry["source"] and source.source_name == SOURCE_NAME:
                    return source
        waiting, seen = list(node.depends_on_nodes), set()
        while waiting:
            unique_id = waiting.pop()
            parent = self._manifest.nodes.get(unique_id) or self._manifest.sources.get(unique_id)
            if parent is None or unique_id in seen:
                continue
            seen.add(unique_id)
            if parent.name == entry[kind] and (parent.resource_type == "source") == (
                kind == "source"
            ):
                return parent
            waiting += getattr(parent, "depends_on_nodes", [])
        raise PushdownError(f"{node.name} follows {entry[kind]}, which it does not read")

    def _tracks(self, node: Any) -> list[str]:
        """Return the columns that others need to know of a changed row, in a fixed order."""
        columns = set(as_list((node.config.meta or {}).get("tracks")))
        name = name_of(node)
        for child_id in self._readers(node.unique_id):
            child = self._manifest.nodes[child_id]
            for each in self._inputs_or_nothing(child).get(name, []):
                columns |= {column for key in each.keys for column in columns_in(key)}
            block = self._blocks.get(child_id)
            if block is not None and block.name == name:
                columns |= block.needed
        return sorted(columns)

    def _inputs_or_nothing(self, child: Any) -> dict[Name, list[Input]]:
        try:
            return self._inputs(child, self._trace(child))
        except PushdownError:
            return {}

    def _readers(self, unique_id: str) -> list[str]:
        """Return the models of the strategy that read a model, maybe through views."""
        found, waiting, seen = [], [unique_id], set()
        while waiting:
            for child in self._children.get(waiting.pop(), []):
                node = self._manifest.nodes.get(child)
                if node is None or child in seen or node.resource_type != "model":
                    continue
                seen.add(child)
                if node.config.materialized in ("view", "ephemeral"):
                    waiting.append(child)
                elif _is_touched(node):
                    found.append(child)
        return sorted(found)

    @cached_property
    def _known(self) -> set[str]:
        return set(self._history.states)

    @cached_property
    def _noting(self) -> set[Name]:
        return {name_of(node) for node in self._manifest.nodes.values() if _is_touched(node)}

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for node in self._manifest.nodes.values():
            for parent in node.depends_on_nodes if hasattr(node, "depends_on_nodes") else []:
                children.setdefault(parent, []).append(node.unique_id)
        return children

    def _trace(self, node: Any) -> Trace:
        if node.unique_id not in self._traces:
            sql, views = self._sql(node, whole=True), self._views_of(node)
            self._traces[node.unique_id] = trace(
                sql,
                key_of(node.config.to_dict()),
                views=views,
                columns=self._columns_in([sql, *views.values()]),
            )
        return self._traces[node.unique_id]

    def _views_of(self, node: Any) -> dict[Name, str]:
        """Return the SQL of the views that a node reads, and that these read."""
        found: dict[Name, str] = {}
        waiting, seen = list(node.depends_on_nodes), set()
        while waiting:
            parent = self._manifest.nodes.get(unique_id := waiting.pop())
            if parent is None or unique_id in seen:
                continue
            seen.add(unique_id)
            if _is_view(parent):
                found[name_of(parent)] = self._sql(parent, whole=False)
            if _is_view(parent) or parent.config.materialized == "ephemeral":
                waiting += parent.depends_on_nodes
        return found

    def _columns_in(self, texts: Sequence[str]) -> dict[Name, Mapping[str, str]]:
        """Return the columns of the relations that are named in SQL texts.

        As they are in the lake, else as models declare them.
        """
        text = " ".join(texts).lower()
        known = {
            name_of(node): {name: each.data_type or "" for name, each in node.columns.items()}
            for node in self._manifest.nodes.values()
            if node.resource_type in ("model", "seed", "snapshot") and node.columns
        }
        views = {name_of(node) for node in self._manifest.nodes.values() if _is_view(node)}
        found = {**known, **self._history.columns}
        return {
            name: columns
            for name, columns in found.items()
            if name not in views and name[-1] in text
        }

    def _sql(self, node: Any, *, whole: bool) -> str:
        """Return a node's compiled SQL; `whole` for that of a full refresh."""
        key = (node.unique_id, whole)
        if key not in self._compiled:
            from dbt.compilation import Compiler

            mine = copy.deepcopy(node)
            mine.compiled, mine.extra_ctes_injected, mine.extra_ctes = False, False, []
            if whole:
                mine.config.full_refresh = True
            done = Compiler(self._adapter.config).compile_node(
                mine, self._manifest, {}, write=False
            )
            self._compiled[key] = done.compiled_code or ""
        return self._compiled[key]

    @property
    def _cursor(self) -> Any:
        """Return the cursor of the connection on which this thread builds."""
        return self._adapter.connections.get_thread_connection().handle.cursor()


def _is_touched(node: Any) -> bool:
    """Return what `is_touched_model` does, for a node as dbt holds it."""
    return bool(
        node.resource_type == "model"
        and node.config.materialized == "incremental"
        and node.config.incremental_strategy == STRATEGY
    )


def _is_view(node: Any) -> bool:
    return bool(node.resource_type == "model" and node.config.materialized == "view")


def name_of(node: Any) -> Name:
    """Return the name of the relation that a node makes or, for a source, is."""
    own = node.identifier if node.resource_type == "source" else node.alias
    return tuple(str(part).lower() for part in (node.database, node.schema, own))


def columns_in(expression: str) -> set[str]:
    """Return the columns, in lower case, that an SQL expression uses."""
    parsed = sqlglot.parse_one(f"select {expression}", read="duckdb")
    return {column.name.lower() for column in parsed.find_all(exp.Column)}
