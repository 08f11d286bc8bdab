"""`consolidate`: which items become one, what that one says, and what goes with it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from engine.kit import Colour
from memory.kit import ADA, BOB, Foreign, Table, fill, texts, tidy
from perdure import Database, connect
from perdure.errors import EncodingError, PerdureError, QueryError
from perdure.memory import Consolidated, aconsolidate, consolidate
from perdure.store.base import Item, NotSupported
from perdure.testing import FakeClock

TEA = "Ada likes green tea in the morning and now and then a cup of coffee"


def test_near_duplicates_become_one_item(db: Database, run: Colour) -> None:
    fill(db.store, TEA, "has cats", f"{TEA}!", f"Well, {TEA.lower()}")

    report = tidy(run, db.store)

    (merged,) = report.merged
    assert (merged.namespace, merged.key, merged.deleted) == (ADA, "k3", ("k2", "k0"))
    assert merged.value == {"text": f"Well, {TEA.lower()}"}
    assert merged.similarity == pytest.approx(15 / 16)
    assert (report.deleted, report.looked_at, report.mode, report.conflicts) == (2, 4, "text", ())
    assert texts(db.store) == [f"Well, {TEA.lower()}", "has cats"]


def test_what_is_not_alike_enough_stays(db: Database, run: Colour) -> None:
    fill(db.store, TEA, TEA.replace("green", "black"))

    assert tidy(run, db.store).merged == ()
    assert db.store.count() == 2
    assert tidy(run, db.store, above=0.8).deleted == 1


def test_the_history_is_kept_and_knows_who_it_was(db: Database, run: Colour) -> None:
    fill(db.store, "likes tea", "Likes tea.")

    report = tidy(run, db.store)

    newest, before = db.store.history(ADA, "k1")
    gone, _ = db.store.history(ADA, "k0")
    assert before.value == {"text": "Likes tea."}
    assert gone.value is None
    assert newest.revision == gone.revision  # one commit
    assert {(v.origin.thread, v.origin.node) for v in (newest, gone)} == {(report.thread, "consolidate")}


def test_it_is_taken_back_as_a_whole_and_later_writes_stand(db: Database, run: Colour) -> None:
    fill(db.store, "likes tea", "Likes tea.", "has cats", "Has cats!")
    report = tidy(run, db.store, merge=lambda items: {"text": " / ".join(i.value["text"] for i in items)})
    assert texts(db.store) == ["Has cats! / has cats", "Likes tea. / likes tea"]
    db.store.put(ADA, "k9", {"text": "later"})
    db.store.put(ADA, "k3", {"text": "later, too"})

    back = db.store.revert(thread=report.thread)

    assert sorted(texts(db.store)) == sorted(["likes tea", "Likes tea.", "has cats", "later, too", "later"])
    assert [(c.key, c.reason) for c in back.conflicts] == [("k3", "written later")]


def test_a_dry_run_says_what_would_be_and_writes_nothing(db: Database, run: Colour) -> None:
    fill(db.store, "likes tea", "Likes tea.")
    before = db.store.search(ADA)

    planned = tidy(run, db.store, dry_run=True)

    assert db.store.search(ADA) == before
    assert [item.version for item in db.store.search(ADA)] == [item.version for item in before]
    assert planned.dry_run
    assert planned.thread is None
    assert planned.merged == tidy(run, db.store).merged


def test_doing_it_again_does_nothing(db: Database, run: Colour) -> None:
    fill(db.store, "likes tea", "Likes tea.")
    tidy(run, db.store)
    (version,) = [item.version for item in db.store.search(ADA)]

    again = tidy(run, db.store)

    assert (again.merged, again.thread) == ((), None)
    assert [item.version for item in db.store.search(ADA)] == [version]


def test_namespaces_are_never_mixed(db: Database, run: Colour) -> None:
    fill(db.store, "likes tea", "likes tea")
    fill(db.store, "likes tea", "likes tea", namespace=BOB)
    fill(db.store, "likes tea", namespace=(*ADA, "notes"))

    report = tidy(run, db.store, ("users",))

    assert [one.namespace for one in report.merged] == [BOB, ADA]
    assert db.store.count() == 3


def test_different_numbers_are_different_facts(db: Database, run: Colour) -> None:
    long = "The meeting of the whole team with the customer is in the big room upstairs at "
    fill(db.store, f"{long} 10", f"{long} 11", f"{long} 10 ")

    report = tidy(run, db.store)

    assert [one.deleted for one in report.merged] == [("k0",)]


def test_order_counts(db: Database, run: Colour) -> None:
    fill(db.store, "Bob owes Ada money", "Ada owes Bob money")

    assert tidy(run, db.store).merged == ()


def test_by_default_fields_that_only_older_ones_have_are_kept(db: Database, run: Colour) -> None:
    db.store.put(ADA, "a", {"text": "likes tea", "since": 2020, "sure": False})
    db.store.put(ADA, "b", {"text": "Likes tea", "sure": True})

    tidy(run, db.store)

    assert [item.value for item in db.store.search(ADA)] == [
        {"text": "Likes tea", "since": 2020, "sure": True}
    ]


def test_a_function_merges_and_may_leave_a_group_alone(db: Database, run: Colour) -> None:
    fill(db.store, "likes tea", "Likes tea.", "has cats", "Has cats!")
    seen: list[list[str]] = []

    def merge(items: list[Item]) -> str | None:
        seen.append([item.key for item in items])
        return "Ada likes tea" if "tea" in items[0].value["text"] else None

    report = tidy(run, db.store, merge=merge)

    assert seen == [["k3", "k2"], ["k1", "k0"]]
    assert len(report.merged) == 1
    assert texts(db.store) == ["Ada likes tea", "Has cats!", "has cats"]


async def test_a_merge_may_be_async_where_one_can_wait(db: Database) -> None:
    fill(db.store, "likes tea", "Likes tea.")

    async def merge(items: list[Item]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"text": "merged"}

    with pytest.raises(TypeError, match="aconsolidate"):
        consolidate(db.store, ADA, merge=merge)
    assert db.store.count() == 2
    await aconsolidate(db.store, ADA, merge=merge)
    assert texts(db.store) == ["merged"]


async def test_a_slow_merge_does_not_stop_the_loop(db: Database) -> None:
    fill(db.store, "likes tea", "Likes tea.")
    going = threading.Event()

    def merge(items: list[Item]) -> str:
        assert going.wait(10), "the loop was stopped"
        return "merged"

    async def meanwhile() -> None:
        going.set()

    await asyncio.gather(aconsolidate(db.store, ADA, merge=merge), meanwhile())

    assert texts(db.store) == ["merged"]


@pytest.mark.parametrize("wrong", [5, "", ["a"], {"text": object()}, {1: 2}])
def test_a_merge_that_gives_no_value_changes_nothing(db: Database, run: Colour, wrong: Any) -> None:
    fill(db.store, "has cats", "Has cats!", "likes tea", "Likes tea.")
    made = iter(["fine", wrong])

    with pytest.raises((PerdureError, EncodingError), match="Nothing was written"):
        tidy(run, db.store, merge=lambda items: next(made))

    assert db.store.count() == 4


# ---- what goes with an item


def test_what_is_found_of_an_item_stays_so(db: Database, run: Colour) -> None:
    db.store.put(ADA, "a", {"text": "likes tea", "secret": "milk"}, index=["text"])
    db.store.put(ADA, "b", {"text": "Likes tea!", "secret": "milk"}, index=["text"])
    db.store.put(ADA, "c", {"text": "likes tea"}, index=False)

    report = tidy(run, db.store)

    assert [one.deleted for one in report.merged] == [("a",)]  # who is not to be found is not compared
    assert [item.key for item in db.store.search(ADA, query="tea")] == ["b"]
    assert db.store.search(ADA, query="milk") == []


def test_the_longest_life_of_a_group_counts(opened: Callable[..., Database], run: Colour) -> None:
    with FakeClock() as clock:
        db = opened(ttl={"default_ttl": 60})
        for number, (text, ttl) in enumerate(
            [
                ("likes tea", 100),
                ("Likes tea.", 5),
                ("has cats", None),
                ("Has cats!", 5),
                ("sings", 5),
                ("Sings!", 7),
            ]
        ):
            db.store.put(ADA, f"k{number}", {"text": text}, ttl=ttl)

        tidy(run, db.store)

        ends = {i.key: i.ttl for i in db.store.search(ADA, refresh_ttl=False)}
        assert ends == {"k1": 100, "k3": None, "k5": 7}
        clock.advance(minutes=8)
        assert sorted(i.key for i in db.store.search(ADA, refresh_ttl=False)) == ["k1", "k3"]


def test_looking_refreshes_no_life(opened: Callable[..., Database], run: Colour) -> None:
    with FakeClock() as clock:
        db = opened(ttl={"default_ttl": 10})
        fill(db.store, "likes tea", "has cats")
        clock.advance(minutes=6)
        tidy(run, db.store)
        clock.advance(minutes=6)

        assert db.store.count() == 0


def test_a_filter_leaves_the_others_alone(db: Database, run: Colour) -> None:
    for number in range(4):
        db.store.put(ADA, f"k{number}", {"text": "likes tea", "kind": "old" if number < 2 else "new"})

    tidy(run, db.store, filter={"kind": "old"})

    assert sorted(item.key for item in db.store.search(ADA)) == ["k1", "k2", "k3"]


def test_an_encrypted_store_is_compared_by_words(opened: Callable[..., Database], run: Colour) -> None:
    db = opened(encryption=b"k" * 32)
    fill(db.store, "likes tea", "Likes tea.")

    assert tidy(run, db.store).deleted == 1


def test_a_scope_tidies_its_own(db: Database, run: Colour) -> None:
    fill(db.store, "likes tea", "Likes tea.", namespace=(*ADA, "notes"))
    fill(db.store, "likes tea", "Likes tea.", namespace=(*BOB, "notes"))

    report = tidy(run, db.store.scoped(ADA), ())

    (merged,) = report.merged
    assert merged.namespace == ("notes",)
    assert {item.namespace for item in merged.items} == {("notes",)}
    assert [item.namespace for item in db.store.search(())] == [
        (*ADA, "notes"),
        (*BOB, "notes"),
        (*BOB, "notes"),
    ]


# ---- by meaning


def test_meaning_decides_where_the_store_has_a_model(opened: Callable[..., Database], run: Colour) -> None:
    model = Table(
        {
            "likes tea": [1, 0, 0],
            "tea is her drink": [0.99, 0.1, 0],
            "likes cats": [0, 1, 0],
            "tea 2": [1, 0, 0],
        }
    )
    db = opened(index={"embed": model, "dims": 3, "fields": ["text"]})
    fill(db.store, *model.rows)
    model.asked.clear()
    db.store._codec.embedder.forget()  # type: ignore[union-attr]

    report = tidy(run, db.store, dry_run=True)

    (merged,) = report.merged
    assert (merged.key, merged.deleted, report.mode) == ("k1", ("k0",), "vector")
    assert merged.similarity == pytest.approx(0.99 / (0.99**2 + 0.01) ** 0.5)
    assert model.asked == []  # the vectors that the store keeps are enough
    assert tidy(run, db.store, mode="text", dry_run=True).merged == ()
    assert tidy(run, db.store, above=0.999, dry_run=True).merged == ()

    tidy(run, db.store)
    assert sorted(texts(db.store)) == ["likes cats", "tea 2", "tea is her drink"]
    assert db.store.search(ADA, query="x", mode="vector", limit=9) != []


def test_an_item_without_vectors_gets_them_now(opened: Callable[..., Database], run: Colour) -> None:
    model = Table({"likes tea": [1, 0, 0], "tea is her drink": [1, 0.1, 0]})
    broken = True

    def embed(some: Any) -> Any:
        if broken:
            raise ConnectionError("down")
        return model(some)

    db = opened(index={"embed": embed, "dims": 3, "fields": ["text"], "on_embed_error": "defer"})
    fill(db.store, "likes tea", "tea is her drink")
    broken = False

    assert tidy(run, db.store).deleted == 1
    assert sorted(model.asked)[:2] == ["likes tea", "tea is her drink"]


# ---- what cannot be right


@pytest.mark.parametrize(
    "wrong",
    [
        {"above": 0},
        {"above": 1.01},
        {"above": True},
        {"above": "0.9"},
        {"mode": "hybrid"},
        {"mode": "vector"},
    ],
)
def test_arguments_that_cannot_be_right_are_refused(db: Database, run: Colour, wrong: Any) -> None:
    fill(db.store, "likes tea", "likes tea")

    with pytest.raises(QueryError):
        tidy(run, db.store, **wrong)

    assert db.store.count() == 2


def test_a_store_without_versions_is_refused(run: Colour, db: Database) -> None:
    for store in (Foreign(), db, None):
        with pytest.raises(NotSupported, match="Nothing was changed"):
            tidy(run, store)


def test_a_store_of_nothing_is_tidy(db: Database, run: Colour) -> None:
    assert tidy(run, db.store, ()) == Consolidated((), (), 0, "text")


# ---- the same everywhere


sayings = st.sampled_from(
    [
        "likes tea",
        "Likes tea.",
        "likes green tea",
        "has cats",
        "has two cats",
        "has 2 cats",
        "",
        "tea likes",
        "katzen",
    ]
)


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), sayings), max_size=14),
    st.sampled_from([0.5, 0.66, 0.9, 1.0]),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_every_database_comes_to_the_same(writes: list[tuple[str, str]], above: float) -> None:
    outcomes: list[Any] = []
    for url in ("memory://", "sqlite:///:memory:"):
        with connect(url) as db:
            for key, text in writes:
                db.store.put(ADA, key, {"text": text})
            report = consolidate(db.store, ADA, above=above)
            left = [(item.key, item.value) for item in db.store.search(ADA, limit=99)]
            outcomes.append(([(m.key, m.deleted, m.similarity) for m in report.merged], left))
            if report.thread is not None:
                db.store.revert(thread=report.thread)
            assert {i.key: i.value["text"] for i in db.store.search(ADA, limit=99)} == dict(writes)

    assert outcomes[0] == outcomes[1]
