"""The batched store, also under this name; it lives in `base/batch.py`."""

from perdure.store.base.batch import AsyncBatchedBaseStore

__all__ = ["AsyncBatchedBaseStore"]
