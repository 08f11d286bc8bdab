"""Embedding models by name: which integration loads which.

Here: the one table of them. An integration is imported when a name asks for it. Not here: what an embedder is
(`embeddings.py`), the models (`perdure.integrations`).
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from perdure.errors import QueryError
from perdure.store.base.embeddings import Embeddings
from perdure.store.base.ops import NotSupported

__all__ = ["named_embeddings"]

_OPENAI: Final = "perdure.integrations.openai"
_LANGCHAIN: Final = "perdure.integrations.langchain_models"


def named_embeddings(name: str, *, dims: int | None = None, base_url: str | None = None) -> Embeddings:
    """The model of this name.

    Args:
        name: `"openai:MODEL"`; `"PROVIDER:MODEL"` or `"langchain:PROVIDER:MODEL"`, which LangChain loads.
        dims: the length of the vectors, asked for where the model is known to give several.
        base_url: where the API is, for `"openai:..."`.

    Raises:
        QueryError: a name of another form, or a `base_url` for a model that has none.
        NotSupported: `"local"`: Perdure brings no model.
        EmbeddingError: what loads it is not installed, or there is no key.
    """
    provider, _, model = name.partition(":")
    if name == "local" or provider == "local":
        raise NotSupported(
            f"embed={name!r}: Perdure brings no embedding model of its own yet (docs/decisions/0012 says why). Search by words"
            " needs none. For meaning give 'openai:MODEL' with base_url= of a server on this machine, or any function from"
            " a list of texts to a list of vectors."
        )
    if not provider or not model:
        raise QueryError(
            f"index embed={name!r}: give 'PROVIDER:MODEL', such as 'openai:text-embedding-3-small', or a model, or a function"
            " from a list of texts to a list of vectors.",
            part="embed",
        )
    load: Any
    if provider == "openai":
        load = import_module(_OPENAI).named
        return load(model, dims=dims, base_url=base_url)
    if base_url is not None:
        raise QueryError(
            f"index base_url={base_url!r} is for 'openai:MODEL', not for {name!r}.", part="base_url"
        )
    load = import_module(_LANGCHAIN).named
    return load(model if provider == "langchain" else name)
