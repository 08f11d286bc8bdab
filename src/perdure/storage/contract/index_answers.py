"""What a snapshot answers about words and vectors: what searches are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from perdure.storage.contract.disagreements import Disagreement
from perdure.storage.contract.items import ItemRow
from perdure.storage.contract.marks import Namespace, Standing

__all__ = ["IndexAnswers", "NearestAnswers", "Posting", "TextTotals", "VectorSpace"]


class TextTotals(NamedTuple):
    """The statistics of a subtree under one index: what weighs words."""

    items: int  # live items that have terms
    length: int  # their terms
    strays: int  # live items to be found that are not filed under this index: see `Snapshot.strays`


Posting: TypeAlias = tuple[int, int, int]
"""A term in an item: what the item is called (see `Snapshot.rows`), how often the term stands there, the item's length."""


class VectorSpace(NamedTuple):
    """One namespace's vectors of one model."""

    space: int  # what the namespace is called in this database
    items: int  # that have any
    changed: int  # seq of the last commit that changed any


class IndexAnswers(Protocol):
    """How items are filed and embedded. Items go by a number here, a ref, that says nothing outside of its snapshot."""

    def text_totals(self, prefix: Namespace, index: str) -> TextTotals:
        """The statistics of the subtree. One range of namespaces."""
        ...

    def postings(self, prefix: Namespace, index: str, term: str) -> list[Posting]:
        """The live items of the subtree that have the term, in any order."""
        ...

    def frequency(self, prefix: Namespace, index: str, term: str, most: int) -> int:
        """How many `postings` would give, counted up to `most`."""
        ...

    def postings_in(self, refs: Sequence[int], index: str, term: str) -> list[Posting]:
        """As `postings`, of these items only. One seek each."""
        ...

    def terms(self, prefix: Namespace, index: str, beginning: str, limit: int) -> list[str]:
        """Terms of the subtree's live items that begin so, in order. Some seeks for each such term of the database."""
        ...

    def strays(self, prefix: Namespace, index: str) -> list[ItemRow]:
        """The live items of the subtree that are to be found by words and are not filed under this index, by version."""
        ...

    def refs(self, places: Sequence[tuple[Namespace, str]]) -> dict[int, tuple[Namespace, str]]:
        """The live items among these, by what postings call them; a ref says nothing outside of its snapshot."""
        ...

    def versions(self, refs: Sequence[int]) -> dict[int, int]:
        """The version of each live item."""
        ...

    def rows(self, refs: Sequence[int]) -> dict[int, ItemRow]:
        """The live items."""
        ...

    def times(self, refs: Sequence[int]) -> dict[int, int]:
        """When each live item was written last (microseconds)."""
        ...

    def numbers(self, places: Sequence[tuple[Namespace, str]]) -> dict[tuple[Namespace, str], int]:
        """The number of each item that lives, or whose deletion is kept. One seek each.

        Of two in one namespace the one that was first written later has the greater. Says nothing outside of its snapshot.
        """
        ...

    def around(
        self, anchors: Sequence[tuple[Namespace, Standing]], count: int
    ) -> list[list[tuple[Standing, ItemRow]]]:
        """For each anchor the live items of its namespace that stand nearest: at most `count` on either side, in order.

        What stands at the anchor itself is left out. One question for all; ranges of at most `count` rows for each.
        """
        ...

    def text_lengths(self, refs: Sequence[int], index: str) -> dict[int, int]:
        """How many terms each live item is filed with under this index; those that have none are left out."""
        ...

    def disagreements(self) -> list[Disagreement]:
        """Where what is made of the items does not agree with them: see `disagreements.py`. Reads all of memory."""
        ...

    def vector_spaces(self, prefix: Namespace, model: str) -> list[VectorSpace]:
        """Namespaces of the subtree with vectors of this model, by namespace. One range of namespaces."""
        ...

    @property
    def source(self) -> object:
        """Stands for the backend: one object, the same for all its snapshots, that can be weakly referenced."""
        ...

    def vectors(self, space: int, model: str, after: int, start: int, limit: int) -> list[tuple[int, bytes]]:
        """(item, its vectors) of the namespace, by item, from item `start` on, at most `limit`.

        Only those written by a commit later than seq `after`; 0: all.
        """
        ...

    def embedded(self, space: int, model: str) -> list[int]:
        """The items of the namespace that have vectors, in order: as `vectors`, without them."""
        ...

    def owed(self, after: int, limit: int) -> list[ItemRow]:
        """The live items of the database whose vectors are owed (see `OWED`), by version, of those after `after`. One range."""
        ...


@runtime_checkable
class NearestAnswers(Protocol):
    """What a snapshot answers that has indexes of vectors: candidates, whose scores are computed from their vectors."""

    def nearest(
        self, space: VectorSpace, model: str, question: Sequence[float], distance: str, count: int
    ) -> list[tuple[int, bytes]] | None:
        """(item, its vectors) of some items of the namespace, by item: the `count` most alike among them, most likely.

        None: it does not know; all are to be compared.
        """
        ...
