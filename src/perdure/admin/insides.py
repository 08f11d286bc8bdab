"""What is behind a `Database`'s faces: its encodings, its threads one by one."""

from __future__ import annotations

from collections.abc import Iterator

from perdure.codec import Codec
from perdure.database import Database
from perdure.storage.item_codec import ItemCodec

__all__ = ["codec_of", "item_codec_of", "threads_of"]


def codec_of(db: Database) -> Codec:
    """What reads and writes the values of its threads."""
    handle = db.checkpointer.__perdure_backend__
    assert handle is not None  # noqa: S101 - an open saver of ours has one
    assert isinstance(handle.pieces, Codec)  # noqa: S101 - `Database` makes no other
    return handle.pieces


def item_codec_of(db: Database) -> ItemCodec:
    """What reads and writes its items."""
    handle = db.store.__perdure_backend__
    assert handle is not None  # noqa: S101 - an open store of ours has one
    return handle.codec


def threads_of(db: Database) -> Iterator[str]:
    """All ids of threads, in order, each page of a moment of its own."""
    after: str | None = None
    while page := db.threads(after=after, limit=200):
        yield from page
        after = page[-1]
