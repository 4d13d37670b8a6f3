"""What decides the rows of a node, as one hash: its code, the macros it uses, config and contract.

Comments, white space and descriptions are no part of it; neither are the macros by which an
incremental model finds what it must compute again, which say nothing about the rows themselves.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from boathouse.settings import environment_variable

# Strings and quoted names are kept to the letter; comments are no code.
_TOKEN = re.compile(
    r"(?P<kept>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<comment>\{#.*?#\}|--[^\n]*|/\*.*?\*/)|(?P<space>\s+)|(?P<other>.)",
    re.DOTALL,
)
_CONFIG = re.compile(r"\{\{-?\s*config\(.*?\)\s*-?\}\}", re.DOTALL)
_CALL = re.compile(r"(\w+)\s*\(")
_USES_VARIABLE = re.compile(r"\bvar\s*\(")
_ENVIRONMENT = re.compile(r"\benv_var\s*\(\s*['\"](\w+)")
# What a person may change without changing a row.
_NO_RULE = frozenset(
    {
        *("access", "description", "docs", "enabled", "freshness", "group", "meta", "packages"),
        *("persist_docs", "static_analysis", "tags", "contract", "grants", "batch_id"),
    }
)
_META = ("follows", "touched_by")
_ENGINE = ("macros/incremental/", "macros/builds/")
_LOOKED_THROUGH = ("view", "ephemeral")


class Fingerprints:
    """The fingerprints of all nodes of a manifest, worked out as they are asked for."""

    def __init__(self, manifest: Mapping[str, Any], variables: str) -> None:
        """Take dbt's manifest as plain values, and all variables of the project as text."""
        self._nodes = {**manifest["nodes"], **manifest["unit_tests"]}
        self._sources = manifest["sources"]
        self._variables = variables
        self._macros: dict[str, list[str]] = {}
        for macro in manifest["macros"].values():
            is_dbts = macro["package_name"] == "dbt" or macro["package_name"].startswith("dbt_duck")
            if not is_dbts and not macro["original_file_path"].startswith(_ENGINE):
                self._macros.setdefault(macro["name"], []).append(macro["macro_sql"])
        self._known: dict[str, str] = {}

    def of(self, unique_id: str) -> str:
        """Return the fingerprint of a node: equal when its rules are the same."""
        if unique_id not in self._known:
            self._known[unique_id] = ""  # what a cycle would see; dbt allows none
            self._known[unique_id] = self._hash(self._nodes[unique_id])
        return self._known[unique_id]

    def _hash(self, node: Mapping[str, Any]) -> str:
        config = node.get("config") or {}
        meta = config.get("meta") or {}
        texts = self._texts(node)
        said = {
            "texts": texts,
            "relation": node.get("relation_name"),
            "config": {
                name: value
                for name, value in config.items()
                if name not in _NO_RULE and value not in (None, [], {})
            },
            "meta": {name: meta[name] for name in _META if name in meta},
            "contract": (config.get("contract") or {}).get("enforced"),
            "columns": [_typed(column) for column in (node.get("columns") or {}).values()],
            "test": (node.get("test_metadata") or {}).get("kwargs"),
            "seed": (node.get("checksum") if node["resource_type"] == "seed" else None),
            "unit_test": [node.get(each) for each in ("given", "expect", "overrides", "model")]
            if node["resource_type"] == "unit_test"
            else None,
            "parents": self._parents(node),
            "environment": {
                name: environment_variable(name)
                for name in sorted(set(_ENVIRONMENT.findall(" ".join(texts))))
            },
            "variables": self._variables if _uses_variables(texts) else "",
        }
        text = json.dumps(said, sort_keys=True, default=str, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _texts(self, node: Mapping[str, Any]) -> list[str]:
        """Return the code of a node and of all macros it may call, without comments."""
        if node["resource_type"] == "seed":
            return []
        code = without_comments(_CONFIG.sub(" ", node.get("raw_code") or ""))
        config = node.get("config") or {}
        hooks = [
            hook["sql"] if isinstance(hook, Mapping) else str(hook)
            for name in ("pre-hook", "post-hook")
            for hook in config.get(name) or []
        ]
        texts, waiting, seen = [code], [code, *hooks, str(config.get("where") or "")], set()
        while waiting:
            for name in _CALL.findall(waiting.pop()):
                if name not in seen:
                    seen.add(name)
                    called = [
                        without_comments(each)
                        for dispatched in (name, f"default__{name}", f"duckdb__{name}")
                        for each in self._macros.get(dispatched, [])
                    ]
                    texts += called
                    waiting += called
        return [code, *sorted(texts[1:])]

    def _parents(self, node: Mapping[str, Any]) -> dict[str, str]:
        """Return the rules of what this node looks through, and the names of what it reads."""
        parents = {}
        for each in sorted(set((node.get("depends_on") or {}).get("nodes") or [])):
            if each in self._sources:
                source = self._sources[each]
                types = [_typed(column) for column in source["columns"].values()]
                parents[each] = f"{source['relation_name']} {types}"
            elif each in self._nodes:
                parent = self._nodes[each]
                is_whole = (
                    parent["config"].get("materialized") in _LOOKED_THROUGH
                    or node["resource_type"] == "unit_test"
                )
                parents[each] = self.of(each) if is_whole else parent.get("relation_name") or ""
        return parents


def _typed(column: Mapping[str, Any]) -> list[Any]:
    return [column["name"], column.get("data_type"), column.get("constraints"), column.get("quote")]


def _uses_variables(texts: list[str]) -> bool:
    return any(_USES_VARIABLE.search(text) for text in texts)


@lru_cache(maxsize=4096)
def without_comments(code: str) -> str:
    """Return SQL or Jinja without comments, and with one space where there was white space."""
    parts: list[str] = []
    for token in _TOKEN.finditer(code):
        if token["comment"] or token["space"]:
            if parts and parts[-1] != " ":
                parts.append(" ")
        else:
            parts.append(token[0])
    return "".join(parts).strip()
