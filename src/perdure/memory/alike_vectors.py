"""Which items mean nearly the same, told by the vectors that the store keeps of them.

Two items are as alike as the cosine between their vectors; where an item has several (several texts), of the sum of them,
each of length 1. Blocks of rows are multiplied at once in float32 to find candidates, and each of these is decided in
float64, a pair at a time, so that every backend and machine comes to the same groups. Here: groups. Not here: whose
vectors (`similar.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from perdure.storage.vectors.arrays import matrix_of, need_numpy, unit
from perdure.storage.vectors.likeness import NEAR

if TYPE_CHECKING:
    from perdure.memory.alike_words import Groups

__all__ = ["groups_by_vectors"]

_BLOCK: Final = 256  # rows that are compared with all at once
_NEAR: Final = 1e-9  # what rounding may take from a cosine
_NOTHING: Final = 1e-5  # a sum of directions as short as this is what rounding left of opposites


def groups_by_vectors(
    vectors: Sequence[bytes | None], dims: int, above: float, labels: Sequence[int]
) -> Groups:
    """Items that are alike, in groups of two and more, formed as in `groups_by_words`.

    Takes a multiplication for each pair of items, n * n * dims in all, and memory for 256 * n numbers.

    Args:
        vectors: of each item, one or several in float32; None: it has none, and is in no group.
        dims: the length of one.
        above: the least cosine.
        labels: items of different labels are never alike.
    """
    np = need_numpy()
    has = [place for place, data in enumerate(vectors) if data]
    if len(has) < 2:
        return []
    rows: Any = np.stack([_one(vectors[place] or b"", dims) for place in has])
    label = np.array([labels[place] for place in has])
    free = np.ones(len(has), dtype=bool)
    free[~rows.any(axis=1)] = False  # of length 0: like nothing
    found: Groups = []
    start = 0
    while start < len(has):
        block = np.nonzero(free[start:])[0][:_BLOCK] + start
        if not len(block):
            break
        rough = rows[block] @ rows.T
        for centre, likes in zip(block.tolist(), rough, strict=True):
            if not free[centre]:
                continue
            free[centre] = False
            near = np.nonzero(free & (likes >= above - NEAR) & (label == label[centre]))[0]
            members = [(centre, 1.0)]
            for other in near.tolist():
                cosine = _cosine(rows[centre], rows[other])
                if cosine >= above - _NEAR:
                    members.append((other, min(cosine, 1.0)))
                    free[other] = False
            if len(members) > 1:
                found.append([(has[place], share) for place, share in members])
        start = int(block[-1]) + 1
    return found


def _one(data: bytes, dims: int) -> Any:  # noqa: ANN401 - a row of NumPy's
    """What stands for the item: of length 1, or 0."""
    np = need_numpy()
    rows = unit(matrix_of(data, dims))
    if len(rows) == 1:
        return rows[0]
    total = rows.sum(axis=0, keepdims=True)
    if float(np.linalg.norm(total)) < _NOTHING * len(rows):
        return np.zeros_like(rows[0])
    return unit(total)[0]


def _cosine(one: Any, other: Any) -> float:  # noqa: ANN401 - rows of NumPy's
    np = need_numpy()
    a, b = one.astype(np.float64), other.astype(np.float64)
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))
