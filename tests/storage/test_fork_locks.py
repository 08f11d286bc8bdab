"""A fork while another thread holds a lock of ours: in the child nobody waits for somebody who is not there."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from perdure import clock
from perdure.pregel import launch
from perdure.storage import bells, owing, refreshing, upkeep
from perdure.storage.vectors import likeness

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


LOCKS = {one.__name__: (one, "_lock") for one in (bells, clock, likeness, owing, refreshing, upkeep)}


@pytest.mark.parametrize(
    ("module", "name"), [*LOCKS.values(), (launch, "_busy_lock")], ids=[*LOCKS, launch.__name__]
)
def test_a_lock_that_another_thread_held_is_free_in_the_child(module: Any, name: str) -> None:
    inside, go = threading.Event(), threading.Event()

    def hold() -> None:
        with getattr(module, name):
            inside.set()
            go.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(20)
    child = os.fork()
    if not child:
        os._exit(0 if getattr(module, name).acquire(timeout=5) else 1)
    go.set()
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
