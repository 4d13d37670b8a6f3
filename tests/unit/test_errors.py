"""What errors come from."""

from boathouse.errors import chain


def test_errors_that_come_from_each_other_end() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__context__ = second, first
    assert list(chain(first)) == [first, second]
