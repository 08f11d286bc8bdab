"""Numbers of namespaces and logs end at 2^31: up to the last one all is well, then an error says so, and nothing is lost."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import perdure
from perdure import admin
from perdure.errors import StorageError
from perdure.graph import START, StateGraph
from perdure.storage.postgres.place import place_of

HELLO = os.urandom(1000).hex()  # so long, compressed too, that it is in a log
SPARE = 32  # numbers that the process had already
LAST_BLOCK = (1 << 31) - 31  # its first number; the 32nd of it would be 2^31


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def set_before_last_block(postgres_admin: Any, url: str, sequence: str) -> None:
    schema = place_of(url).schema
    postgres_admin.execute(f"SELECT setval('{schema}.{sequence}', {LAST_BLOCK - 32})")


def until_it_fails(act: Callable[[int], object]) -> int:
    """How many times it succeeded before the numbers were used up."""
    for number in range(200):
        try:
            act(number)
        except StorageError as error:
            found = error
            break
    else:
        raise AssertionError("there is no end")
    assert re.search(r"no number left for a new namespace, or for a new log.*Nothing was written", str(found))
    assert "perdure db copy" in (found.hint or "")
    return number


def test_the_last_namespaces_are_used_and_then_it_is_said_what_to_do(
    postgres_url: str, postgres_admin: Any
) -> None:
    with perdure.connect(postgres_url, keep_history="all") as db:
        db.store.put(("before",), "k", {"n": -1})
    with perdure.connect(postgres_url, keep_history="all") as db:
        set_before_last_block(postgres_admin, postgres_url, "perdure_namespace_no")
        made = until_it_fails(
            lambda number: db.store.put(("new", str(number)), "k", {"n": number, "text": "tea"})
        )

        assert 31 - SPARE <= made <= 31 + SPARE
        found = [db.store.get(("new", str(number)), "k") for number in range(made)]
        assert [item.value["n"] for item in found if item is not None] == list(range(made))
        assert len(db.store.search(("new",), query="tea", limit=100)) == made
        db.store.put(("new", str(made - 1)), "k2", {"n": 100})
        db.store.put(("before",), "k", {"n": 0})
        assert [item.value for item in db.store.search(("before",))] == [{"n": 0}]
        assert "100.00% for namespaces" in dict(admin.status(postgres_url).facts)["numbers given"]

        with perdure.connect("memory://", keep_history="all") as copy:
            assert admin.copy(db, copy).namespaces == made + 1


def test_the_last_logs_are_used_and_then_it_is_said_what_to_do(
    postgres_url: str, postgres_admin: Any
) -> None:
    with perdure.connect(postgres_url) as db:
        set_before_last_block(postgres_admin, postgres_url, "perdure_log_no")
        graph: Any = (
            StateGraph(State)
            .add_node("n", lambda state: {"log": ["answer"]})
            .add_edge(START, "n")
            .compile(db)
        )

        def call(number: int, turns: int = 3) -> Any:
            for _ in range(turns):
                said = graph.invoke({"log": [HELLO]}, {"configurable": {"thread_id": f"t{number}"}})
            return said

        made = until_it_fails(call)

        assert made > 0
        assert call(made - 1, 1) == {"log": [HELLO, "answer"] * 4}
        stands = graph.get_state({"configurable": {"thread_id": f"t{made}"}}).values.get("log", [])
        assert stands == [HELLO, "answer"] * (len(stands) // 2)  # whole turns


def test_numbers_for_another_schema_are_its_own(postgres_urls: Any, postgres_admin: Any) -> None:
    full, fresh = postgres_urls(), postgres_urls()
    with perdure.connect(full, keep_history="all") as db, perdure.connect(fresh, keep_history="all") as other:
        set_before_last_block(postgres_admin, full, "perdure_namespace_no")
        db.store.put(("a",), "k", {"n": 1})
        admin.copy(db, other)

        for number in range(40):
            other.store.put(("more", str(number)), "k", {"n": number})

        assert other.store.get(("a",), "k").value == {"n": 1}
