"""Words of the whole contract: where an item is, which checkpoint, which commit."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

__all__ = ["Chained", "Namespace", "Revision", "Standing"]

Namespace: TypeAlias = tuple[str, ...]
Chained: TypeAlias = tuple[str, str, str]
"""A checkpoint in its chain: (thread, ns, id)."""
Standing: TypeAlias = tuple[int, int]
"""Where an item stands in its namespace: when it was made (microseconds), and its number (see `Snapshot.numbers`)."""


class Revision(NamedTuple):
    """An opaque, ordered mark of one commit. Greater means later, within one database."""

    epoch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Revision:
        """The revision that `str()` printed. Raises ValueError for anything else."""
        epoch, _, seq = text.partition(".")
        return cls(int(epoch), int(seq))
