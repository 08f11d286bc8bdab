"""What stores tell of their past: versions, differences, provenance, reports of taking back and forgetting.

Here: the names. What they are is `storage`'s: `versions.py`, `reverting.py`, `forgetting.py`, `past_store.py`.
"""

from perdure.storage.contract import Origin
from perdure.storage.forgetting import Forgotten
from perdure.storage.moments import Moment
from perdure.storage.past_store import PastStore
from perdure.storage.reverting import RevertConflict, Reverted
from perdure.storage.versions import Blame, Difference, ItemVersion

__all__ = [
    "Blame",
    "Difference",
    "Forgotten",
    "ItemVersion",
    "Moment",
    "Origin",
    "PastStore",
    "RevertConflict",
    "Reverted",
]
