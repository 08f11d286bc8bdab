"""The engine against a pure model of staged memory: whatever fails, asks, is forked or dropped, both remember the same.

The model is a dict of committed items, what finished tasks of an open step have staged, and the checkpoints of a thread.
The graph: `a` and `b` at once, then `c`. What a node does is told by its script: writes, a question, failures. Every node
reports, at its end, all that it sees of memory.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from typing_extensions import TypedDict

from databases import UNSHRUNK
from perdure import connect
from perdure.engine import execute
from perdure.engine.headcache import HEADS
from perdure.graph import START, StateGraph
from perdure.types import Command, RetryPolicy, interrupt

WHERE = ("m",)
KEYS = ("x", "y", "z")
STEPS = (("a", "b"), ("c",))
THREAD = {"configurable": {"thread_id": "t"}}
TRIES = 2

Write = tuple[str, str, int]  # put | delete | count | absent, key, value


class Boom(Exception):
    """A node failed."""


@dataclass
class Script:
    """What a node does: `writes`, then it fails as often as `failures` says, then it asks, then it writes `after`."""

    writes: list[Write] = field(default_factory=list[Write])
    failures: int = 0
    asks: bool = False
    after: list[Write] = field(default_factory=list[Write])


writes = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "delete", "count", "count", "absent"]),
        st.sampled_from(KEYS),
        st.integers(0, 9),
    ),
    max_size=3,
)
scripts = st.builds(
    Script, writes=writes, failures=st.sampled_from([0, 0, 0, 1, 2, 3]), asks=st.booleans(), after=writes
)
casts = st.fixed_dictionaries({"a": scripts, "b": scripts, "c": scripts})
durabilities = st.sampled_from(["sync", "async", "exit"])


def key_of(node: str, write: Write) -> str:
    """Guarded writes of two nodes at once would only conflict: each node has keys of its own for them."""
    return f"{write[1]} of {node}" if write[0] == "absent" else write[1]


# -- the model -------------------------------------------------------------------------------------------------------


@dataclass
class Item:
    value: int
    version: int


@dataclass
class Staged:
    """What a finished task left."""

    node: str
    writes: list[Write]
    log: list[str]
    base: dict[str, int | None]  # the version under each key that it found absent, or counted from
    recorded: bool = False  # by an earlier run: what it counted is a value now
    fixed: list[Fixed] = field(default_factory=list[Any])


@dataclass
class Fixed:
    """A write as it is recorded."""

    key: str
    value: int | None
    counted: bool
    after: str | None  # whose recorded write of the key it followed
    rank: int  # among the recorded writes of the key


@dataclass
class Checkpoint:
    step: int  # index of the step that is due; 0 stands for the input, too
    log: list[str]
    entered: bool  # whether the graph's start was passed


class Model:
    """What ought to be."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.version = 0
        self.checkpoints: list[Checkpoint] = []
        self.done: dict[str, Staged] = {}  # of the open step
        self.asking: set[str] = set()
        self.answered: set[str] = set()
        self.waiting: set[str] = set()  # recorded with their questions
        self.cast: dict[str, Script] = {}
        self.tails: dict[str, tuple[str, Fixed]] = {}  # the last recorded write of each key, and whose

    def put(self, key: str, value: int | None) -> None:
        self.version += 1
        if value is None:
            self.items.pop(key, None)
        else:
            self.items[key] = Item(value, self.version)

    def apply(self, node: str, write: Write) -> None:
        kind, _, value = write
        key = key_of(node, write)
        found = self.items.get(key)
        if kind == "put":
            self.put(key, value)
        elif kind == "delete":
            self.put(key, None)
        elif kind == "count":
            self.put(key, (found.value if found else 0) + 1)
        elif found is None:
            self.put(key, value)

    def task(self, node: str) -> Staged | str:
        """What the task leaves: staged writes, or why it did not finish."""
        script = self.cast[node]
        for _ in range(TRIES):
            if not script.failures:
                break
            script.failures -= 1
        else:
            return "failed"
        if script.asks and node not in self.answered:
            return "asks"
        view = Model()
        view.items = deepcopy(self.items)
        made = [*script.writes, *(script.after if script.asks else ())]
        base: dict[str, int | None] = {}
        left: list[Write] = []
        for write in made:
            key = key_of(node, write)
            if write[0] == "absent" and key in view.items:
                continue  # it looked, and did not write
            if write[0] == "absent" and all(key_of(node, each) != key for each in left):
                found = self.items.get(key)
                base[key] = found.version if found else None
            left.append(write)
            view.apply(node, write)
        seen = {key: item.value for key, item in sorted(view.items.items())}
        return Staged(node, left, [f"{node} {json.dumps(seen)}"], base)

    def stale(self, staged: Staged) -> bool:
        """Whether a recorded task counts as unfinished: what it computed from is gone."""
        now = {key: self.items[key].version if key in self.items else None for key in staged.base}
        return now != staged.base or any(
            each.counted and each.after not in (None, *self.done) for each in staged.fixed
        )

    def drop_the_stale(self) -> None:
        """With those that computed from what they had left."""
        before = None
        while before != (before := len(self.done)):
            self.done = {node: left for node, left in self.done.items() if not self.stale(left)}
        self.tails = {}
        for node, left in self.done.items():
            for each in left.fixed:
                if each.key not in self.tails or each.rank >= self.tails[each.key][1].rank:
                    self.tails[each.key] = (node, each)

    def record(self, left: Staged) -> None:
        """What it counted becomes a value, computed from the recorded write before it, or from the item."""
        left.recorded = True
        for write in left.writes:
            key = key_of(left.node, write)
            whose, before = self.tails.get(key, (None, None))
            value = None if write[0] == "delete" else write[2]
            if write[0] == "count":
                live = self.items.get(key)
                found = before.value if before else live.value if live else None
                value = (found or 0) + 1
                if before is None:
                    left.base[key] = live.version if live else None
            fixed = Fixed(key, value, write[0] == "count", whose, before.rank + 1 if before else 0)
            left.fixed.append(fixed)
            self.tails[key] = (left.node, fixed)

    def commit(self, step: tuple[str, ...]) -> None:
        """All writes in task order; of a key that was counted in records, recorded ones first, as they were recorded."""
        made: list[tuple[str, str, Write, Fixed | None]] = []
        for node in step:
            left = self.done[node]
            for index, write in enumerate(left.writes):
                made.append((key_of(node, write), node, write, left.fixed[index] if left.recorded else None))
        counted = {key for key, _, _, fixed in made if fixed and fixed.counted}
        for key in counted:
            places = [index for index, each in enumerate(made) if each[0] == key]
            mine = sorted(
                (made[index] for index in places),
                key=lambda each: (each[3] is None, each[3].rank if each[3] else 0),
            )
            for index, each in zip(places, mine, strict=True):
                made[index] = each
        for key, node, write, fixed in made:
            if fixed:
                self.put(key, fixed.value)
            else:
                self.apply(node, write)

    def run(self) -> str:
        """Runs the open steps; how the run ended. Adds its checkpoints."""
        while True:
            at = self.checkpoints[-1]
            if not at.entered:
                self.checkpoints.append(Checkpoint(0, at.log, True))
                continue
            if at.step == len(STEPS):
                return "done"
            self.drop_the_stale()
            failed = False
            self.asking = set()
            for node in STEPS[at.step]:
                if node in self.done:
                    continue
                if node in self.waiting and self.answered and node not in self.answered:
                    self.asking.add(node)  # others were answered: it waits on, and is not run again
                    continue
                left = self.task(node)
                self.waiting.discard(node)
                if left == "failed":
                    failed = True
                elif isinstance(left, str):
                    self.asking.add(node)
                    self.waiting.add(node)
                else:
                    self.done[node] = left
            if failed or self.asking:
                for node in STEPS[at.step]:
                    if node in self.done and not self.done[node].recorded:
                        self.record(self.done[node])
                return "failed" if failed else "asks"
            log = [*at.log, *(line for node in STEPS[at.step] for line in self.done[node].log)]
            self.commit(STEPS[at.step])
            self.forget()
            self.checkpoints.append(Checkpoint(at.step + 1, log, True))

    def forget(self) -> None:
        """The open step is over, or dropped."""
        self.done, self.asking, self.answered, self.waiting = {}, set(), set(), set()
        self.tails = {}


# -- the engine ------------------------------------------------------------------------------------------------------


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


class TheEngineRemembersWhatTheModelDoes(RuleBasedStateMachine):
    """Whatever is done, in whatever order."""

    new_url: Callable[[], str] = staticmethod(lambda: "memory://")

    def __init__(self) -> None:
        super().__init__()
        HEADS.clear()
        self.patched = pytest.MonkeyPatch()
        # No task is recorded before its siblings: the model records in task order.
        self.patched.setattr(execute, "_RECORD_AFTER", 3600.0)
        self.db = connect(type(self).new_url())
        self.model = Model()
        self.cast: dict[str, Script] = {}
        self.ended = "done"
        drawing: Any = StateGraph(State)
        again = RetryPolicy(initial_interval=0.0, jitter=False, max_attempts=TRIES, retry_on=Boom)
        for name in ("a", "b", "c"):
            drawing.add_node(name, self.node(name), retry_policy=again)
        drawing.add_edge(START, "a").add_edge(START, "b").add_edge(["a", "b"], "c")
        self.graph = drawing.compile(self.db)

    def teardown(self) -> None:
        self.db.close()
        self.patched.undo()

    def node(self, name: str) -> Any:
        def act(state: State, *, store: Any) -> State:
            script = self.cast[name]
            for write in script.writes:
                self.write(store, name, write)
            if script.failures:
                script.failures -= 1
                raise Boom
            if script.asks:
                assert interrupt(name) == f"to {name}"
                for write in script.after:
                    self.write(store, name, write)
            seen = {item.key: item.value["n"] for item in store.search(WHERE, limit=100)}
            return {"log": [f"{name} {json.dumps(dict(sorted(seen.items())))}"]}

        return act

    @staticmethod
    def write(store: Any, node: str, write: Write) -> None:
        kind, _, value = write
        key = key_of(node, write)
        if kind == "put":
            store.put(WHERE, key, {"n": value})
        elif kind == "delete":
            store.delete(WHERE, key)
        elif kind == "count":
            store.update(WHERE, key, lambda found: {"n": (found["n"] if found else 0) + 1})
        elif store.get(WHERE, key) is None:
            store.put(WHERE, key, {"n": value}, if_absent=True)

    def run(self, given: Any, durability: str, config: Any = THREAD, *, since: int) -> None:
        """Runs both; they must end alike. `since`: the checkpoints of before this run."""
        try:
            result = self.graph.invoke(given, config, durability=durability)
        except Boom:
            ended, result = "failed", {}
        else:
            ended = "asks" if "__interrupt__" in result else "done"
        self.ended = self.model.run()
        assert ended == self.ended
        if ended == "asks":
            assert {question.value for question in result["__interrupt__"]} == self.model.asking
        if durability == "exit" and len(self.model.checkpoints) > since:
            del self.model.checkpoints[since:-1]

    def given(self, cast: dict[str, Script]) -> None:
        self.cast, self.model.cast = deepcopy(cast), deepcopy(cast)

    @initialize(cast=casts, durability=durabilities)
    def begin(self, cast: dict[str, Script], durability: str) -> None:
        self.new_input(cast, durability)

    @rule(cast=casts, durability=durabilities)
    def new_input(self, cast: dict[str, Script], durability: str) -> None:
        model = self.model
        since = len(model.checkpoints)
        log = model.checkpoints[-1].log if since else []
        self.given(cast)
        model.forget()
        model.checkpoints.append(Checkpoint(0, log, False))
        # The input's own value is applied by the hidden first step.
        model.checkpoints.append(Checkpoint(0, [*log, "in"], True))
        self.run({"log": ["in"]}, durability, since=since)

    @precondition(lambda self: self.ended == "failed")
    @rule(durability=durabilities)
    def go_on(self, durability: str) -> None:
        self.run(None, durability, since=len(self.model.checkpoints))

    @precondition(lambda self: self.ended == "asks")
    @rule(durability=durabilities, one=st.booleans())
    def answer(self, durability: str, one: bool) -> None:
        asked = sorted(self.graph.get_state(THREAD).interrupts, key=lambda question: question.value)
        assert {question.value for question in asked} == self.model.asking
        chosen = asked[:1] if one else asked
        self.model.answered |= {question.value for question in chosen}
        answers = {question.id: f"to {question.value}" for question in chosen}
        self.run(Command(resume=answers), durability, since=len(self.model.checkpoints))

    @rule(cast=casts, durability=durabilities, data=st.data())
    def fork(self, cast: dict[str, Script], durability: str, data: st.DataObject) -> None:
        model = self.model
        history = list(self.graph.get_state_history(THREAD))[::-1]
        number = data.draw(st.integers(0, len(history) - 1))
        at = model.checkpoints[number]
        since = len(model.checkpoints)
        if number < since - 1 and at.step < len(STEPS):
            self.given(cast)
            model.forget()
            model.checkpoints.append(deepcopy(at))
            if not at.entered:  # the input was kept: its hidden step comes again
                model.checkpoints.append(Checkpoint(0, [*at.log, "in"], True))
        elif number < since - 1:
            return  # finished there: nothing runs, so nothing can differ
        self.run(None, durability, history[number].config, since=since)

    @rule(key=st.sampled_from([*KEYS, "x of a", "y of b"]), value=st.one_of(st.none(), st.integers(0, 9)))
    def somebody_else_writes(self, key: str, value: int | None) -> None:
        self.model.put(key, value)
        if value is None:
            self.db.store.delete(WHERE, key)
        else:
            self.db.store.put(WHERE, key, {"n": value})

    @rule()
    def another_process_takes_over(self) -> None:
        HEADS.clear()

    @invariant()
    def memory_is_equal(self) -> None:
        found = [(item.key, item.value["n"]) for item in self.db.store.search(WHERE, limit=100)]
        newest_first = sorted(self.model.items.items(), key=lambda pair: -pair[1].version)
        assert found == [(key, item.value) for key, item in newest_first]

    @invariant()
    def the_thread_is_equal(self) -> None:
        found = [list(each.values.get("log", [])) for each in self.graph.get_state_history(THREAD)]
        expected = [at.log for at in self.model.checkpoints][::-1]
        if found:  # the newest is shown with the finished tasks of its open step
            found[0] = found[0][: len(expected[0])]
        assert found == expected


class TheEngineRemembersInAFile(TheEngineRemembersWhatTheModelDoes):
    """The same on SQLite."""

    new_url = staticmethod(lambda: "sqlite:///:memory:")


_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def much(examples: int) -> settings:
    return settings(
        max_examples=examples, stateful_step_count=15, deadline=None, suppress_health_check=_QUIET
    )


TestMemory = TheEngineRemembersWhatTheModelDoes.TestCase
TestMemory.settings = much(30)
TestSqlite = TheEngineRemembersInAFile.TestCase
TestSqlite.settings = much(8)


@pytest.mark.parametrize("examples", [3, pytest.param(150, marks=pytest.mark.slow)])
def test_postgres(examples: int, postgres_urls: Callable[[], str]) -> None:
    class TheEngineRemembersOnAServer(TheEngineRemembersWhatTheModelDoes):
        """The same on Postgres, each time in a schema of its own."""

        new_url = staticmethod(postgres_urls)

    run_state_machine_as_test(
        TheEngineRemembersOnAServer, settings=settings(much(examples), phases=UNSHRUNK, print_blob=True)
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("machine", [TheEngineRemembersWhatTheModelDoes, TheEngineRemembersInAFile])
def test_many_more(machine: type[TheEngineRemembersWhatTheModelDoes]) -> None:
    run_state_machine_as_test(machine, settings=much(600))
