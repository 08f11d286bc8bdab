"""Embedding models by LangChain's names: `"provider:model"`, as its `init_embeddings` knows them.

Here: `named`, for `index={"embed": "cohere:embed-v4.0"}` where the `langchain` package is installed. Not here: `"openai:..."`,
which needs no LangChain (`openai.py`).
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from perdure.errors import EmbeddingError, QueryError
from perdure.store.base.embeddings import Embeddings

__all__ = ["named"]


def named(name: str) -> Embeddings:
    """The model that LangChain makes of this name.

    Raises:
        EmbeddingError: `langchain`, or the package that it wants for this provider, is not installed.
        QueryError: LangChain knows no such name.
    """
    if find_spec("langchain") is None:
        raise EmbeddingError(
            f"embed={name!r}: Perdure itself loads 'openai:MODEL'; other names are LangChain's, and the langchain package is"
            " not installed: pip install langchain, and what it wants for this provider. Or give a model, or a function"
            " from a list of texts to a list of vectors.",
            model=name,
        )
    init: Any = import_module("langchain.embeddings").init_embeddings
    try:
        return init(name)
    except ImportError as error:
        raise EmbeddingError(f"embed={name!r}: {error}", model=name) from error
    except ValueError as error:
        raise QueryError(f"index embed={name!r}: {error}", part="embed") from error
