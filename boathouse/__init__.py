"""Boathouse: an analytics warehouse that one person can own."""

__version__ = "0.1.0"
