"""What reads of a store give: `Item`, and `SearchItem` with its score.

Plain values, detached from the database: changing one changes nothing but itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

__all__ = ["Item", "SearchItem"]


class Item:
    """One memory: a JSON object with its place and its times.

    Two items are equal if place, value and times are; marks of the database (`version`, `revision`) are not compared,
    so that answers of two databases can be, nor when it ends, which reading may change.

    Attributes:
        value: the JSON object, a copy of its own.
        key: unique in its namespace.
        namespace: the path it is filed under.
        created_at: when the key was first written; kept over replacements, begun anew after a deletion.
        updated_at: when this value was written; not before `created_at`.
        version: mark for `put(..., if_version=)`, never reused; negative: written by this very task and not committed
            yet; None: not known.
        revision: opaque mark of the commit that wrote it; None: not known.
        expires_at: when it ends unless it is written or read before; None: never, or it is not committed yet.
        ttl: minutes that it lives anew when it is read; None: it does not.
    """

    __slots__ = (
        "created_at",
        "expires_at",
        "key",
        "namespace",
        "revision",
        "ttl",
        "updated_at",
        "value",
        "version",
    )

    def __init__(
        self,
        *,
        value: dict[str, Any],
        key: str,
        namespace: tuple[str, ...],
        created_at: datetime,
        updated_at: datetime,
        version: int | None = None,
        revision: str | None = None,
        expires_at: datetime | None = None,
        ttl: float | None = None,
    ) -> None:
        """Times may be ISO 8601 text and the namespace a list, as they are in JSON."""
        self.value = value
        self.key = key
        self.namespace = tuple(namespace)
        self.created_at = datetime.fromisoformat(created_at) if isinstance(created_at, str) else created_at
        self.updated_at = datetime.fromisoformat(updated_at) if isinstance(updated_at, str) else updated_at
        self.version = version
        self.revision = revision
        self.expires_at = expires_at
        self.ttl = ttl

    def dict(self) -> dict[str, Any]:
        """The item as JSON has it: the namespace as a list, times as ISO 8601 text. Without marks and ends."""
        return {
            "namespace": list(self.namespace),
            "key": self.key,
            "value": self.value,
            "created_at": self.created_at.isoformat(),
            "updated_at": self.updated_at.isoformat(),
        }

    def _facts(self) -> tuple[object, ...]:
        return (self.namespace, self.key, self.value, self.created_at, self.updated_at)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Item):
            return NotImplemented
        return self._facts() == other._facts()

    def __hash__(self) -> int:
        return hash((self.namespace, self.key))

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value!r}" for name, value in self.dict().items())
        return f"{type(self).__name__}({facts})"


class SearchItem(Item):
    """An item found by a search.

    Attributes:
        score: how well it fits the query, greater is better; None where nothing was ranked.
        cursor: opaque text for `search(..., after=)`, which goes on behind this item; None where the search was ranked,
            and from stores that have no cursors. A mark of the database, like `version`: not compared.
        explanation: with `explain=True`, where the score came from; not compared.
        neighbour_of: with `neighbours=`, the key of the item found that this one came with, from the same namespace; None:
            it was found itself. Not compared.
    """

    __slots__ = ("cursor", "explanation", "neighbour_of", "score")

    def __init__(
        self,
        namespace: tuple[str, ...],
        key: str,
        value: dict[str, Any],
        created_at: datetime,
        updated_at: datetime,
        score: float | None = None,
        *,
        version: int | None = None,
        revision: str | None = None,
        cursor: str | None = None,
        explanation: Mapping[str, Any] | None = None,
        expires_at: datetime | None = None,
        ttl: float | None = None,
        neighbour_of: str | None = None,
    ) -> None:
        """As an `Item`, by position or by name."""
        super().__init__(
            value=value,
            key=key,
            namespace=namespace,
            created_at=created_at,
            updated_at=updated_at,
            version=version,
            revision=revision,
            expires_at=expires_at,
            ttl=ttl,
        )
        self.score = score
        self.cursor = cursor
        self.explanation = explanation
        self.neighbour_of = neighbour_of

    def dict(self) -> dict[str, Any]:
        """The item as JSON has it, with its score."""
        return {**super().dict(), "score": self.score}

    def _facts(self) -> tuple[object, ...]:
        return (*super()._facts(), self.score)
