"""Indexes of large namespaces' vectors: what they are asked for as, and who looks after them.

Here: `ann_index_config`, checked, and the thread that it starts. Not here: what an index is (`storage/postgres/near.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from perdure.errors import QueryError
from perdure.storage.contract import Backend
from perdure.storage.item_codec import ItemCodec
from perdure.store.base import IndexConfig

if TYPE_CHECKING:
    from perdure.storage.postgres.near import Setting

__all__ = [
    "ANNIndexConfig",
    "HNSWConfig",
    "IVFFlatConfig",
    "PostgresIndexConfig",
    "checked_index",
    "near_of",
    "tended",
]

_LARGEST = {"m": 100, "ef_construction": 1000, "nlist": 32768}  # as the extension has it


class ANNIndexConfig(TypedDict, total=False):
    """An index of large namespaces' vectors by the extension `vector`, for searches by meaning alone: `docs/reference/search.md`.

    Attributes:
        kind: of index, `"hnsw"` unless given; `"flat"`: none, vectors are compared exactly.
        vector_type: what the index is made of, half the bytes unless `"vector"`; scores are of the whole vectors all the same.
    """

    kind: Literal["hnsw", "ivfflat", "flat"]
    vector_type: Literal["vector", "halfvec", "bit"]


class HNSWConfig(ANNIndexConfig, total=False):
    """As `ANNIndexConfig`."""

    m: int
    ef_construction: int


class IVFFlatConfig(ANNIndexConfig, total=False):
    """As `ANNIndexConfig`."""

    nlist: int


class PostgresIndexConfig(IndexConfig, total=False):
    """As `IndexConfig`.

    Attributes:
        ann_index_config: an index of vectors; without it they are compared exactly.
        distance_type: another name of `distance`.
    """

    ann_index_config: ANNIndexConfig
    distance_type: Literal["l2", "inner_product", "cosine"]


def near_of(index: IndexConfig | PostgresIndexConfig | None, codec: ItemCodec) -> Setting | None:
    """How large namespaces' vectors are to be indexed; None: they are compared exactly."""
    from perdure.storage.postgres.near import setting_of  # psycopg may not be installed

    embedder = codec.embedder
    if index is None or embedder is None or codec.cipher is not None or "ann_index_config" not in index:
        return None
    found = setting_of(dict(index["ann_index_config"]), embedder.dims, embedder.distance)
    embedder.by_index = found is not None
    return found


def checked_index(index: IndexConfig | PostgresIndexConfig | None) -> IndexConfig | None:
    """The configuration without what is the database's.

    Raises:
        QueryError: `ann_index_config` cannot be right.
    """
    if index is None or "ann_index_config" not in index:
        return index
    rest: dict[str, Any] = dict(index)
    asked: object = rest.pop("ann_index_config")
    given = cast("dict[object, object]", asked) if isinstance(asked, dict) else {"": asked}
    known = {"kind", "vector_type", "m", "ef_construction", "nlist"}
    if given.keys() - known or given.get("kind", "hnsw") not in ("hnsw", "ivfflat", "flat"):
        raise QueryError(
            f"index['ann_index_config']={asked!r}: a dict with kind ('hnsw', 'ivfflat', 'flat'), vector_type, m,"
            " ef_construction, nlist.",
            part="ann_index_config",
        )
    for name in ("m", "ef_construction", "nlist"):
        number = given.get(name, 1)
        if type(number) is not int or not 1 <= number <= _LARGEST[name]:
            raise QueryError(
                f"index['ann_index_config']: {name}={number!r}; give an integer from 1 to {_LARGEST[name]}.",
                part="ann_index_config",
            )
    return cast("IndexConfig", rest)


def tended(backend: Backend, codec: ItemCodec, near: Setting | None) -> Callable[[], None]:
    """Indexes of large namespaces are made and refreshed from now on; what ends that."""
    from perdure.storage.postgres import PostgresBackend
    from perdure.storage.postgres.tending import Tending

    embedder = codec.embedder
    if near is None or embedder is None or not isinstance(backend, PostgresBackend):
        return lambda: None
    return Tending(backend, embedder.name, near).stop
