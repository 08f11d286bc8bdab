"""One key of the state, and what several writes to it mean: a small contract and its kinds.

Imports `errors`, `constants`, `types`; imported by `graph` and whatever runs one.
"""

from perdure.channels.any_value import AnyValue
from perdure.channels.base import MISSING, BaseChannel, Missing
from perdure.channels.binop import BinaryOperatorAggregate
from perdure.channels.delta import DeltaChannel
from perdure.channels.ephemeral_value import EphemeralValue
from perdure.channels.last_value import LastValue, LastValueAfterFinish
from perdure.channels.named_barrier_value import NamedBarrierValue, NamedBarrierValueAfterFinish
from perdure.channels.topic import Topic
from perdure.channels.untracked_value import UntrackedValue

__all__ = [
    "MISSING",
    "AnyValue",
    "BaseChannel",
    "BinaryOperatorAggregate",
    "DeltaChannel",
    "EphemeralValue",
    "LastValue",
    "LastValueAfterFinish",
    "Missing",
    "NamedBarrierValue",
    "NamedBarrierValueAfterFinish",
    "Topic",
    "UntrackedValue",
]
