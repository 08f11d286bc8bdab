"""What is forgotten is in no table and in no byte of the files; threads go when asked; faults leave all or nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from struct import unpack
from typing import Any

import pytest
from typing_extensions import TypedDict

import perdure
from databases import QUICK
from perdure.errors import Busy, PerdureError, Unavailable
from perdure.graph import START, StateGraph
from perdure.runtime import Runtime
from perdure.storage.item_store import ItemStore
from perdure.storage.memory import MemoryBackend
from perdure.store.face import BackendStore
from perdure.testing import store_forget
from perdure.testing.faulty import Faulty, Moment
from perdure.types import interrupt
from storage import child

ADA = ("users", "ada-zyxname")
NEEDLES = ["zyxname", "zyxkey", "zyxshort", "zyxlong", "zyxstem", "zyxold"]


def name(check: object) -> str:
    return getattr(check, "__name__", "")


@pytest.mark.parametrize("check", store_forget.FORGET_CHECKS, ids=name)
def test_a_store_forgets(check: Callable[[ItemStore], None], store: BackendStore) -> None:
    check(store)


@pytest.mark.parametrize("check", store_forget.ASYNC_FORGET_CHECKS, ids=name)
async def test_a_store_forgets_in_its_other_colour(
    check: Callable[[ItemStore], Awaitable[None]], store: BackendStore
) -> None:
    await check(store)


# ---- bytes


def found_in_files(path: Path) -> set[str]:
    """Which needles stand in any file of the database: another process looks, as opening a file here drops its locks."""
    said = child.run(
        """
        import glob, zlib
        for path in glob.glob(sys.argv[1] + "*"):
            with open(path, "rb") as file:
                whole = file.read()
            for needle in sys.argv[2:]:
                if needle.encode() in whole:
                    print(needle)
        """,
        path,
        *NEEDLES,
        "zyxvectr",
    )
    return set(said.split())


def fill(store: BackendStore) -> None:
    """Short values, values of several pages, words, a history, among many items of others, so that pages are split."""
    for part in range(4):
        store.put_many(
            [
                item
                for n in range(part, 240, 4)
                for item in (
                    (ADA, f"zyxkey{n}", {"t": f"zyxshort{n}"}),
                    ((*ADA, "docs"), f"d{n}", {"text": f"zyxold{n}"}),
                    (("users", f"u{n}"), f"k{n}", {"text": f"neighbour number {n}"}),
                )
            ]
        )
    store.put_many([((*ADA, "docs"), f"d{n}", {"text": f"zyxlong{n} " * 900}) for n in range(0, 240, 40)])
    store.put((*ADA, "docs"), "words", {"text": " ".join(f"zyxstem{n}" for n in range(300))})
    store.delete(ADA, "zyxkey7")


def test_no_byte_of_what_was_forgotten_is_left_in_the_files(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with perdure.connect(f"sqlite:///{path}") as db:
        fill(db.store)
        assert found_in_files(path) == set(NEEDLES)

        receipt = db.store.forget(ADA)

        assert found_in_files(path) == set()
        assert receipt.counts["items"] == 480
        assert db.store.count() == 240
        assert [item.key for item in db.store.search((), query="number 17", limit=1)] == ["k17"]
        db.store.put(ADA, "new", {"n": 1})
    assert found_in_files(path) == {"zyxname"}


def test_a_reader_of_an_older_state_makes_it_wait_then_busy_with_all_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with perdure.connect(f"sqlite:///{path}") as db:
        fill(db.store)
        reader = child.start(
            """
            db = open_backend(sys.argv[1])
            with db.read() as now:
                print(now.count("items"), flush=True)
                sys.stdin.readline()
                print(now.count("items"), flush=True)
            db.close()
            """,
            path,
        )
        assert reader.stdout is not None
        before = int(reader.stdout.readline())

        with pytest.raises(Busy, match=r"is deleted, and no read finds it.*Call forget") as raised:
            db.store.forget(ADA, wait_seconds=0.05)

        assert raised.value.written is True
        assert raised.value.receipt.counts["items"] == 480
        assert not raised.value.receipt.scrubbed
        assert db.store.count(ADA) == 0
        assert found_in_files(path)
        assert child.finished(reader, 0) == str(before)
        again = db.store.forget(ADA)
        assert (again.revision, again.scrubbed) == (None, True)
        assert found_in_files(path) == set()


# ---- threads and tasks


class State(TypedDict):
    text: str


def talk(db: perdure.Database, node: Callable[..., Any]) -> Any:
    return StateGraph(State).add_node("node", node).add_edge(START, "node").compile(db)


def thread(name: str) -> Any:
    return {"configurable": {"thread_id": name}}


@pytest.fixture(params=QUICK)
def db(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Any:
    with perdure.connect(url_of(request.param)) as opened:
        yield opened


def test_threads_that_name_the_prefix_are_told_and_go_only_when_asked(db: perdure.Database) -> None:
    def node(state: State, runtime: Runtime[Any]) -> None:
        store: Any = runtime.store
        store.put(ADA if state["text"] != "other" else ("other",), state["text"], {"text": state["text"]})

    graph = talk(db, node)
    for each in ("one", "two", "other"):
        graph.invoke({"text": each}, thread(each))

    told = db.store.forget(ADA, dry_run=True)
    assert (told.threads, told.deleted_threads) == (("one", "two"), ())
    receipt = db.store.forget(ADA, threads=["one", "never"])
    assert receipt.threads == ("one", "two")
    assert receipt.deleted_threads == ("one",)
    assert db.threads() == ["other", "two"]
    graph.invoke({"text": "two"}, thread("two"))
    assert db.store.forget(ADA, threads=True).deleted_threads == ("two",)
    assert db.threads() == ["other"]
    assert db.store.forget(("nobody",), threads=["other"]).deleted_threads == ("other",)
    assert db.threads() == []


def test_recorded_memory_of_an_unfinished_step_is_forgotten_and_the_step_goes_on(
    db: perdure.Database,
) -> None:
    def learns(state: State, runtime: Runtime[Any]) -> None:
        store: Any = runtime.store
        store.put(ADA, "a", {"n": 1})
        store.put(("kept",), "k", {"n": 1})
        store.update(ADA, "count", lambda value: {"n": (value or {"n": 0})["n"] + 1})

    def asks(state: State) -> State:
        return {"text": interrupt("well?")}

    graph = (
        StateGraph(State)
        .add_node("learns", learns)
        .add_node("asks", asks)
        .add_edge(START, "learns")
        .add_edge(START, "asks")
        .compile(db)
    )
    graph.invoke({"text": ""}, thread("t"))

    receipt = db.store.forget(ADA)

    assert receipt.counts == {"items": 0, "history": 0, "postings": 0, "vectors": 0, "staged": 2}
    assert receipt.threads == ("t",)
    graph.invoke(perdure.types.Command(resume="fine"), thread("t"))
    assert [(item.namespace, item.key) for item in db.store.search(())] == [(("kept",), "k")]


def test_in_a_task_forgetting_is_refused_and_nothing_goes(db: perdure.Database) -> None:
    db.store.put(ADA, "a", {})

    def node(state: State, runtime: Runtime[Any]) -> State:
        store: Any = runtime.store
        for refusing in (store, db.store):
            with pytest.raises(PerdureError, match=r"forget.*node 'node'.*store\.direct\.forget"):
                refusing.forget(ADA)
        assert store.direct.count(ADA) == 1
        return {"text": str(store.direct.forget(ADA).counts["items"])}

    answer = talk(db, node).invoke({"text": ""}, thread("t"))

    assert answer == {"text": "1"}
    assert db.store.count(ADA) == 0


# ---- faults


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_fault_at_the_commit_leaves_all_or_nothing_and_forgetting_again_ends_it(when: Any) -> None:
    backend = MemoryBackend()
    BackendStore(backend).put_many([(ADA, "a", {"n": 1}), (("kept",), "k", {})])
    faulty = Faulty(backend, Moment(when, 1))
    store = BackendStore(faulty)

    if when == "before":
        with pytest.raises(Unavailable):
            store.forget(ADA)
        assert BackendStore(backend).count() == 2
        receipt = store.forget(ADA)
    else:  # the answer was lost: the commit is asked for by its id
        receipt = store.forget(ADA)

    assert (receipt.counts["items"], receipt.revision) == (1, "0.2")
    assert BackendStore(backend).count() == 1


def test_a_process_that_dies_anywhere_in_forgetting_leaves_it_whole_or_gone(tmp_path: Path) -> None:
    for number, when in enumerate(("before", "after")):
        path = tmp_path / f"{number}.db"
        with perdure.connect(f"sqlite:///{path}") as db:
            fill(db.store)
        child.run(
            """
            from perdure.store.face import BackendStore
            from perdure.testing.faulty import Faulty, Moment
            store = BackendStore(Faulty(open_backend(sys.argv[1]), Moment(sys.argv[2], 1), "kill"))
            store.forget((sys.argv[3], sys.argv[4]))
            """,
            path,
            when,
            *ADA,
            code=-9,
        )
        with perdure.connect(f"sqlite:///{path}") as db:
            assert db.store.count(ADA) == (479 + 1 if when == "before" else 0)
            assert db.store.forget(ADA).scrubbed
            assert db.store.count() == 240
            assert found_in_files(path) == set()


def spelt(texts: Sequence[str]) -> list[list[float]]:
    """Vectors whose bytes in a file can be read: "zyxv", then "ectr" of whoever is forgotten."""
    words = [b"zyxvectr" if "zyx" in text else b"neighbor" for text in texts]
    return [list(unpack("<2f", word)) for word in words]


@pytest.mark.parametrize(
    ("statement", "times"),
    [
        ("COMMIT", 1),
        ("VACUUM", 1),
        *(pytest.param("PRAGMA wal_checkpoint", n, marks=pytest.mark.slow) for n in (1, 2, 3)),
    ],
)
def test_killed_while_it_scrubs_forgetting_again_scrubs(statement: str, times: int, tmp_path: Path) -> None:
    path, url = tmp_path / "a.db", f"sqlite:///{tmp_path / 'a.db'}"
    index: Any = {"dims": 2, "embed": spelt, "fields": ["t", "text"]}
    with perdure.connect(url, index=index) as db:
        fill(db.store)
    assert found_in_files(path) == {*NEEDLES, "zyxvectr"}
    child.run(
        """
        from perdure.store.face import BackendStore
        backend = open_backend(sys.argv[1])
        store, left = BackendStore(backend), [int(sys.argv[3])]
        def trace(text):
            left[0] -= text.startswith(sys.argv[2])
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        backend._work.database().set_trace_callback(trace)
        store.forget((sys.argv[4], sys.argv[5]))
        """,
        path,
        statement,
        times,
        *ADA,
        code=-9,
    )

    with perdure.connect(url, index=index) as db:
        assert db.store.count(ADA) == (480 if statement == "COMMIT" else 0)
        assert db.store.check() == []
        assert len(db.store.search((), query="neighbour", mode="vector", limit=999)) == 720 - 480 * (
            statement != "COMMIT"
        )

        assert db.store.forget(ADA).scrubbed
        assert db.store.check() == []
        assert len(db.store.search((), query="neighbour", mode="vector", limit=999)) == 240
        assert found_in_files(path) == set()


def test_forgetting_takes_no_part_in_what_others_write_meanwhile(db: perdure.Database) -> None:
    """The receipt is what went: what was written between looking and erasing is counted, too."""
    db.store.put(ADA, "a", {"n": 1})
    backend: Any = db.backend
    commit, late = backend.commit, BackendStore(backend)

    def commits_late(given: Any) -> Any:
        backend.commit = commit
        late.put(ADA, "b", {"n": 2})
        return commit(given)

    backend.commit = commits_late
    receipt = db.store.forget(ADA)

    assert receipt.counts["items"] == 2
    assert db.store.count() == 0
