"""Embedding models behind OpenAI's API, or any server that speaks it, by the official `openai` package.

Here: `OpenAIEmbeddings`, and `named`, which makes one of a name (`index={"embed": "openai:MODEL"}`). Retries, time-outs and
connections are the package's; it is imported at the first text. Not here: batches, remembering, what becomes of a failure
(`storage/vectors/embedder.py`).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from perdure.errors import EmbeddingError

__all__ = ["OpenAIEmbeddings", "named"]

_TIMEOUT: Final = 60.0  # seconds, of one attempt: the package's own ten minutes would hold a step for so long
_SHORTENED: Final = "text-embedding-3"  # models of these names give vectors of the length that is asked for
_WHY: Final = {
    400: "it refused the texts",
    401: "it refused the key: set OPENAI_API_KEY, or api_key= of OpenAIEmbeddings",
    403: "the key may not use this model",
    404: "it knows no such model, or the base URL is not that of an API",
    429: "it takes no more requests now, or the account has no credit",
}


class OpenAIEmbeddings:
    """A model by its name, as an embedder for `index={"embed": ...}`. Safe from any thread and any event loop.

    Blocking calls share one client; every event loop has one of its own, since connections belong to a loop. Whoever makes
    this object closes it; a store closes those that it made of a name.

    Args:
        model: as the server knows it, e.g. `"text-embedding-3-small"`.
        dims: the length of vectors that is asked for; None: the server is not asked, as many know no such question.
        base_url: where the API is; None: `OPENAI_BASE_URL` of the environment, else OpenAI's own.
        api_key: None: `OPENAI_API_KEY` of the environment. A server of your own often wants none.
        timeout: seconds, of one attempt.
        max_retries: attempts after the first, for failures that may pass, rate limits too.

    Attributes:
        model: `"openai:"` and the name: what tells its vectors from another model's.

    Raises:
        EmbeddingError: `openai` is not installed, or there is no key for OpenAI itself. Later: the server failed.
    """

    def __init__(
        self,
        model: str,
        *,
        dims: int | None = None,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = _TIMEOUT,
        max_retries: int = 2,
    ) -> None:
        self.model = f"openai:{model}"
        self._model = model
        self._dims = dims
        self._base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        self._key = api_key or os.environ.get("OPENAI_API_KEY") or None
        self._options: dict[str, Any] = {"timeout": timeout, "max_retries": max_retries}
        self._lock = threading.Lock()
        self._client: Any = None
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, _Living] = WeakKeyDictionary()
        if find_spec("openai") is None:
            raise EmbeddingError(
                f"embed={self.model!r} needs the openai package, which is not installed: pip install"
                " 'perdure[openai,search]'.",
                model=self.model,
            )
        if self._key is None and self._base_url is None:
            raise EmbeddingError(
                f"embed={self.model!r}: there is no key. Set OPENAI_API_KEY in the environment; for a server of your own,"
                " give its base_url.",
                model=self.model,
            )

    def __repr__(self) -> str:
        return f"<OpenAIEmbeddings {self._model} at {self._base_url or 'api.openai.com'}>"

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector a text, in order. Raises EmbeddingError."""
        with self._lock:
            if self._client is None:
                self._client = self._made("OpenAI")
            client = self._client
        try:
            return _vectors(client.embeddings.create(**self._request(texts)))
        except Exception as error:
            raise self._failed(error) from error

    def embed_query(self, text: str) -> list[float]:
        """The vector of a question. Raises EmbeddingError."""
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: Sequence[str]) -> list[list[float]]:
        """As `embed_documents`."""
        client = await self._of_loop()
        try:
            return _vectors(await client.embeddings.create(**self._request(texts)))
        except Exception as error:
            raise self._failed(error) from error

    async def _of_loop(self) -> Any:
        """This event loop's client."""
        loop = asyncio.get_running_loop()
        with self._lock:
            living = self._clients.get(loop)
        if living is None:
            await asyncio.to_thread(import_module, "openai")  # half a second, not on the loop
            with self._lock:
                living = self._clients.setdefault(loop, _Living(self._made("AsyncOpenAI")))
            await living.begin()
        return living.client

    async def aembed_query(self, text: str) -> list[float]:
        """As `embed_query`."""
        return (await self.aembed_documents([text]))[0]

    def close(self) -> None:
        """Lets go of all connections; those of an event loop that runs elsewhere, as soon as that gets to it.

        Again: nothing. A later call opens new ones.
        """
        with self._lock:
            client, self._client = self._client, None
            clients = list(self._clients.items())
            self._clients.clear()
        if client is not None:
            client.close()
        for loop, its in clients:
            if loop.is_running():  # else its connections ended with it
                asyncio.run_coroutine_threadsafe(its.end(), loop)

    async def aclose(self) -> None:
        """As `close`; those of this event loop are closed when it returns."""
        with self._lock:
            living = self._clients.pop(asyncio.get_running_loop(), None)
        if living is not None:
            await living.end()
        self.close()

    def _made(self, kind: str) -> Any:
        """A client. The caller holds the lock."""
        make = getattr(import_module("openai"), kind)
        # A server of your own may want no key; the package wants one, whatever it is.
        return make(api_key=self._key or "none", base_url=self._base_url, **self._options)

    def _request(self, texts: Sequence[str]) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "model": self._model,
            "input": [text or " " for text in texts],
        }  # "" is refused
        if self._dims is not None:
            asked["dimensions"] = self._dims
        return asked

    def _failed(self, error: Exception) -> EmbeddingError:
        status: object = getattr(error, "status_code", None)
        at = self._base_url or "api.openai.com"
        if isinstance(status, int):
            why = _WHY.get(status, "it failed")
            text = f"{at} answered {status} for {self._model!r}: {why}. It says: {_message(error)}"
        else:
            text = f"{at} gave no answer for {self._model!r}: {error!r}"
        return EmbeddingError(text, model=self.model)


class _Living:
    """A client of one event loop, closed when the loop ends: as an open generator, which loops close at their end."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._life = self._lives()
        self._begun = False

    async def _lives(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await self.client.close()

    async def begin(self) -> None:
        """The loop knows of it from now on. Again: nothing."""
        if not self._begun:
            self._begun = True
            await anext(self._life)

    async def end(self) -> None:
        """Closes the client."""
        await self._life.aclose()


def named(model: str, *, dims: int | None, base_url: str | None) -> OpenAIEmbeddings:
    """The embedder of an index that has `"openai:MODEL"`: it asks for `dims` where the model is known to give that."""
    return OpenAIEmbeddings(model, dims=dims if model.startswith(_SHORTENED) else None, base_url=base_url)


def _vectors(answer: Any) -> list[list[float]]:
    return [row.embedding for row in sorted(answer.data, key=lambda row: row.index)]


def _message(error: Exception) -> str:
    body: object = getattr(error, "body", None)
    said = cast("dict[str, object]", body).get("message") if isinstance(body, dict) else None
    return str(said or error)[:500]
