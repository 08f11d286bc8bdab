"""A process that writes memory of all kinds dies at any instant: all that is made of the items agrees with them.

After each kill, in new processes: on a copy of the files nothing is found wrong, and searches by words, by meaning and by
both find what a fresh store of the same items finds; then the program goes on, and remembers in the end what one that
nobody killed does. The program: `memory_program.py`.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crash.kit import KILLED, Nursery, Run


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery("crash.memory_program") as nursery:
        yield nursery


@pytest.fixture(scope="module")
def clean(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is remembered if nobody is killed."""
    return nursery.run(tmp_path_factory.mktemp("clean") / "a.db").result


class Kills:
    """Kills, each on a fresh file."""

    def __init__(self, nursery: Nursery, clean: dict[str, Any], directory: Path) -> None:
        self.nursery = nursery
        self.clean = clean
        self.directory = directory
        self.number = 0

    def leave_memory_that_agrees(self, *kill: object, after: float | None = None) -> Run:
        """Kills, looks, goes on, compares; how the first process ended."""
        self.number += 1
        file = self.directory / f"{self.number}.db"
        first = self.nursery.run(file, *kill, kill_after=after)
        assert first.code in (0, KILLED), first.out
        self.agrees(file, (kill, after))
        again = self.nursery.run(file, *[option for option in kill if option == "--sweeping"]).result
        assert again["remembered"] == self.clean["remembered"], (kill, after)
        for path in self.directory.glob("*"):
            path.unlink()
        return first

    def agrees(self, file: Path, kill: object) -> None:
        """Of a copy, as looking closely changes what is filed."""
        copy = self.directory / "copy.db"
        for path in (copy, Path(f"{copy}-wal"), Path(f"{copy}-shm")):
            path.unlink(missing_ok=True)
        for end in ("", "-wal"):
            if Path(f"{file}{end}").exists():
                shutil.copy(f"{file}{end}", f"{copy}{end}")
        found = self.nursery.run(copy, "--verify")
        assert found.code == 0, (kill, found.out)


@pytest.fixture
def kills(nursery: Nursery, clean: dict[str, Any], tmp_path: Path) -> Kills:
    return Kills(nursery, clean, tmp_path)


def test_the_program_does_all_it_says_and_leaves_memory_that_agrees(
    kills: Kills, clean: dict[str, Any]
) -> None:
    assert clean["step"] == 11
    assert clean["commits"] > 50
    assert not kills.leave_memory_that_agrees().killed
    assert not kills.leave_memory_that_agrees("--sweeping").killed


def test_killed_at_a_commit(kills: Kills) -> None:
    for place, number in enumerate(random.Random(6).sample(range(1, kills.clean["commits"] + 1), 4)):
        when = "before" if place % 2 else "after"
        assert kills.leave_memory_that_agrees("--kill", when, "--at", number).killed


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_commit(kills: Kills, when: str) -> None:
    number = 1
    while kills.leave_memory_that_agrees("--kill", when, "--at", number).killed:
        number += 1

    assert number > 50


@pytest.mark.parametrize("number", [90, 420])
def test_killed_inside_a_transaction(kills: Kills, number: int) -> None:
    assert kills.leave_memory_that_agrees("--at-statement", number).killed


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_killed_at_every_fifth_statement(kills: Kills) -> None:
    number = 1
    while kills.leave_memory_that_agrees("--at-statement", number).killed:
        number += 5

    assert number > 300


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_a_random_instant_while_a_thread_sweeps(kills: Kills, seed: int) -> None:
    kills.leave_memory_that_agrees("--sweeping", after=0.05 + 0.3 * random.Random(seed).random())


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("options", [(), ("--sweeping",)])
def test_killed_at_many_random_instants(kills: Kills, options: tuple[str, ...]) -> None:
    delays = random.Random(2026)
    before = kills.nursery.kills

    for _ in range(60):
        kills.leave_memory_that_agrees(*options, after=0.02 + 0.5 * delays.random())

    assert kills.nursery.kills - before > 20


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_killed_again_and_again_on_the_way(
    nursery: Nursery, clean: dict[str, Any], tmp_path: Path, seed: int
) -> None:
    chance, file, count = random.Random(seed), tmp_path / "a.db", 0

    while count < 200:
        # The longest step makes ten commits: fewer than that, and it is never done.
        fate = ("--kill", chance.choice(["before", "after"]), "--at", chance.randrange(4, 24))
        run = nursery.run(file, *fate)
        if not run.killed:
            break
        count += 1

    assert count > 2
    assert run.result["remembered"] == clean["remembered"]
    assert nursery.run(file, "--verify").code == 0
