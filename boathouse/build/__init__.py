"""Builds: dbt over the lake, what came out of it, and whether that may be released."""

from boathouse.build.blockers import Blocker, find_blockers
from boathouse.build.files import project_hash
from boathouse.build.manifest import Manifest, manifest_file, prepare_manifest
from boathouse.build.plan import Plan, make_plan
from boathouse.build.report import BuildReport, NodeProgress, NodeResult
from boathouse.build.run import run_build

__all__ = [
    "Blocker",
    "BuildReport",
    "Manifest",
    "NodeProgress",
    "NodeResult",
    "Plan",
    "find_blockers",
    "make_plan",
    "manifest_file",
    "prepare_manifest",
    "project_hash",
    "run_build",
]
