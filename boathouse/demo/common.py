"""What the generators of all domains share.

The options, random numbers per (seed, source, day), the days, choosing faulty records, and
writing files (atomically; gzip without time or name, so that the same content gives the same
bytes). Nothing in here knows a domain.
"""

import bz2
import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl

from boathouse.errors import UsageError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# Enough records to look like a delivery, few enough to read in an editor.
FAULTY_FILE_RECORDS = 50


@dataclass(frozen=True)
class DemoOptions:
    """How much data to make, for which days, from which seed, and how dirty.

    Attributes:
        scale: 1.0 means about 100,000 session events over all days; the rest follows linearly.
        days: Number of days, the last one being `until`.
        seed: The same seed and options give the same bytes.
        dirty: Share of records (0 to 1) made faulty; above 0 a few faulty files come as well.
        until: Last day of the data; yesterday (UTC) when left out.
    """

    scale: float = 1.0
    days: int = 14
    seed: int = 42
    dirty: float = 0.0
    until: date | None = None

    def __post_init__(self) -> None:
        """Refuse values no data can be made for."""
        if not 0 < self.scale < float("inf"):
            raise UsageError(f"scale is {self.scale}.", hint="Give a number above 0, as 0.1 or 10.")
        if self.days < 1:
            raise UsageError(f"days is {self.days}.", hint="Give a whole number from 1.")
        if self.seed < 0:
            raise UsageError(f"seed is {self.seed}.", hint="Give a whole number from 0.")
        if not 0 <= self.dirty <= 1:
            raise UsageError(f"dirty is {self.dirty}.", hint="Give a share from 0 to 1, as 0.01.")

    @property
    def last_day(self) -> date:
        """The last day of the data: `until`, or yesterday in UTC."""
        return self.until or datetime.now(UTC).date() - timedelta(days=1)

    def day_range(self, *, days_before: int = 0) -> list[date]:
        """The days of the data in order, with `days_before` more in front of the first."""
        count = self.days + days_before
        return [self.last_day - timedelta(days=back) for back in reversed(range(count))]


@dataclass(frozen=True)
class GeneratedFile:
    """A file written into landing.

    Attributes:
        source: The source it belongs to (name of the raw table).
        path: Where it is.
        rows: Records in it, faulty ones included, a header not; 0 when it cannot be read.
    """

    source: str
    path: Path
    rows: int


Generator = Callable[[Path, DemoOptions], Iterator[GeneratedFile]]
"""Writes one source's files into a folder and yields each one as it is done."""


@dataclass(frozen=True)
class Document:
    """Content of a text file: records, one per line, under an optional header."""

    records: pl.Series
    header: str | None = None

    def encode(self, encoding: str = "utf-8") -> bytes:
        """The file's bytes, every line ended by a line feed."""
        lines = [self.header] if self.header is not None else []
        if len(self.records):
            lines.append(str(self.records.str.join("\n").item()))
        return "".join(f"{line}\n" for line in lines).encode(encoding)

    def head(self) -> "Document":
        """The same with only the first few records, for a faulty file."""
        return Document(self.records.head(FAULTY_FILE_RECORDS), self.header)


@dataclass(frozen=True)
class JsonArray(Document):
    """Records as one JSON array, one on each line."""

    def encode(self, encoding: str = "utf-8") -> bytes:
        """Return the file's bytes."""
        return "[{}]\n".format(",\n".join(self.records)).encode(encoding)


def random_for(options: DemoOptions, *purpose: str | date) -> np.random.Generator:
    """A random generator that depends on the seed, the words of the purpose and the day alone."""
    parts = [p.toordinal() if isinstance(p, date) else crc32(p.encode()) for p in purpose]
    return np.random.default_rng([options.seed, *parts])


def choose(rng: np.random.Generator, count: int, weights: Mapping[Any, float]) -> npt.NDArray[Any]:
    """`count` of the mapping's keys, each as often as its weight says (weights need no sum 1)."""
    return np.array(list(weights))[choose_index(rng, count, list(weights.values()))]


def choose_index(rng: np.random.Generator, count: int, weights: Sequence[float] | Floats) -> Ints:
    """`count` positions 0 … len(weights) - 1, each as often as its weight says."""
    cumulative = np.cumsum(np.asarray(weights, dtype=np.float64))
    drawn = rng.random(count) * cumulative[-1]
    found = np.searchsorted(cumulative, drawn, side="right")
    positions: Ints = np.minimum(found, len(cumulative) - 1).astype(np.int64)
    return positions


def choose_faults(
    rng: np.random.Generator, count: int, share: float, kinds: Sequence[str]
) -> pl.Series:
    """A column `fault` of `count` values: a kind for that share of the records, else null."""
    kind = pl.Series("fault", kinds).gather(rng.integers(len(kinds), size=count))
    is_faulty = pl.Series(rng.random(count) < share)
    return kind.zip_with(is_faulty, pl.Series("fault", [None] * count, dtype=pl.String))


def write_file(folder: Path, name: str, content: bytes) -> Path:
    """Write a file under a dot-name beside its place, then rename it into place.

    The content is compressed as the name's ending says (`.gz`, `.bz2`).
    """
    if name.endswith(".gz"):
        content = gzip.compress(content, compresslevel=6, mtime=0)
    elif name.endswith(".bz2"):
        content = bz2.compress(content)
    return _put(folder, name, content)


def write_faulty_files(
    original: GeneratedFile, *, good: Document, latin1: Document, wrong_columns: Document
) -> Iterator[GeneratedFile]:
    """Write beside a good file the faulty ones that real deliveries bring along.

    Each gets the good file's name with a word added, as `purchases_2024-03-10_empty.csv`, so
    none takes the place of a good one: an empty file, a header without records (only where there
    is a header), an archive cut in the middle, a file in Latin-1, one with wrong columns, and the
    good file's bytes under a second name.

    Args:
        original: The good file; its name must have an ending.
        good: Some of its content.
        latin1: The same with characters whose Latin-1 bytes are no UTF-8.
        wrong_columns: The same with a column missing or under another name.
    """
    stem, _, endings = original.path.name.partition(".")
    ending = endings.removesuffix(".gz").removesuffix(".bz2")

    def written(fault: str, content: bytes, rows: int, endings: str = ending) -> GeneratedFile:
        path = _put(original.path.parent, f"{stem}_{fault}.{endings}", content)
        return GeneratedFile(original.source, path, rows)

    yield written("empty", b"", 0)
    if good.header is not None:
        yield written("header_only", f"{good.header}\n".encode(), 0)
    archive = gzip.compress(good.encode(), mtime=0)
    yield written("truncated", archive[: len(archive) // 2], 0, f"{ending}.gz")
    yield written("latin1", latin1.encode("latin-1"), len(latin1.records))
    yield written("wrong_columns", wrong_columns.encode(), len(wrong_columns.records))
    yield written("copy", original.path.read_bytes(), original.rows, endings)


def _put(folder: Path, name: str, content: bytes) -> Path:
    unfinished = folder / f".{name}.tmp"
    unfinished.write_bytes(content)
    return unfinished.replace(folder / name)
