"""What models of the strategy `touched` say of themselves, checked against the project's graph.

Which rows such a model must compute again is found out from its SQL. A person declares only what
the SQL does not tell; this module sees that it can be true, when the project is parsed.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from boathouse.contracts import SOURCE_NAME, SYSTEM_COLUMNS
from boathouse.errors import BuildError

STRATEGY = "touched"
_META = ("follows", "touched_by", "tracks")
_ENTRY = {"source", "model", "keys", "finds"}


def is_touched_model(node: Mapping[str, Any]) -> bool:
    """Return whether a node of the manifest is a model of the strategy `touched`."""
    config = node.get("config") or {}
    return (
        node["resource_type"] == "model"
        and config.get("materialized") == "incremental"
        and config.get("incremental_strategy") == STRATEGY
    )


def key_of(config: Mapping[str, Any]) -> list[str]:
    """Return the columns by which a model's rows are computed again: `touched_by` or the key."""
    meta = config.get("meta") or {}
    return as_list(meta.get("touched_by")) or as_list(config.get("unique_key"))


def check_declarations(manifest: Mapping[str, Any]) -> None:
    """Do nothing when all models declare what can be true.

    Raises:
        BuildError: names each model with its file, what it says, and what it should say.
    """
    graph = _Graph(manifest)
    wrong = [
        f"  {node['name']} ({node['original_file_path']}): {fault}"
        for node in manifest["nodes"].values()
        if is_touched_model(node)
        for fault in _faults(node, graph)
    ]
    if wrong:
        raise BuildError(
            "The project says of its incremental models what cannot be:\n" + "\n".join(wrong),
            hint="docs/incremental.md says what can be declared, and what need not be.",
        )
    for node in manifest["nodes"].values():
        _check_may_shrink(node)


def _check_may_shrink(node: Mapping[str, Any]) -> None:
    said = ((node.get("config") or {}).get("meta") or {}).get("may_shrink", False)
    is_share = isinstance(said, int | float) and 0 <= said <= 1  # true and false are 1 and 0
    if not is_share:
        raise BuildError(
            f"{node['name']} ({node['original_file_path']}): `meta.may_shrink` is {said!r}.",
            hint="Write `true`, or the largest share of its rows that the mart may lose from one "
            "release to the next, between 0 and 1.",
        )


class _Graph:
    """What each model reads, looked at through views and ephemeral models."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        self._nodes = manifest["nodes"]
        self._sources = manifest["sources"]

    def inputs(self, node: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Return what a node reads, by kind and name; views are looked through."""
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        waiting, seen = list(node["depends_on"]["nodes"]), set()
        while waiting:
            unique_id = waiting.pop()
            if unique_id in seen:
                continue
            seen.add(unique_id)
            parent = self._nodes.get(unique_id) or self._sources.get(unique_id)
            if parent is None:
                continue
            if (parent.get("config") or {}).get("materialized") in ("view", "ephemeral"):
                waiting += parent["depends_on"]["nodes"]
            else:
                kind = "source" if parent["resource_type"] == "source" else "model"
                found[kind, parent["name"]] = parent
        return found

    def has_view(self, name: str) -> bool:
        """Return whether a name is that of a view or an ephemeral model."""
        return any(
            node["name"] == name and node["config"].get("materialized") in ("view", "ephemeral")
            for node in self._nodes.values()
        )


def _faults(node: Mapping[str, Any], graph: _Graph) -> Iterator[str]:
    meta = node["config"].get("meta") or {}
    for name in meta:
        meant = get_close_matches(name, _META, n=1, cutoff=0.75)
        if name not in _META and meant:
            yield f"`meta.{name}` means nothing; write `meta.{meant[0]}`."
    key = key_of(node["config"])
    if not key:
        yield (
            "the strategy `touched` computes rows again by their key, and the model has none. "
            "Give it a `unique_key`, or, when rows that belong together share no unique one, "
            "`meta.touched_by` with the columns they share."
        )
        return
    known = set(node.get("columns") or {})
    is_closed = bool((node["config"].get("contract") or {}).get("enforced"))
    for column in [*key, *as_list(meta.get("tracks"))]:
        if is_closed and column not in known:
            yield f"it has no column {column}; its columns are {_named(known)}."
    follows = meta.get("follows") or []
    if not isinstance(follows, Sequence) or isinstance(follows, str):
        yield "`meta.follows` is a list of entries such as {source: orders, keys: [id]}."
        return
    for entry in follows:
        yield from _entry_faults(entry, node, key, graph)


def _entry_faults(
    entry: Any, node: Mapping[str, Any], key: Sequence[str], graph: _Graph
) -> Iterator[str]:
    kinds = [kind for kind in ("source", "model") if isinstance(entry, Mapping) and kind in entry]
    if not isinstance(entry, Mapping) or len(kinds) != 1 or set(entry) - _ENTRY:
        yield (
            f"{entry!r} in `meta.follows` is no entry. One names a `source` or a `model`, and "
            "where its columns have other names than the key, `keys`."
        )
        return
    kind, name = kinds[0], str(entry[kinds[0]])
    inputs = graph.inputs(node)
    parent = inputs.get((kind, name))
    if parent is None:
        read = sorted(" ".join(each) for each in inputs)
        if kind == "model" and graph.has_view(name):
            why = f"it follows the model {name}, which is a view and keeps no rows."
        else:
            why = f"it follows the {kind} {name}, which it does not read."
        yield (
            f"{why} It reads: {', '.join(read) or 'nothing'}. Name one of these, or leave "
            "the entry out: what a model reads is followed without being named."
        )
        return
    finds = as_list(entry.get("finds"))
    keys = as_list(entry.get("keys")) or (finds and []) or list(key)
    wanted = finds or list(key)
    if len(keys) != len(wanted):
        yield (
            f"for the {kind} {name} it gives {len(keys)} `keys` ({', '.join(keys)}), but needs "
            f"one for each of {', '.join(wanted)}."
        )
        return
    yield from _column_faults(kind, name, keys, parent)


def _column_faults(
    kind: str, name: str, keys: Sequence[str], parent: Mapping[str, Any]
) -> Iterator[str]:
    columns = {column.lower() for column in parent.get("columns") or {}}
    is_raw = kind == "source" and parent.get("source_name") == SOURCE_NAME
    is_closed = is_raw or bool(((parent.get("config") or {}).get("contract") or {}).get("enforced"))
    if is_raw:
        landing = ((parent.get("config") or {}).get("meta") or {}).get("landing") or {}
        columns |= {*SYSTEM_COLUMNS, *map(str.lower, landing.get("filename_columns") or {})}
        is_closed = landing.get("new_columns", "reject") == "reject"
    import sqlglot  # only here, since it takes long to import

    for key in keys:
        try:
            parsed = sqlglot.parse_one(f"select {naming(key, 'source')}", read="duckdb")
        except sqlglot.errors.SqlglotError:
            yield f"for the {kind} {name}, {key!r} in `keys` is no SQL expression."
            continue
        unknown = [
            column.name
            for column in parsed.find_all(sqlglot.exp.Column)
            if is_closed and column.name.lower() not in columns
        ]
        if unknown:
            yield (
                f"the {kind} {name} has no column {unknown[0]}; its columns are {_named(columns)}. "
                "Say under `keys` what the key is there, or leave the entry out."
            )


def naming(key: str, relation: str) -> str:
    """Return a declared key with the relation in the place of `{source}` or `{model}`."""
    return key.replace("{source}", relation).replace("{model}", relation)


def as_list(value: Any) -> list[str]:
    """Return what YAML gives as one name, as several or not at all, as a list."""
    if value is None or value == "":
        return []
    return [value] if isinstance(value, str) else [str(each) for each in value]


def _named(columns: set[str]) -> str:
    return ", ".join(sorted(column for column in columns if not column.startswith("_"))) or "none"
