"""The incremental models of the project, as dbt compiles them: what they may be narrowed by."""

from typing import Any

from boathouse.build import dbt
from boathouse.build.declarations import key_of
from boathouse.build.pushdown import Scan, narrow, trace
from boathouse.settings import Settings

# A window without an order of its own keys, or a relation that is joined by something else: these
# are followed by what their authors declare, or rebuilt.
NOT_PROVEN = {
    # Whether any id is missing decides about all others: `not in`.
    ("fct_game_events", "game_events"),
    # A snapshot is compared with the one before it, of another day.
    ("int_purchases__changes", "purchases"),
    # Found by title, artist and length; the time of a play says nothing about a song.
    ("fct_songplays", "songs"),
}


def relation_of(node: dict[str, Any]) -> tuple[str, ...]:
    return (node["database"].lower(), node["schema"].lower(), node["alias"].lower())


def test_models_are_narrowed_to_their_keys_wherever_that_can_be_proven(
    settings: Settings,
) -> None:
    dbt.close_connection()  # which a test before may have kept, of another home
    ran = dbt.invoke("compile", ["--full-refresh", "--select", "resource_type:model"], settings)
    nodes = [result.node.to_dict() for result in ran.results]
    models = [node for node in nodes if node["resource_type"] == "model"]
    known: dict[str, Any] = {
        "views": {
            relation_of(node): node["compiled_code"]
            for node in models
            if node["config"]["materialized"] == "view"
        },
        "columns": {
            relation_of(node): list(node["columns"])
            for node in models
            if node["columns"] and node["config"]["materialized"] != "view"
        },
    }
    refused: dict[tuple[str, str], list[Scan]] = {}
    incremental = [node for node in models if node["config"]["materialized"] == "incremental"]
    for node in incremental:
        key = key_of(node["config"])
        traced = trace(node["compiled_code"], key, **known)
        assert traced.volatile is None
        assert traced.scans
        for scan in traced.scans:
            if scan.keys is None:
                refused.setdefault((node["name"], scan.relation[-1]), []).append(scan)
        narrower = narrow(node["compiled_code"], key, "touched_keys", **known)
        is_narrower = "touched_keys" in narrower
        assert is_narrower or any(scan.keys is None for scan in traced.scans)
    assert incremental
    assert set(refused) <= NOT_PROVEN, refused
