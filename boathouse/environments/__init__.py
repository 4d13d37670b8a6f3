"""Environments: homes of their own inside a home, for a person or a CI job.

An environment starts as the lake was at one snapshot. Its files are further names (hard links) of
the main home's: nothing is copied, and whatever either side deletes, the other one keeps. From
then on it is a home like any other, with its own catalogue, landing, builds and releases.
"""

from boathouse.environments.create import Created, create
from boathouse.environments.drop import drop
from boathouse.environments.place import Environment, list_environments

__all__ = ["Created", "Environment", "create", "drop", "list_environments"]
