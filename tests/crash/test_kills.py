"""Real processes die at any instant; thread and memory agree after the next run, and everything stands once.

Each kill: a fresh database, a process that dies, another that goes on to the end, and what is remembered compared with
a run that nobody killed: every value of every checkpoint, every version of every item. The program: `program.py`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from crash.kit import KILLED, Nursery, Run, in_any_order, remembered
from databases import POSTGRES
from perdure.testing.crash import run_program

DURABILITIES = ("sync", "async", "exit")


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery
    print(f"\n{nursery.kills} kills")


@pytest.fixture(params=["sqlite", POSTGRES])
def kind(request: pytest.FixtureRequest) -> str:
    """Of databases that outlive a process."""
    return request.param


@pytest.fixture
def fresh(kind: str, url_of: Callable[[str], str]) -> Callable[[], str]:
    """Each call gives the URL of an empty database of a kind."""
    return lambda: url_of(kind)


@pytest.fixture(scope="module")
def clean(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What is remembered if nobody is killed, by durability."""
    files = tmp_path_factory.mktemp("clean")
    return {how: nursery.run(files / how, "--durability", how).result for how in DURABILITIES}


class Kills:
    """Kills, each on a fresh database."""

    def __init__(
        self, nursery: Nursery, clean: dict[str, dict[str, Any]], kind: str, fresh: Callable[[], str]
    ) -> None:
        self.nursery = nursery
        self.clean = clean
        self.kind = kind
        self.fresh = fresh

    def go_on_as_if_nothing_had_happened(
        self, durability: str, *kill: object, after: float | None = None
    ) -> Run:
        """Kills, goes on, compares; how the first process ended."""
        url = self.fresh()
        first = self.nursery.run(url, "--durability", durability, *kill, kill_after=after)
        assert first.code in (0, KILLED), first.out
        if first.killed:
            again = self.nursery.run(url, "--durability", durability)
            assert remembered(again.result) == remembered(self.clean[durability]), (durability, kill, after)
        return first


@pytest.fixture
def kills(nursery: Nursery, clean: dict[str, dict[str, Any]], kind: str, fresh: Callable[[], str]) -> Kills:
    return Kills(nursery, clean, kind, fresh)


def test_the_program_does_what_it_says(clean: dict[str, dict[str, Any]]) -> None:
    result = clean["sync"]

    counts = {
        key: written[-1][0]["n"] for key, written in result["memory"].items() if key.startswith("('counts',)")
    }
    assert counts == {
        "('counts',) all": 8, "('counts',) t0": 4, "('counts',) t1": 4, "('counts',) beside": 2, "('counts',) small": 2,
        "('counts',) flaky": 2, "('counts',) asked": 6, "('counts',) deep": 2, "('counts',) middle": 2,
        "('counts',) calls": 2,
    }  # fmt: skip
    assert result["totals"] == [128, 128]
    assert result["memory"]["('marks', 't0') open"][-1][0] is None


def test_all_durabilities_remember_the_same_memory(clean: dict[str, dict[str, Any]]) -> None:
    assert len({result["memory_digest"] for result in clean.values()}) == 1


def test_a_program_of_its_own_interpreter_is_killed_and_goes_on(
    clean: dict[str, dict[str, Any]], fresh: Callable[[], str]
) -> None:
    import json

    program = Path(__file__).parent / "program.py"

    url = fresh()
    first = run_program(program, url, "--kill", "after", "--at", "7")
    again = run_program(program, url)

    assert first.code == KILLED, first.err
    assert remembered(json.loads(again.out)) == remembered(clean["sync"])


@pytest.mark.parametrize("durability", DURABILITIES)
def test_killed_at_a_commit(kills: Kills, durability: str) -> None:
    commits = kills.clean[durability]["commits"]
    few = 5 if kills.kind == "sqlite" else 2
    chosen = random.Random(commits).sample(range(1, commits + 1), min(commits, few))

    for number in chosen:
        when = "before" if number % 2 else "after"
        assert kills.go_on_as_if_nothing_had_happened(durability, "--kill", when, "--at", number).killed


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("durability", DURABILITIES)
def test_killed_at_every_commit(kills: Kills, durability: str, when: str) -> None:
    number = 1
    while kills.go_on_as_if_nothing_had_happened(durability, "--kill", when, "--at", number).killed:
        number += 1

    assert number > (6 if durability == "exit" else 40)


@pytest.mark.parametrize("number", [3, 40, 101, 161])
def test_killed_inside_a_transaction(kills: Kills, number: int) -> None:
    assert kills.go_on_as_if_nothing_had_happened("sync", "--at-statement", number).killed


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_every_third_statement(kills: Kills) -> None:
    number = 1
    while kills.go_on_as_if_nothing_had_happened("sync", "--at-statement", number).killed:
        number += 3

    assert number > 100


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_a_random_instant(kills: Kills, seed: int) -> None:
    delay = 0.02 + 0.15 * random.Random(seed).random()

    kills.go_on_as_if_nothing_had_happened(DURABILITIES[seed % 3], after=delay)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_at_many_random_instants(kills: Kills) -> None:
    delays = random.Random(2026)
    before = kills.nursery.kills

    for number in range(120):
        kills.go_on_as_if_nothing_had_happened(DURABILITIES[number % 3], after=0.02 + 0.2 * delays.random())

    assert kills.nursery.kills - before > 60


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_killed_again_and_again_on_the_way(
    nursery: Nursery, clean: dict[str, dict[str, Any]], fresh: Callable[[], str], seed: int
) -> None:
    chance, durability = random.Random(seed), ("sync", "async")[seed % 2]
    url, kills = fresh(), 0

    while kills < 200:
        fate = ("--kill", chance.choice(["before", "after"]), "--at", chance.randrange(2, 12))
        run = nursery.run(url, "--durability", durability, *fate)
        if not run.killed:
            break
        kills += 1

    assert kills > 3
    assert remembered(run.result) == remembered(clean[durability])


@pytest.fixture(scope="module")
def together(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What six threads at once remember."""
    return nursery.run(tmp_path_factory.mktemp("together") / "db", "--threads", 6, "--together").result


@pytest.mark.parametrize("moment", ["BEGIN", "INSERT", "COMMIT", "all is written"])
@pytest.mark.parametrize(
    "group", [1, pytest.param(4, marks=pytest.mark.slow), pytest.param(9, marks=pytest.mark.slow)]
)
def test_killed_while_it_leads_a_group(
    nursery: Nursery, together: dict[str, Any], fresh: Callable[[], str], moment: str, group: int
) -> None:
    leading = ("--leader-of", group, "--leader-at", moment)

    for _ in range(5):  # on a busy machine the threads may meet in fewer groups
        url = fresh()
        first = nursery.run(url, "--threads", 6, "--together", *leading)
        if first.killed:
            break
    again = nursery.run(url, "--threads", 6, "--together")

    assert first.killed, first.out
    assert in_any_order(again.result) == in_any_order(together)


@pytest.mark.slow
def test_three_hundred_processes_were_killed_in_all(nursery: Nursery, request: pytest.FixtureRequest) -> None:
    """Last in this file: counts what the tests above did; each compared what was remembered after its kills."""
    many = {
        name
        for name, test in globals().items()
        if name.startswith("test_killed")
        and any(mark.name == "slow" for mark in getattr(test, "pytestmark", ()))
    }
    if not many <= {getattr(item, "originalname", "") for item in request.session.items}:
        pytest.skip("the kills are counted when all slow tests of this file run")

    assert nursery.kills >= 300
