"""How much of the recursion limit is left. Imports `base`."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from typing_extensions import override

from perdure.managed.base import ManagedValue

__all__ = ["IsLastStep", "IsLastStepManager", "RemainingSteps", "RemainingStepsManager"]


class IsLastStepManager(ManagedValue[bool]):
    """True in the last step that the recursion limit allows."""

    @staticmethod
    @override
    def get(remaining: int) -> bool:
        return remaining <= 1


class RemainingStepsManager(ManagedValue[int]):
    """The steps that the recursion limit still allows, this one included."""

    @staticmethod
    @override
    def get(remaining: int) -> int:
        return remaining


IsLastStep: TypeAlias = Annotated[bool, IsLastStepManager]
"""Annotation of a key that tells a node whether this is the last step allowed."""

RemainingSteps: TypeAlias = Annotated[int, RemainingStepsManager]
"""Annotation of a key that tells a node how many steps are left, 1 on the last."""
