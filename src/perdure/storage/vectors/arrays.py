"""What NumPy is needed for: vectors as a model gives them to bytes, bytes to matrices. Imported at first use only."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from perdure.errors import EmbeddingError, StorageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

__all__ = ["as_rows", "matrix_of", "need_numpy", "unit"]


@cache
def need_numpy() -> Any:
    """NumPy. Raises EmbeddingError where it is not installed."""
    try:
        import numpy
    except ImportError as error:
        raise EmbeddingError(
            "searching by meaning needs NumPy, which is not installed: pip install 'perdure[search]'. Searching by words"
            " works without it: leave embed out of index="
        ) from error
    return numpy


def as_rows(made: object, texts: int, dims: int, model: str) -> list[bytes]:
    """A vector a text as bytes of float32, least byte first.

    Raises:
        EmbeddingError: they are not so many, not so long, or no finite numbers.
    """
    np = need_numpy()
    try:
        rows = np.asarray(made, dtype="<f4")
    except (TypeError, ValueError, OverflowError) as error:
        raise EmbeddingError(
            f"the embedding model gave no list of vectors of one length: {error}. Nothing was written.",
            model=model,
        ) from error
    if rows.ndim != 2 or rows.shape[0] != texts:
        raise EmbeddingError(
            f"the embedding model gave {rows.shape[0] if rows.ndim else 'no'} vectors of shape {rows.shape[1:]} for "
            f"{texts} text{'s' * (texts > 1)}. Nothing was written.",
            model=model,
        )
    if rows.shape[1] != dims:
        raise EmbeddingError(
            f"the embedding model gives vectors of {rows.shape[1]} components, but the store's index says dims={dims}. "
            "Nothing was written. Set dims to what the model gives.",
            model=model,
        )
    if not np.isfinite(rows).all():
        raise EmbeddingError(
            "the embedding model gave a vector with NaN or an infinite component. Nothing was written.",
            model=model,
        )
    return [row.tobytes() for row in rows]


def matrix_of(data: bytes, dims: int) -> Matrix:
    """The vectors, one a row; not to be written to. Raises StorageError for bytes that are no vectors of `dims`."""
    np = need_numpy()
    if len(data) % (4 * dims):
        raise StorageError(
            f"vectors of {len(data)} bytes, which are none of {dims} components: the database is damaged, or another "
            "program wrote them.",
            hint="Run the store's reindex().",
        )
    return np.frombuffer(data, dtype="<f4").reshape(-1, dims)


def unit(rows: Matrix) -> Matrix:
    """The rows with length 1, where they have any; computed a row at a time, so that it is the same wherever a row stands."""
    np = need_numpy()
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    lengths[lengths == 0] = 1.0
    return (rows / lengths[:, None]).astype(np.float32)
