"""Boathouse in Dagster: thin definitions over the core.

What is done lives in `boathouse`; here is only how Dagster names it, starts it and shows it.
`definitions` is the code location; `python -m orchestration` opens it all.
"""
