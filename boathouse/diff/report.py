"""What a comparison has found. Values in samples are text as DuckDB prints it, null is None."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from boathouse.diff.sides import Side

Presence = Literal["both", "only in a", "only in b"]


@dataclass(frozen=True)
class Sample:
    """A row that changed in one column."""

    key: dict[str, str | None]
    before: str | None
    after: str | None


@dataclass(frozen=True)
class ColumnDiff:
    """A column in which rows changed."""

    name: str
    rows_changed: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Retyped:
    """A column whose type is another one."""

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class MartDiff:
    """A mart, or a macro among them, in A and B. Rows are held against each other by `key`.

    Without a key (see `key_note`) whole rows are, as often as they are there: none has changed
    then, it is gone and another was added. Columns that only one side has do not change a row.
    """

    name: str
    presence: Presence
    is_macro: bool = False
    is_redefined: bool = False  # a macro that does something else
    rows_a: int | None = None
    rows_b: int | None = None
    key: tuple[str, ...] = ()
    key_note: str = ""  # why there is no key, empty when there is one or none was needed
    columns_added: tuple[str, ...] = ()
    columns_gone: tuple[str, ...] = ()
    columns_retyped: tuple[Retyped, ...] = ()
    rows_added: int = 0
    rows_gone: int = 0
    rows_changed: int = 0
    columns: tuple[ColumnDiff, ...] = ()
    added: tuple[dict[str, str | None], ...] = ()  # samples of rows
    gone: tuple[dict[str, str | None], ...] = ()

    @property
    def has_schema_changes(self) -> bool:
        """Return whether columns were added, are gone or have another type."""
        return bool(self.columns_added or self.columns_gone or self.columns_retyped)

    @property
    def has_row_changes(self) -> bool:
        """Return whether rows were added, are gone or changed."""
        return bool(self.rows_added or self.rows_gone or self.rows_changed)

    @property
    def is_equal(self) -> bool:
        """Return whether both sides have the same."""
        return self.presence == "both" and not (
            self.is_redefined or self.has_schema_changes or self.has_row_changes
        )


@dataclass(frozen=True)
class DiffReport:
    """Two sides and all of their marts, by name."""

    a: Side
    b: Side
    marts: tuple[MartDiff, ...]

    @property
    def is_equal(self) -> bool:
        """Return whether nothing differs."""
        return all(mart.is_equal for mart in self.marts)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return {"is_equal": self.is_equal, **asdict(self)}
