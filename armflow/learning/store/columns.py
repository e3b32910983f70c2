"""Numpy arrays to parquet columns and back, without trusting the file."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from armflow.learning.store.errors import DatasetError, reading
from armflow.learning.store.schema import Feature

__all__ = ["MOST_BYTES", "open_parquet", "read_columns", "read_rows", "to_arrow", "to_numpy", "write_table"]

MOST_BYTES = 64 << 30  # of one column in memory; more is refused as a damaged header
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


def open_parquet(path: Path, root: Path) -> pq.ParquetFile:
    """Open a parquet file with limits on what its header may ask for and with checksums.

    Raises:
        DatasetError: Not a readable parquet file.
    """
    with reading(path.relative_to(root), "parquet"):
        if not path.is_file():
            raise DatasetError(path.relative_to(root), "file", "is missing")
        return pq.ParquetFile(
            path,
            memory_map=True,
            thrift_string_size_limit=STRING_LIMIT,
            thrift_container_size_limit=CONTAINER_LIMIT,
            page_checksum_verification=True,
        )


def read_columns(file: pq.ParquetFile, names: list[str], path: object, rows: tuple[int, int] | None = None) -> pa.Table:
    """Read some columns, of all rows or of rows `rows[0]` to `rows[1]`.

    Raises:
        DatasetError: A column or a row is missing or cannot be decoded.
    """
    with reading(path, "columns"):
        missing = set(names) - set(file.schema_arrow.names)
        if missing:
            raise DatasetError(path, sorted(missing)[0], "no such column")
        table = file.read(columns=names, use_threads=False) if rows is None else _read_rows(file, names, path, rows)
        if table.nbytes > MOST_BYTES:
            raise DatasetError(path, "columns", f"{table.nbytes} bytes do not fit into {MOST_BYTES >> 30} GiB")
        table.validate()
        return table


def _read_rows(file: pq.ParquetFile, names: list[str], path: object, rows: tuple[int, int]) -> pa.Table:
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
    ends = np.cumsum(sizes, dtype=np.int64)
    if min(sizes, default=0) < 0 or not len(ends) or not 0 <= rows[0] < rows[1] <= ends[-1]:
        raise DatasetError(path, "rows", f"rows {rows[0]} to {rows[1]} are not among {int(ends[-1]) if sizes else 0}")
    first, last = np.searchsorted(ends, [rows[0], rows[1] - 1], side="right")
    table = file.read_row_groups(list(range(first, last + 1)), columns=names, use_threads=False)
    return table.slice(rows[0] - (int(ends[first]) - sizes[first]), rows[1] - rows[0])


def read_rows(path: Path, root: Path, most_rows: int) -> list[dict]:
    """Read a small parquet table as a list of rows.

    Raises:
        DatasetError: Missing, unreadable, or more rows than `most_rows`.
    """
    file = open_parquet(path, root)
    name = path.relative_to(root)
    with reading(name, "rows"):
        if file.metadata.num_rows > most_rows:
            raise DatasetError(name, "rows", f"{file.metadata.num_rows} rows; at most {most_rows}")
        names = [n for n in file.schema_arrow.names if not n.startswith("stats/")]
        return read_columns(file, names, name).to_pylist()


def write_table(path: Path, tables: Iterable[pa.Table], schema: pa.Schema) -> None:
    """Write tables of one schema as one parquet file, one row group a table, with page checksums."""
    with pq.ParquetWriter(path, schema, compression="snappy", write_page_checksum=True) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=max(1, table.num_rows))
