"""Texts to vectors: what an embedder is, and functions as embedders.

Here: the protocol, and `ensure_embeddings`, which makes one of whatever a user has. Not here: models by name (`named.py`).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias, cast, runtime_checkable

from typing_extensions import TypedDict

__all__ = ["AEmbeddingsFunc", "EmbedLike", "Embeddings", "EmbeddingsFunc", "IndexConfig", "ensure_embeddings"]


@runtime_checkable
class Embeddings(Protocol):
    """Texts to vectors of one length. LangChain's embedding models fit as they are."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """One vector a text, in order."""
        ...

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question about such texts."""
        ...

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As `embed_documents`."""
        ...

    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`."""
        ...


EmbeddingsFunc: TypeAlias = Callable[[Sequence[str]], list[list[float]]]
AEmbeddingsFunc: TypeAlias = Callable[[Sequence[str]], Awaitable[list[list[float]]]]
EmbedLike: TypeAlias = Embeddings | EmbeddingsFunc | AEmbeddingsFunc | str


class IndexConfig(TypedDict, total=False):
    """What of the items is found, and how.

    Attributes:
        dims: length of the vectors.
        embed: an embedder, a function (async or not) from texts to vectors, or a model's name: `"openai:MODEL"`.
        base_url: where the API of `"openai:MODEL"` is, unless `OPENAI_BASE_URL` says so: any server that speaks it.
        fields: paths into the value; unless given, or with `["$"]`: all of it.
        distance: how vectors are compared, `"cosine"` unless given.
        model: names the model, so that vectors of another one are never compared with its; by default what the embedder
            calls its `model`.
        on_embed_error: `"raise"`, so that nothing is written when the model fails, unless given; `"defer"`: items are written
            all the same, and embedded later.
        catch_up: whether a thread of the store embeds what was put off, True unless given; else `reindex()` does.
        batch_size: texts that the model is asked for at once, 128 unless given.
        max_concurrency: batches that it is asked for at the same time, 4 unless given.
        cache_bytes: of matrices that are kept in memory between searches, 1 GiB unless given.
        language: of the texts, `"english"` unless given: which endings are cut off, which words mean nothing.
        text: False: nothing is found by words.
    """

    dims: int
    embed: EmbedLike
    base_url: str
    fields: list[str] | None
    distance: Literal["cosine", "inner_product", "l2"]
    model: str
    on_embed_error: Literal["raise", "defer"]
    catch_up: bool
    batch_size: int
    max_concurrency: int
    cache_bytes: int
    language: str
    text: bool


class _FromFunction:
    """An embedder over one function. An async function serves blocking callers only where no loop runs."""

    def __init__(self, func: EmbeddingsFunc | AEmbeddingsFunc) -> None:
        self._func = func

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        made = self._func(texts)
        return asyncio.run(_awaited(made)) if inspect.isawaitable(made) else made

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        if _is_async(self._func):
            return await _awaited(self._func(texts))
        made = await asyncio.to_thread(self._func, texts)
        return await made if inspect.isawaitable(made) else made

    async def aembed_query(self, text: str) -> list[float]:
        return (await self.aembed_documents([text]))[0]

    def __repr__(self) -> str:
        return f"<embeddings by {getattr(self._func, '__qualname__', self._func)!s}>"


def ensure_embeddings(embed: EmbedLike | None) -> Embeddings:
    """An embedder, made of what was given.

    Args:
        embed: an object with `embed_documents`, which is returned as it is, or a function from a list of texts to a
            list of vectors; it may be async. Or a model's name, such as `"openai:text-embedding-3-small"`.

    Raises:
        EmbeddingError: a name, and what loads it is not installed.
        ValueError: None, or what is no name.
        TypeError: anything else.
    """
    if embed is None:
        raise ValueError("embed is None: give an embedding model, or a function from texts to vectors.")
    if isinstance(embed, str):
        from perdure.store.base.named import named_embeddings

        return named_embeddings(embed)
    if hasattr(embed, "embed_documents"):
        return cast("Embeddings", embed)
    if callable(embed):
        return _FromFunction(embed)
    raise TypeError(
        f"embed is a {type(embed).__name__}: give an embedding model, or a function from texts to vectors."
    )


def _is_async(func: object) -> bool:
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(getattr(func, "__call__", None))  # noqa: B004 - not whether, but how it is called


async def _awaited(made: Any) -> list[list[float]]:  # noqa: ANN401 - narrowed by the caller
    return await made
