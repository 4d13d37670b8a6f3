"""Tests that take minutes, in a real browser: `make test-slow`."""

import os

import pytest

OPT_IN = pytest.mark.skipif(
    "BOATHOUSE_SLOW_TESTS" not in os.environ,
    reason="takes minutes: `make test-slow` runs it",
)
