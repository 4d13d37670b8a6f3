"""Tests in a real browser, which take minutes: `make test-browser` runs them."""

import os

import pytest

OPT_IN = pytest.mark.skipif(
    "BOATHOUSE_BROWSER_TESTS" not in os.environ,
    reason="tests in a browser take minutes: `make test-browser` runs them",
)
