"""The command line: thin over the core, one function for each command."""

from boathouse.cli.main import main

__all__ = ["main"]
