"""The dbt project as dbt has parsed it, which is taken up again until something of it changes.

Parsing, even where nothing is new, takes longer than a small build. What came of it lies in the
home in one file, beside dbt's own `manifest.json`, with a key of all that it follows from.
"""

import gc
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

from boathouse.build import dbt
from boathouse.build.files import project_hash
from boathouse.build.nodes import Node, from_manifest, variables_of
from boathouse.settings import Settings, using

_PARTS = ("dbt-core", "dbt-common", "dbt-adapters", "dbt-duckdb")
_OVERRULED = ("DBT_TARGET_PATH", "DBT_LOG_PATH")  # by `dbt.Folders.arguments`


@dataclass(frozen=True)
class Manifest:
    """The project as dbt has parsed it, for the next builds of this process.

    It does not notice edits: parse again when a file of the project has changed. dbt writes into
    it while it builds, so two builds must not share one at the same time.
    """

    parsed: Any
    nodes: list[Node]
    files: str  # hash of the files that it was parsed from


def prepare_manifest(settings: Settings) -> Manifest:
    """Parse the project and return what later builds of this process can start from.

    What has not changed since the last parse into this home is not parsed again.

    Raises:
        BuildError: the project cannot be parsed; says where and why.
    """
    kept = _Kept(settings, project_hash(settings.project))
    with using(settings), _without_garbage_collection():
        found = kept.read()
        if found is not None:
            return found
        parsed = dbt.invoke("parse", ["--no-write-json"], settings)
    path = dbt.Folders(settings).manifest
    # dbt would write it in place, under the eyes of others who parse or read it.
    written = path.with_name(f"{path.name}.{os.getpid()}")
    parsed.write(str(written))
    manifest = Manifest(parsed, from_manifest(written, variables_of(settings.project)), kept.files)
    stamp = _stamp(written)
    written.replace(path)
    kept.write(manifest, stamp)
    return manifest


def manifest_file(settings: Settings) -> Path:
    """Parse the project if it has changed since it last was, and return dbt's `manifest.json`.

    Raises:
        BuildError: the project cannot be parsed; says where and why.
    """
    with using(settings):
        is_current = _Kept(settings, project_hash(settings.project)).is_current()
    if not is_current:
        prepare_manifest(settings)
    return dbt.Folders(settings).manifest


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Let a `with` block make millions of objects that stay: looking at them takes a second."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class _Kept:
    """What the last parse into a home has left, if it was of the same project in the same way."""

    def __init__(self, settings: Settings, files: str) -> None:
        self.files = files
        self._manifest = dbt.Folders(settings).manifest
        self._path = self._manifest.with_name("parsed")
        self._key = _key(settings, files)

    def read(self) -> Manifest | None:
        """Return it; None when there is none, or it is another one, or not that of the manifest."""
        from dbt.contracts.graph.manifest import Manifest as Parsed
        from dbt.parser.manifest import extended_mashumuro_decoder

        try:
            with self._path.open("rb") as file:
                noted = self._noted(file)
                if noted is None:
                    return None
                nodes = [Node(**each) for each in noted["nodes"]]
                parsed = Parsed.from_msgpack(file.read(), decoder=extended_mashumuro_decoder)
        except Exception:  # of whichever library: it can be parsed again
            return None
        parsed.build_flat_graph()
        parsed.build_parent_and_child_maps()
        return Manifest(parsed, nodes, self.files)

    def is_current(self) -> bool:
        """Return whether dbt's `manifest.json` is of this project, parsed in this way."""
        try:
            with self._path.open("rb") as file:
                return self._noted(file) is not None
        except (OSError, ValueError, TypeError, KeyError):
            return False

    def _noted(self, file: BinaryIO) -> dict[str, Any] | None:
        """Return the first line of what was kept; None when it is of another project."""
        noted: dict[str, Any] = json.loads(file.readline())
        is_ours = [noted["key"], noted["manifest"]] == [self._key, _stamp(self._manifest)]
        return noted if is_ours else None

    def write(self, manifest: Manifest, stamp: list[int]) -> None:
        """Keep it, with the stamp of the `manifest.json` that was written from it."""
        from dbt.parser.manifest import extended_mashumaro_encoder  # which knows times

        nodes = [asdict(each) for each in manifest.nodes]
        noted = json.dumps({"key": self._key, "manifest": stamp, "nodes": nodes})
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        parsed = manifest.parsed.to_msgpack(extended_mashumaro_encoder)
        temporary.write_bytes(noted.encode() + b"\n" + parsed)
        temporary.replace(self._path)


def _stamp(path: Path) -> list[int]:
    there = path.stat()
    return [there.st_mtime_ns, there.st_size]


def _key(settings: Settings, files: str) -> str:
    """Return a hash of all that decides what comes of parsing a project."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    given = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("DBT_") and name not in _OVERRULED
    }
    facts = [files, str(settings.project.absolute()), [version(each) for each in _PARTS], given]
    digest.update(json.dumps(facts, sort_keys=True).encode())
    return digest.hexdigest()
