"""A commit of memory fails, or the process dies there, at call n, before or after the effect, for n = 1, 2, 3 ...

After each, nothing that is made of the items disagrees with them; tried again, the program ends as if nothing had happened.
The program: `memory_program.py`.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from crash.kit import Kept
from crash.memory_program import AFTER, BEFORE, done, go_on, opened, remembered, verify
from perdure.errors import StorageError
from perdure.testing.faulty import Faulty, Killed, Moment, Way


@pytest.mark.parametrize("way", ["raise", "die"])
@pytest.mark.parametrize(
    ("kind", "every"),
    [
        ("memory", 9),
        ("sqlite", 17),
        pytest.param("postgres", 61, marks=pytest.mark.postgres),
        *(
            pytest.param(kind, 1, marks=[pytest.mark.slow, pytest.mark.timeout(900)])
            for kind in ("memory", "sqlite")
        ),
        pytest.param("postgres", 1, marks=[pytest.mark.slow, pytest.mark.postgres]),
    ],
)
def test_a_fault_at_any_commit_leaves_memory_that_agrees_and_can_be_tried_again(
    kind: str, every: int, way: Way, kept: Kept
) -> None:
    with kept(kind) as backend:
        go_on(backend)
        undisturbed = remembered(backend)
    met = 0
    for number in range(1, 1000, every):
        fired = False
        for when in ("before", "after"):
            moment = Moment(when, number)  # type: ignore[arg-type] - one of the two
            with kept(kind) as backend:
                faulty = Faulty(backend, moment, way)
                with suppress(Killed, StorageError):
                    go_on(faulty)
                fired = faulty.fired
                met += fired
                assert opened(backend).check() == [], moment

                # The same objects go on where only the commit failed; of a process that died none is left.
                go_on(faulty if way == "raise" else backend)
                assert done(opened(backend)) == len(BEFORE) + len(AFTER)
                assert remembered(backend) == undisturbed, moment
                verify(backend)
        if not fired:
            break
    assert met >= 100 // every
