"""What the definitions are made of: settings, contracts, and dbt's manifest, parsed once."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from boathouse.build import manifest_file
from boathouse.contracts import Contract, load_contracts
from boathouse.settings import Settings


@dataclass(frozen=True)
class Project:
    """The warehouse as it is defined at this moment."""

    settings: Settings
    contracts: Mapping[str, Contract]
    manifest: Mapping[str, Any]

    @cached_property
    def nodes(self) -> Mapping[str, Any]:
        """Return models, seeds, snapshots, tests, unit tests and sources by dbt's unique id."""
        parts = (self.manifest["nodes"], self.manifest["unit_tests"], self.manifest["sources"])
        return {unique_id: node for part in parts for unique_id, node in part.items()}

    @property
    def dagster_home(self) -> Path:
        """Return the folder of everything that Dagster keeps."""
        return dagster_home(self.settings)


def dagster_home(settings: Settings) -> Path:
    """Return the folder of everything that Dagster keeps."""
    return settings.home_folder / "dagster"


def load_project(settings: Settings) -> Project:
    """Return the project of these settings.

    Raises:
        ContractError, BuildError: the project cannot be read; says where and why.
    """
    contracts = load_contracts(settings.project)
    return Project(settings, contracts, _manifest(settings))


def _manifest(settings: Settings) -> Mapping[str, Any]:
    """Return the manifest; dbt parses only when the project has changed since it last did.

    The code server parses when it loads, so that the process of a run need not.
    """
    manifest: Mapping[str, Any] = json.loads(manifest_file(settings).read_text(encoding="utf-8"))
    return manifest
