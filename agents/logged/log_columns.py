"""Columns of a log file as arrays; what is wrong in them is told with the column, the row and the
value."""

import reprlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.logged.values import require_all


def is_list(kind: Any) -> bool:
    """Whether an Arrow type is one of lists, of equal or of any lengths."""
    import pyarrow.types as kinds

    return kinds.is_list(kind) or kinds.is_large_list(kind) or kinds.is_fixed_size_list(kind)


def is_number_type(kind: Any) -> bool:
    """Whether an Arrow type is one of integers or floating-point numbers."""
    import pyarrow.types as kinds

    return kinds.is_integer(kind) or kinds.is_floating(kind)


def require_kind(path: Path, name: str, right: bool, kind: Any, wanted: str) -> None:
    """Raises ValueError unless `right`: the column is of Arrow type `kind`, and `wanted` is what it
    must be."""
    if not right:
        raise ValueError(f"{path}: {name} must be {wanted}, but the column is {kind}.")


def require_no_nulls(path: Path, name: str, column: Any, numbers: NDArray[np.int64]) -> None:
    """Raises ValueError where a column has a null. `numbers` (M,) are those of its rows in the
    file."""
    if column.null_count:
        null = column.is_null().to_numpy().argmax()
        raise ValueError(f"{path}: {name} is null in row {numbers[null]}; every step has one.")


def whole(path: Path, table: Any, name: str) -> NDArray[np.int64]:
    """A column of whole numbers (M,)."""
    import pyarrow.types as kinds

    column = table.column(name)
    rows = np.arange(table.num_rows)
    require_kind(path, name, kinds.is_integer(column.type), column.type, "whole numbers")
    require_no_nulls(path, name, column, rows)
    values = column.to_numpy()
    require_all(values <= np.iinfo(np.int64).max, path, name, values, rows, "below 2^63")
    return values.astype(np.int64)


def real(path: Path, table: Any, name: str) -> NDArray[np.float64]:
    """A column of numbers (M,)."""
    column = table.column(name)
    require_kind(path, name, is_number_type(column.type), column.type, "numbers")
    require_no_nulls(path, name, column, np.arange(table.num_rows))
    return column.to_numpy().astype(np.float64)


def booleans(path: Path, name: str, column: Any) -> NDArray[np.bool_]:
    """A column of true or false (E,). Raises ValueError for a column of another type."""
    import pyarrow.types as kinds

    require_kind(path, name, kinds.is_boolean(column.type), column.type, "true or false")
    return column.to_numpy().astype(np.bool_)


def metric(
    path: Path, table: Any, name: str, order: NDArray[np.int64], last: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """What a column says of each episode (E,), nan where it is null."""
    column = table.column(name)
    require_kind(path, name, is_number_type(column.type), column.type, "numbers")
    require_null_before_ends(path, name, column, order, last)
    return column.take(order[last]).to_numpy().astype(np.float64)


def require_at_ends(
    path: Path, name: str, column: Any, order: NDArray[np.int64], last: NDArray[np.bool_]
) -> None:
    """Raises ValueError unless a column is there on each episode's last step, and nowhere else."""
    require_null_before_ends(path, name, column, order, last)
    missing = column.is_null().to_numpy()[order] & last
    if missing.any():
        row = order[missing.argmax()]
        raise ValueError(
            f"{path}: {name} is null in row {row}, an episode's last step; the log breaks off "
            "there."
        )


def require_null_before_ends(
    path: Path, name: str, column: Any, order: NDArray[np.int64], last: NDArray[np.bool_]
) -> None:
    """Raises ValueError where a column has a value on a step that is not an episode's last."""
    early = column.is_valid().to_numpy()[order] & ~last
    if early.any():
        row = int(order[early.argmax()])
        value = reprlib.repr(column[row].as_py())
        raise ValueError(
            f"{path}: {name} is {value} in row {row}; it must be null but on an episode's last "
            "step."
        )


def lists(
    path: Path, name: str, column: Any, numbers: NDArray[np.int64], width: int | None
) -> NDArray:
    """A column of lists of equal lengths, (M, width). `numbers` (M,) are those of its rows in the
    file."""
    require_kind(path, name, is_list(column.type), column.type, "lists of numbers")
    require_no_nulls(path, name, column, numbers)
    lengths = np.concatenate([lengths_of(chunk) for chunk in column.chunks])
    width = int(lengths[0]) if width is None else width
    require_all(lengths == width, path, f"the length of {name}", lengths, numbers, f"{width}")
    if not width:
        return np.zeros((len(numbers), 0))
    item = column.type.value_type
    require_kind(
        path, name, is_number_type(item) or str(item) == "bool", column.type, "lists of numbers"
    )
    parts = [chunk.flatten() for chunk in column.chunks]
    if any(part.null_count for part in parts):
        nulls = np.concatenate([part.is_null().to_numpy(zero_copy_only=False) for part in parts])
        raise ValueError(
            f"{path}: {name} has a null in row {numbers[nulls.argmax() // width]}; all must be "
            "numbers."
        )
    return np.concatenate([part.to_numpy(zero_copy_only=False) for part in parts]).reshape(
        -1, width
    )


def lengths_of(chunk: Any) -> NDArray[np.int64]:
    """How many numbers each list has (M,)."""
    import pyarrow.types as kinds

    if kinds.is_fixed_size_list(chunk.type):
        return np.full(len(chunk), chunk.type.list_size)
    return np.diff(chunk.offsets.to_numpy())
