"""A store that lives as long as the process: `InMemoryStore`.

Here: opening it. What it does is `face.py`'s and `storage/item_store.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.storage.item_codec import ItemCodec
from perdure.storage.lifetimes import checked_config
from perdure.storage.memory import MemoryBackend
from perdure.storage.upkeep import KeepHistory, checked
from perdure.store.base import Contract, IndexConfig, TTLConfig
from perdure.store.face import codec_of
from perdure.store.swept import SweptStore

__all__ = ["InMemoryStore"]


class InMemoryStore(SweptStore):
    """A store in this process's memory: for tests, notebooks, and programs whose memory may end with them.

    It answers as the durable stores do, errors included: a value that could not be saved is refused here, too.

    Args:
        index: what of the items is found by words, and how; by default all texts of a value, in English.
        backend: the data to look at, shared with others that look at it; by default data of its own.
        codec: the encoding of the values, with how they are filed; `index` and `contracts` say nothing then.
        keep_history: which versions of items are kept (see `perdure.connect`); None: 30 days.
        indexes: checked, and of no use: what is in memory is listed without.
        ttl: how long items live; `{}`: for ever unless a put says otherwise; None: for ever, and `put(ttl=)` is refused.
        contracts: what items of some namespaces look like, looked at when they are put; None: whatever they like.

    Raises:
        ValueError: `keep_history` cannot be right.
        QueryError: an `index`, `ttl` or contract that cannot be right.
    """

    def __init__(
        self,
        *,
        index: IndexConfig | None = None,
        backend: MemoryBackend | None = None,
        codec: ItemCodec | None = None,
        keep_history: KeepHistory | None = None,
        ttl: TTLConfig | None = None,
        indexes: Sequence[str] = (),
        contracts: Sequence[Contract] | None = None,
    ) -> None:
        """Empty, unless a backend with data is given."""
        if codec is None:
            codec = codec_of(index, contracts=contracts)
        lives = checked_config(ttl)
        kept = None if keep_history is None else checked(keep_history)
        if backend is None:
            own = MemoryBackend()
            super().__init__(own, codec, let_go=own.close, keep_history=kept, ttl=lives, indexes=indexes)
        else:
            super().__init__(backend, codec, keep_history=kept, ttl=lives, indexes=indexes)
