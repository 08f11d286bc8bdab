"""The interface of every store: what can be asked, and what comes back.

Here: the abstract `BaseStore`, its operations and items, paths into values, embedding adapters. Anybody's store may
derive from it. Not here: how a Perdure store answers (`storage/item_store.py`), databases.
A lowest-layer room: imports `errors`, `clock`, `typing`; anybody may import it.
"""

from perdure.store.base.bulk import Putting
from perdure.store.base.contract import Contract
from perdure.store.base.embeddings import (
    AEmbeddingsFunc,
    Embeddings,
    EmbeddingsFunc,
    EmbedLike,
    IndexConfig,
    ensure_embeddings,
)
from perdure.store.base.interface import BaseStore
from perdure.store.base.items import Item, SearchItem
from perdure.store.base.ops import (
    NOT_PROVIDED,
    GetOp,
    InvalidNamespaceError,
    ListNamespacesOp,
    MatchCondition,
    NamespaceMatchType,
    NamespacePath,
    NotProvided,
    NotSupported,
    Op,
    PutOp,
    Result,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)
from perdure.store.base.paths import get_text_at_path, tokenize_path
from perdure.store.base.ranking import Importance, RankBy, Recency, Rerank, Reranked

__all__ = [
    "NOT_PROVIDED",
    "AEmbeddingsFunc",
    "BaseStore",
    "Contract",
    "EmbedLike",
    "Embeddings",
    "EmbeddingsFunc",
    "GetOp",
    "Importance",
    "IndexConfig",
    "InvalidNamespaceError",
    "Item",
    "ListNamespacesOp",
    "MatchCondition",
    "NamespaceMatchType",
    "NamespacePath",
    "NotProvided",
    "NotSupported",
    "Op",
    "PutOp",
    "Putting",
    "RankBy",
    "Recency",
    "Rerank",
    "Reranked",
    "Result",
    "SearchItem",
    "SearchOp",
    "TTLConfig",
    "ensure_embeddings",
    "get_text_at_path",
    "tokenize_path",
    "validate_op_namespace",
]
