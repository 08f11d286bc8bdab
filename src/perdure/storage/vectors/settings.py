"""What a store's `index=` says about vectors: the model, their length, how they are compared.

Here: `embedder_of`, the setting to what embeds. Not here: words.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perdure.errors import QueryError
from perdure.storage.text.settings import fields_of
from perdure.storage.vectors.arrays import need_numpy
from perdure.storage.vectors.embedder import Embedder
from perdure.store.base.embeddings import ensure_embeddings
from perdure.store.base.named import named_embeddings

__all__ = ["embedder_of"]

_DISTANCES = ("cosine", "inner_product", "l2")


def embedder_of(index: Mapping[str, Any] | None) -> Embedder | None:
    """What embeds for a store with this setting; None: nothing.

    Raises:
        QueryError: a setting that cannot be right; `part` names it.
        EmbeddingError: NumPy, or what loads the model of that name, is not installed.
    """
    given = index or {}
    embed, dims = given.get("embed"), given.get("dims")
    base_url = given.get("base_url")
    if base_url is not None and not (isinstance(base_url, str) and isinstance(embed, str)):
        raise QueryError(
            f"index base_url={base_url!r}: give a URL, beside embed='openai:MODEL'.", part="base_url"
        )
    if embed is None and dims is None:
        return None
    if embed is None:
        raise QueryError("index has dims but no embed: give the embedding model, too.", part="embed")
    if isinstance(dims, bool) or not isinstance(dims, int) or not 0 < dims <= 1 << 16:
        raise QueryError(
            f"index dims={dims!r}: give the length of the model's vectors, an integer from 1 to 65536.",
            part="dims",
        )
    distance = given.get("distance", given.get("distance_type", "cosine"))
    if distance not in _DISTANCES:
        raise QueryError(
            f"index distance={distance!r}: give one of {', '.join(_DISTANCES)}.", part="distance"
        )
    on_error = given.get("on_embed_error", "raise")
    if on_error not in ("raise", "defer"):
        raise QueryError(
            f"index on_embed_error={on_error!r}: give 'raise' or 'defer'.", part="on_embed_error"
        )
    catch_up = given.get("catch_up", True)
    if not isinstance(catch_up, bool):
        raise QueryError(f"index catch_up={catch_up!r}: give True or False.", part="catch_up")
    name = given.get("model") or _name_of(embed)
    if not isinstance(name, str):
        raise QueryError(f"index model={name!r}: give a name, a string.", part="model")
    need_numpy()
    by_name = isinstance(embed, str)
    model = named_embeddings(embed, dims=dims, base_url=base_url) if by_name else ensure_embeddings(embed)
    return Embedder(
        model,
        dims,
        owns=by_name,
        name=name,
        distance=distance,
        fields=fields_of(given),
        batch_size=_number(given, "batch_size", 128),
        at_once=_number(given, "max_concurrency", 4),
        defer=on_error == "defer",
        catches_up=on_error == "defer" and catch_up,
        cache_bytes=_number(given, "cache_bytes", 1 << 30),
    )


def _number(given: Mapping[str, Any], name: str, default: int) -> int:
    number = given.get(name, default)
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise QueryError(f"index {name}={number!r}: give an integer of at least 1.", part=name)
    return number


def _name_of(embed: object) -> str:
    """What tells one model's vectors from another's, where the user does not say: its own name, else its class's."""
    if isinstance(embed, str):
        return embed
    for attribute in ("model", "model_name"):
        name = getattr(embed, attribute, None)
        if isinstance(name, str) and name:
            return name
    return "default"
