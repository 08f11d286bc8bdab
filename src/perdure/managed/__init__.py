"""Keys of a node's input that no channel holds: the engine works them out for each task. Imports nothing of Perdure."""

from perdure.managed.base import ManagedValue, is_managed_value
from perdure.managed.is_last_step import IsLastStep, RemainingSteps

__all__ = ["IsLastStep", "ManagedValue", "RemainingSteps", "is_managed_value"]
