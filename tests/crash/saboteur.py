"""Connections that are cut at chosen bytes of either direction, again and again, and what each cut hit.

Here: `Saboteur`, who plans cuts over a `Proxy`; `whole`, which asks a database all that can be asked of its soundness.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Final, TypeVar

from perdure.cli import main as perdure
from perdure.engine.headcache import HEADS
from perdure.errors import StorageError, Unavailable
from perdure.testing.proxy import DIRECTIONS, Cut, Proxy

T = TypeVar("T")

COMMITTED: Final = b"COMMIT\x00"
"""What the server says of a transaction that was made."""

GAPS: Final = ((1, 300), (300, 900), (900, 3000), (3000, 9000), (9000, 20000))
"""Bytes between two cuts of one direction: the short ones hit whoever has just begun to connect again."""

KINDS: Final = (
    "connecting",
    "before COMMIT: what was asked is cut off",
    "during COMMIT: its answer is lost",
    "after COMMIT",
    "another answer is cut off",
)


class Saboteur:
    """Cuts, until there were so many.

    Args:
        proxy: whose connections.
        seed: of where.
        greeting: bytes that the server says to who has just connected.

    Attributes:
        errors: what callers were told.
        hit: how many cuts were of which kind.
    """

    def __init__(self, proxy: Proxy, seed: int, greeting: int) -> None:
        self.errors: list[Unavailable] = []
        self.hit: Counter[str] = Counter()
        self._proxy = proxy
        self._chance = random.Random(seed)
        self._greeting = greeting
        self._cuts: list[Cut] = []

    def plan(self, number: int) -> None:
        """So many cuts from now on; some cut all connections that are open then.

        A third is at bytes of what is asked, a third at bytes of answers, a third at the answer to a COMMIT or behind it.
        """
        turns, at = 0, dict.fromkeys(DIRECTIONS, 0)
        for each in range(number):
            everyone = self._chance.random() < 0.2
            if each % 3 == 2:
                turns += self._chance.randint(1, 6)
                behind = self._chance.choice((0, 1, len(COMMITTED) - 1, len(COMMITTED), len(COMMITTED) + 6))
                cut = self._proxy.cut_at("to client", COMMITTED, turns, behind=behind, everyone=everyone)
            else:
                way = DIRECTIONS[each % 3]
                at[way] += self._chance.randint(*self._chance.choice(GAPS))
                cut = self._proxy.cut(way, at[way], everyone=everyone)
            self._cuts.append(cut)

    def happened(self) -> int:
        """How many cuts there were."""
        for cut in [cut for cut in self._cuts if cut.happened.is_set()]:
            self._cuts.remove(cut)
            self.hit[self._kind(cut)] += 1
        return self.hit.total()

    def _kind(self, cut: Cut) -> str:
        if cut.number < self._greeting:
            return KINDS[0]
        if cut.direction == "to server":
            return KINDS[1]
        if COMMITTED in cut.passed + cut.lost:
            return KINDS[
                2 if len(cut.passed) < (cut.passed + cut.lost).index(COMMITTED) + len(COMMITTED) else 3
            ]
        return KINDS[3] if cut.marker else KINDS[4]

    def stubbornly(self, work: Callable[[], T]) -> T:
        """What `work` returns, which is called again where the database was lost; half of the time by who knows nothing."""
        for _ in range(500):
            try:
                return work()
            except Unavailable as error:
                self.errors.append(error)
                if self._chance.random() < 0.5:
                    HEADS.clear()
        raise AssertionError(f"it never ends: {self.errors[-3:]}")


def only_reads(errors: Sequence[StorageError]) -> None:
    """Raises where a caller was told of anything but a read that was cut off in the middle: all else is made again unseen."""
    assert {error.operation for error in errors} <= {"read"}, errors[:3]


def greeting_of(proxy: Proxy, connect: Callable[[], object]) -> int:
    """How many bytes the server says to who connects."""
    before = proxy.passed("to client")
    connect()
    return proxy.passed("to client") - before


def whole(url: str) -> None:
    """Raises where `perdure db check` or `perdure memory check` find anything."""
    for command in ("db", "memory"):
        said = StringIO()
        with redirect_stdout(said):
            code = perdure([command, "check", "--db", url])
        assert code == 0, said.getvalue()
