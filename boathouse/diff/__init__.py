"""What differs between the marts of two releases, row by row."""

from boathouse.diff.compare import compare
from boathouse.diff.report import ColumnDiff, DiffReport, MartDiff, Sample
from boathouse.diff.sides import Side, find_side

__all__ = ["ColumnDiff", "DiffReport", "MartDiff", "Sample", "Side", "compare", "find_side"]
