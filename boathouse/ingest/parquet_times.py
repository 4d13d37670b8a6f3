"""The digits below the microsecond in those times of a Parquet file from which DuckDB cuts them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boathouse.ingest.content import RefusedFileError
from boathouse.ingest.parquet_schema import FileColumn

_ROWS = 65_536  # at a time


def cut_times(path: Path, column: FileColumn) -> Any:
    """Return an Arrow table of the times that DuckDB cuts.

    Its columns are `row` (from 0), `micros` (since 1970, or midnight) and `digits` (1 to 999).

    Raises:
        RefusedFileError: the column is nested and has such times, or it cannot be read.
    """
    # Only here, since it takes long to import.
    import numpy as np
    import pyarrow as pa

    found = [np.empty((3, 0), np.int64)]
    start = 0
    try:
        for length, micros, digits in _parts(path, column):
            places = np.flatnonzero(digits)
            if len(places) and column.is_nested:
                raise RefusedFileError(
                    f"its column {column.name} has times finer than a microsecond in a list or "
                    "struct, which cannot be read exactly"
                )
            found.append(np.stack([places + start, micros[places], digits[places]]))
            start += length
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        detail = str(error).partition("\n")[0]
        raise RefusedFileError(f"it cannot be read as Parquet file: {detail}") from error
    return pa.table(dict(zip(("row", "micros", "digits"), np.hstack(found), strict=True)))


def _parts(path: Path, column: FileColumn) -> Iterator[tuple[int, Any, Any]]:
    """Yield how many rows come next, and their times' microseconds and digits below those.

    Of a nested column, those of all plain values.
    """
    import numpy as np
    import pyarrow as pa

    # An INT96 is more nanoseconds than 64 bits can hold: they wrap around. What is left when those
    # of its microseconds are taken away, which wrap around likewise, are the digits.
    whole = _batches(path, column.name, "us")
    for batch, other in zip(_batches(path, column.name, "ns"), whole, strict=True):
        micros, digits = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for leaf, coarse in zip(_leaves(batch), _leaves(other), strict=True):
            if getattr(leaf.type, "unit", "") != "ns":
                continue
            values = leaf.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
            if coarse.type.unit == "ns":
                micros.append(values // 1000)
            else:
                micros.append(coarse.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False))
            with np.errstate(over="ignore"):
                digits.append(values - micros[-1] * 1000)
        yield len(batch), np.concatenate(micros), np.concatenate(digits)


def _batches(path: Path, name: str, unit: str) -> Iterator[Any]:
    """Yield a column's arrays; `unit` is what INT96 is read as."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path, coerce_int96_timestamp_unit=unit) as file:
        paths = [file.schema.column(number).path for number in range(len(file.schema))]
        wanted = [p for p in paths if p == name or p.startswith(f"{name}.")]
        for batch in file.iter_batches(_ROWS, columns=wanted):
            yield batch.column(name)


def _leaves(array: Any) -> Iterator[Any]:
    """Yield the arrays of plain values in an array."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        parts = array.flatten() if pa.types.is_struct(kind) else [array.keys, array.items]
        for part in parts:
            yield from _leaves(part)
    elif pa.types.is_nested(kind):
        yield from _leaves(array.flatten())
    else:
        yield array
