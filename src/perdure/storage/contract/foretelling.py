"""Telling a snapshot what it will be asked: over a network, several answers cost no more time than one.

Nothing of this changes an answer: the same is asked of the same moment, earlier. What is foretold and never asked was fetched in vain,
so whoever foretells is nearly sure.
Here: `ForetoldAnswers`, what a snapshot can be told; `foretelling`, how it is found out whether it wants to know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

from perdure.storage.contract.marks import Namespace, Revision
from perdure.storage.contract.snapshot import Snapshot

__all__ = ["ForetoldAnswers", "WordsAsked", "foretelling"]


Asked: TypeAlias = Literal["checkpoint", "lineage", "writes", "following"]


class WordsAsked(NamedTuple):
    """What a search by words will most likely ask."""

    analysis: str  # the name of the index
    terms: tuple[str, ...]
    beginnings: tuple[str, ...]  # of terms
    completions: int  # how many terms a beginning stands for at most
    small: int  # of a subtree of more items, frequencies are asked before postings
    lapsed: int  # of how many expired items it wants to know; 0: it will not ask
    model: str | None  # whose vectors are asked for besides; None: nobody's


@runtime_checkable
class ForetoldAnswers(Protocol):
    """A snapshot that wants to know."""

    def foretell_words(self, prefix: Namespace, asked: WordsAsked, /) -> None:
        """A search for these words begins in this subtree."""
        ...

    def foretell_postings_in(self, refs: Sequence[int], index: str, terms: Sequence[str], /) -> None:
        """`postings_in` will be asked for each of these terms."""
        ...

    def foretell_rows(self, refs: Sequence[int], /) -> None:
        """`versions` will be asked for some of these, and `rows` for most."""
        ...

    def foretell_items(self, places: Sequence[tuple[Namespace, str]], /) -> None:
        """`item` will be asked for each of these."""
        ...

    def foretell_items_at(
        self, places: Sequence[tuple[Namespace, str]], revisions: Sequence[Revision], /
    ) -> None:
        """`item_at` will be asked for each of these, as of each of these. They are asked with whatever is asked next."""
        ...

    def foretell_checkpoint(self, thread: str, ns: str, id: str, questions: Sequence[Asked], /) -> None:
        """These questions will be asked of the checkpoint. They are asked with whatever is asked next."""
        ...


def foretelling(snapshot: Snapshot) -> ForetoldAnswers | None:
    """The snapshot as one that can be told; None: it is asked as fast one by one."""
    return snapshot if isinstance(snapshot, ForetoldAnswers) else None
