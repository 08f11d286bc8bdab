"""Texts to vectors by a user's model: in batches, some at once, each text at most once while it is remembered.

Here: `Embedder`. Not here: what a model is (`store/base/embeddings.py`), which texts an item has, where vectors go.
Never called inside a transaction or a snapshot.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import Any, Final, Literal, TypeAlias, cast

from perdure.errors import EmbeddingError
from perdure.storage.vectors.arrays import as_rows
from perdure.store.base.embeddings import Embeddings

__all__ = ["Distance", "Embedder"]

Distance: TypeAlias = Literal["cosine", "inner_product", "l2"]
_REMEMBERED: Final = 64 << 20  # bytes of vectors


class Embedder:
    """A model as a store uses it. Safe from any thread and any event loop.

    Attributes:
        name: of what makes the vectors: those of another name are never compared with these.
        dims: length of a vector.
        distance: how two are compared.
        defer: whether an item is written all the same when the model fails, to be embedded later.
        catches_up: whether a store embeds by itself what was put off.
        cache_bytes: of matrices that are kept between searches.
        by_index: whether large namespaces may be searched by an index of the database, where it has one.
    """

    def __init__(
        self,
        model: Embeddings,
        dims: int,
        *,
        name: str,
        distance: Distance = "cosine",
        fields: Sequence[str] | None = None,
        batch_size: int = 128,
        at_once: int = 4,
        defer: bool = False,
        catches_up: bool = False,
        cache_bytes: int = 1 << 30,
        owns: bool = False,
    ) -> None:
        """With the paths whose texts are embedded, each a vector of its own; None: the whole value as JSON.

        `owns`: the model was made for this, and is closed with it.
        """
        self._model = model
        self._owns = owns
        self.dims = dims
        self.distance: Distance = distance
        self.fields = ("$",) if fields is None else tuple(fields)
        self.name = f"vectors {name}/{dims} of {'|'.join(self.fields)}"
        self.defer = defer
        self.catches_up = catches_up
        self.cache_bytes = cache_bytes
        self.by_index = False
        self._batch_size = batch_size
        self._at_once = at_once
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, bytes] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Embedder {self.name} by {self._model!r}>"

    # -- documents ---------------------------------------------------------------------------------------------------

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """A vector a text, in order, as float32.

        Raises:
            EmbeddingError: the model failed, or gave what are no vectors of `dims` components.
        """
        found, missing = self._remembered(texts)
        if missing:
            batches = self._batches(missing)
            if len(batches) == 1:
                made = [self._asked(batches[0])]
            else:
                with ThreadPoolExecutor(min(self._at_once, len(batches)), "perdure-embed") as pool:
                    made = list(pool.map(self._asked, batches))
            found.update(self._learnt(batches, made))
        return [found[text] for text in texts]

    async def aembed(self, texts: Sequence[str]) -> list[bytes]:
        """As `embed`."""
        found, missing = self._remembered(texts)
        if missing:
            batches, gate = self._batches(missing), asyncio.Semaphore(self._at_once)

            async def asked(batch: list[str]) -> list[bytes]:
                async with gate:
                    return await self._aasked(batch)

            made = await asyncio.gather(*map(asked, batches))
            found.update(self._learnt(batches, made))
        return [found[text] for text in texts]

    def _batches(self, texts: list[str]) -> list[list[str]]:
        return [texts[at : at + self._batch_size] for at in range(0, len(texts), self._batch_size)]

    def _asked(self, batch: list[str]) -> list[bytes]:
        try:
            made: Any = self._model.embed_documents(batch)
        except Exception as error:
            raise self._failed(len(batch), error) from error
        return self._checked(made, len(batch))

    async def _aasked(self, batch: list[str]) -> list[bytes]:
        try:
            made: Any = await self._model.aembed_documents(batch)
        except Exception as error:
            raise self._failed(len(batch), error) from error
        return self._checked(made, len(batch))

    # -- questions ---------------------------------------------------------------------------------------------------

    def query(self, text: str) -> bytes:
        """The vector of a question. Raises EmbeddingError."""
        name = _hash("query", text)
        known = self._known.get(name)
        if known is None:
            try:
                made: Any = self._model.embed_query(text)
            except Exception as error:
                raise self._failed(1, error) from error
            known = self._learn_query(name, made)
        return known

    async def aquery(self, text: str) -> bytes:
        """As `query`."""
        name = _hash("query", text)
        known = self._known.get(name)
        if known is None:
            try:
                made: Any = await self._model.aembed_query(text)
            except Exception as error:
                raise self._failed(1, error) from error
            known = self._learn_query(name, made)
        return known

    def _learn_query(self, name: bytes, made: object) -> bytes:
        (vector,) = self._checked([made], 1)
        self._remember([(name, vector)])
        return vector

    # -- the end -----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """The model's connections are closed, if it was made for this. Again: nothing; used again, it opens new ones."""
        close = getattr(self._model, "close", None)
        if self._owns and callable(close):
            close()

    async def aclose(self) -> None:
        """As `close`, those of this event loop."""
        close = getattr(self._model, "aclose", None)
        if self._owns and callable(close):
            await cast("Awaitable[None]", close())

    # -- what is remembered ------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Nothing is remembered of any text from now on."""
        with self._lock:
            self._known.clear()

    def _remembered(self, texts: Sequence[str]) -> tuple[dict[str, bytes], list[str]]:
        found: dict[str, bytes] = {}
        missing: list[str] = []
        with self._lock:
            for text in dict.fromkeys(texts):
                name = _hash("text", text)
                vector = self._known.get(name)
                if vector is None:
                    missing.append(text)
                else:
                    self._known.move_to_end(name)
                    found[text] = vector
        return found, missing

    def _learnt(self, batches: list[list[str]], made: Sequence[list[bytes]]) -> dict[str, bytes]:
        new = {
            text: vector
            for batch, vectors in zip(batches, made, strict=True)
            for text, vector in zip(batch, vectors, strict=True)
        }
        self._remember([(_hash("text", text), vector) for text, vector in new.items()])
        return new

    def _remember(self, new: Iterable[tuple[bytes, bytes]]) -> None:
        most = max(1, _REMEMBERED // (4 * self.dims))
        with self._lock:
            self._known.update(new)
            while len(self._known) > most:
                self._known.popitem(last=False)

    # -- checks ------------------------------------------------------------------------------------------------------

    def _failed(self, texts: int, error: Exception) -> EmbeddingError:
        why = str(error).removesuffix(".") if isinstance(error, EmbeddingError) else repr(error)
        return EmbeddingError(
            f"the embedding model failed for {texts} text{'s' * (texts > 1)}: {why}. Nothing was written or found by"
            " it. Try again, or open the store with index={..., 'on_embed_error': 'defer'}, so that items are written all"
            " the same and embedded later.",
            model=self.name,
        )

    def _checked(self, made: object, texts: int) -> list[bytes]:
        return as_rows(made, texts, self.dims, self.name)


def _hash(kind: str, text: str) -> bytes:
    return blake2b(f"{kind}\0{text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
