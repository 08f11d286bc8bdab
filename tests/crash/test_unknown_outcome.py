"""A commit that was made, though the caller was told that nobody knows: it is asked for, not repeated, not given up."""

from __future__ import annotations

from typing import Any

import pytest

from crash.kit import Kept, in_turn
from crash.program import drawn, go_on, memory_of
from crash.test_faults import NAME, over
from databases import KINDS as ALL
from perdure.errors import Unavailable
from perdure.storage.contract import Backend
from perdure.testing.digests import digest
from perdure.testing.faulty import Faulty, Moment

KINDS = pytest.mark.parametrize("kind", ALL)


class Lost(Faulty):
    """After the fault nobody answers any more, not even who asks what became of the commit."""

    def read(self) -> Any:
        if self.fired:
            raise Unavailable("the connection is gone", operation="read")
        return super().read()


@KINDS
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_run_goes_on_over_a_commit_whose_answer_was_lost(kind: str, durability: str, kept: Kept) -> None:
    with kept(kind) as backend:
        counted = Faulty(backend)
        go_on(drawn().compile(over(counted)), NAME, durability=durability)
        clean, memory = digest(over(backend)), in_turn(memory_of(over(backend)))
    fired = 0
    for number in range(1, counted.commits + 1, 1 if durability == "exit" else 7):
        with kept(kind) as backend:
            faulty = Faulty(backend, Moment("after", number), "raise")

            go_on(drawn().compile(over(faulty)), NAME, durability=durability)

            fired += (
                faulty.fired
            )  # the last ones need not be met: how tasks are recorded depends on how fast they are
            assert digest(over(backend)) == clean
            assert in_turn(memory_of(over(backend))) == memory
    assert fired >= min(3, counted.commits)


@KINDS
async def test_memory_written_outside_of_a_run_is_asked_for_too(kind: str, kept: Kept) -> None:
    def lost_answer(backend: Backend) -> Any:
        return over(Faulty(backend, Moment("after", 1), "raise")).store

    with kept(kind) as backend:
        lost_answer(backend).put(("n",), "a", {"v": 1})
        await lost_answer(backend).aput(("n",), "b", {"v": 1})
        lost_answer(backend).update(("n",), "a", lambda item: {"v": item["v"] + 1})

        store = over(backend).store
        assert store.get(("n",), "a").value == {"v": 2}
        assert store.get(("n",), "b").value == {"v": 1}


@KINDS
def test_where_nobody_answers_the_error_says_that_the_outcome_is_unknown(kind: str, kept: Kept) -> None:
    with kept(kind) as backend:
        store: Any = over(Lost(backend, Moment("after", 1), "raise")).store

        with pytest.raises(Unavailable, match="unknown") as caught:
            store.put(("n",), "a", {"v": 1})

        assert caught.value.written is None
        assert over(backend).store.get(("n",), "a") is not None
