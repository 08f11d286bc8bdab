"""Helpers for graphs that remember: nodes that recall and store, tidying up, and text for prompts. None needs a model.

Here: the public names. The nodes work on the store that their graph was compiled with, so what they write commits with
the step. Everything is built on what every store of Perdure's can do; nothing here is needed to use a store.
"""

from perdure.memory.consolidating import aconsolidate, consolidate, consolidation
from perdure.memory.formatting import format_memories
from perdure.memory.merging import Consolidated, Merge, Merged
from perdure.memory.node import MemoryNode
from perdure.memory.recalling import Recalled, recall
from perdure.memory.remembering import content_key, remember
from perdure.memory.tokens import estimate_tokens

__all__ = [
    "Consolidated",
    "MemoryNode",
    "Merge",
    "Merged",
    "Recalled",
    "aconsolidate",
    "consolidate",
    "consolidation",
    "content_key",
    "estimate_tokens",
    "format_memories",
    "recall",
    "remember",
]
