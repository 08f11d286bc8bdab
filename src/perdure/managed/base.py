"""The contract of a managed value. Imports nothing of Perdure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeGuard

from typing_extensions import TypeVar

__all__ = ["ManagedValue", "is_managed_value"]

V = TypeVar("V")
"""What a task is shown."""


class ManagedValue(ABC, Generic[V]):
    """How to work out a managed value. Used as a class: `Annotated[int, RemainingStepsManager]`."""

    @staticmethod
    @abstractmethod
    def get(remaining: int) -> V:
        """The value for a task.

        Args:
            remaining: steps that the recursion limit still allows, this one included: 1 on the last.
        """


def is_managed_value(thing: object) -> TypeGuard[type[ManagedValue[object]]]:
    """True for classes that work out a managed value, as found in an annotation."""
    return isinstance(thing, type) and issubclass(thing, ManagedValue)
