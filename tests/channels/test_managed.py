from __future__ import annotations

from typing import get_args

import pytest

from perdure.channels import LastValue
from perdure.managed import IsLastStep, RemainingSteps, is_managed_value
from perdure.managed.is_last_step import IsLastStepManager, RemainingStepsManager


@pytest.mark.parametrize(("remaining", "last"), [(25, False), (2, False), (1, True)])
def test_the_last_step_is_the_one_with_one_left(remaining: int, last: bool) -> None:
    assert IsLastStepManager.get(remaining) is last
    assert RemainingStepsManager.get(remaining) == remaining


def test_an_annotation_leads_to_its_manager() -> None:
    assert get_args(IsLastStep) == (bool, IsLastStepManager)
    assert get_args(RemainingSteps) == (int, RemainingStepsManager)


@pytest.mark.parametrize("thing", [IsLastStepManager, RemainingStepsManager])
def test_a_manager_is_recognised(thing: object) -> None:
    assert is_managed_value(thing)


@pytest.mark.parametrize("thing", [LastValue, LastValue(int), int, None, "IsLastStepManager", IsLastStep])
def test_nothing_else_is_taken_for_a_manager(thing: object) -> None:
    assert not is_managed_value(thing)
