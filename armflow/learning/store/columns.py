"""Numpy arrays to parquet columns and back, without trusting the file."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from armflow.learning.store.errors import DatasetError, reading
from armflow.learning.store.schema import Feature

__all__ = ["MOST_BYTES", "ParquetFile", "open_parquet", "read_rows", "to_arrow", "to_numpy", "write_table"]

MOST_BYTES = 64 << 30  # of one column in memory; more is refused as a damaged header
MOST_ROWS = 1 << 32  # in one row group
STRING_LIMIT, CONTAINER_LIMIT = 64 << 20, 4 << 20  # of parquet's own metadata


def to_arrow(array: np.ndarray) -> pa.Array:
    """Turn [T] or [T, 1] into plain values and [T, a, b, ...] into nested lists of fixed size."""
    flat = pa.array(np.ascontiguousarray(array).reshape(-1))
    if array.ndim == 1 or array.shape[1:] == (1,):
        return flat
    for size in reversed(array.shape[1:]):
        flat = pa.FixedSizeListArray.from_arrays(flat, size)
    return flat


def to_numpy(column: pa.ChunkedArray, feature: Feature, path: object, name: str) -> np.ndarray:
    """Turn a parquet column into [T, *shape] of the feature's type.

    Raises:
        DatasetError: Missing values, lists of another length, or another type.
    """
    shape = () if feature.shape == (1,) else feature.shape
    rows, width = len(column), int(np.prod(shape, dtype=np.int64))
    if rows * width * feature.numpy.itemsize > MOST_BYTES:
        raise DatasetError(path, name, f"{rows} rows of {width} numbers do not fit into {MOST_BYTES >> 30} GiB")
    values = column.combine_chunks()
    values = pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values
    values = values.storage if isinstance(values, pa.ExtensionArray) else values
    for size in shape:
        if not pa.types.is_nested(values.type) or pa.types.is_struct(values.type):
            raise DatasetError(path, name, f"rows are {values.type}; the schema says {list(shape)}")
        lengths = pc.min_max(pc.list_value_length(values)).as_py()  # type: ignore[attr-defined]
        if values.null_count or (len(values) and (lengths["min"], lengths["max"]) != (size, size)):
            raise DatasetError(path, name, f"rows hold {lengths['min']} to {lengths['max']} entries, not {size}")
        values = values.flatten()
    if values.null_count or len(values) != rows * width or not _number(values.type):
        raise DatasetError(path, name, f"{values.null_count} missing values among {len(values)} of {values.type}")
    array = values.to_numpy(zero_copy_only=False).reshape(rows, *shape)
    if array.dtype != feature.numpy and not np.can_cast(array.dtype, feature.numpy, "same_kind"):
        raise DatasetError(path, name, f"rows are {array.dtype}; the schema says {feature.dtype}")
    return array.astype(feature.numpy, copy=False)


def _number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """An open parquet file.

    Attributes:
        name: Its path in the dataset, for messages.
        file: The open file.
        ends: The row after the last of each row group.
    """

    name: str
    file: pq.ParquetFile
    ends: np.ndarray

    @property
    def rows(self) -> int:
        """Number of rows of all row groups."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def read(self, names: list[str], rows: tuple[int, int] | None = None) -> pa.Table:
        """Read some columns, of all rows or of rows `rows[0]` to `rows[1]`.

        Raises:
            DatasetError: A column or a row is missing or cannot be decoded.
        """
        with reading(self.name, "columns"):
            missing = set(names) - set(self.file.schema_arrow.names)
            if missing:
                raise DatasetError(self.name, sorted(missing)[0], "no such column")
            table = self._read(names, (0, self.rows) if rows is None else rows)
            if table.nbytes > MOST_BYTES:
                raise DatasetError(self.name, "columns", f"{table.nbytes} bytes; at most {MOST_BYTES >> 30} GiB")
            table.validate()
            return table

    def _read(self, names: list[str], rows: tuple[int, int]) -> pa.Table:
        if not 0 <= rows[0] < rows[1] <= self.rows:
            raise DatasetError(self.name, "rows", f"holds {self.rows}, not rows {rows[0]} to {rows[1]}")
        first, last = np.searchsorted(self.ends, [rows[0], rows[1] - 1], side="right")
        before = int(self.ends[first - 1]) if first else 0
        table = self.file.read_row_groups(list(range(first, last + 1)), columns=names, use_threads=False)
        if table.num_rows != self.ends[last] - before:
            raise DatasetError(self.name, "rows", f"decodes {table.num_rows} rows, not {self.ends[last] - before}")
        return table.slice(rows[0] - before, rows[1] - rows[0])


def open_parquet(path: Path, root: Path) -> ParquetFile:
    """Open a parquet file with limits on what its header may ask for and with checksums.

    Raises:
        DatasetError: Not a readable parquet file.
    """
    name = str(path.relative_to(root))
    with reading(name, "parquet"):
        if not path.is_file():
            raise DatasetError(name, "file", "is missing")
        file = pq.ParquetFile(
            path,
            memory_map=True,
            thrift_string_size_limit=STRING_LIMIT,
            thrift_container_size_limit=CONTAINER_LIMIT,
            page_checksum_verification=True,
        )
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        if min(sizes, default=0) < 0 or max(sizes, default=0) > MOST_ROWS:
            raise DatasetError(name, "row groups", f"of {min(sizes)} to {max(sizes)} rows")
        return ParquetFile(name, file, np.cumsum(sizes, dtype=np.int64))


def read_rows(path: Path, root: Path, most_rows: int) -> list[dict]:
    """Read a small parquet table, without its statistics, as a list of rows.

    Raises:
        DatasetError: Missing, unreadable, or more rows than `most_rows`.
    """
    file = open_parquet(path, root)
    with reading(file.name, "rows"):
        if not 0 < file.rows <= most_rows:
            raise DatasetError(file.name, "rows", f"{file.rows} rows; it must be 1 to {most_rows}")
        return file.read([name for name in file.file.schema_arrow.names if not name.startswith("stats/")]).to_pylist()


def write_table(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write tables of one schema as one parquet file, one row group a table, with page checksums."""
    with pq.ParquetWriter(path, schema, compression="snappy", write_page_checksum=True) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=max(1, table.num_rows))
