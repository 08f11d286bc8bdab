"""What forgetting does in Perdure's stores, as functions that raise AssertionError.

`FORGET_CHECKS` and `ASYNC_FORGET_CHECKS` belong to the suite of `stores.py`. Give each check a fresh, empty store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from perdure.errors import Compacted, QueryError
from perdure.storage.item_store import ItemStore
from perdure.testing.raised import raised

__all__ = ["ASYNC_FORGET_CHECKS", "FORGET_CHECKS"]

ADA: Final = ("users", "ada")


def what_is_forgotten_has_no_past(store: ItemStore) -> None:
    """Neither items nor histories nor words; a receipt counts them; its neighbours stay."""
    store.put_many([((*ADA, "notes"), "a", {"text": "likes tea"}), (("users", "adam"), "a", {"text": "tea"})])
    store.put((*ADA, "notes"), "a", {"text": "likes milk"})
    store.put(ADA, "gone", {"n": 1})
    store.delete(ADA, "gone")

    planned = store.forget(ADA, dry_run=True)
    assert (planned.revision, planned.scrubbed, store.count(ADA)) == (None, False, 1)
    receipt = store.forget(ADA)

    assert (
        receipt.counts
        == planned.counts
        == {"items": 1, "history": 4, "postings": 2, "vectors": 0, "staged": 0}
    )
    assert receipt.prefix == ADA
    assert receipt.revision is not None
    assert receipt.scrubbed
    assert (receipt.threads, receipt.deleted_threads) == ((), ())
    assert store.count() == 1
    assert store.history((*ADA, "notes"), "a") == store.history(ADA, "gone") == []
    assert store.blame(ADA, "gone") is None
    assert store.search((), query="milk") == []
    assert [item.namespace for item in store.search((), query="tea")] == [("users", "adam")]


def forgetting_again_only_scrubs(store: ItemStore) -> None:
    """No commit is made, and no version comes back."""
    store.put(ADA, "a", {"n": 1})
    first = store.get(ADA, "a")
    assert first is not None
    assert first.version is not None
    store.forget(ADA)

    again = store.forget(ADA)

    assert (again.revision, again.scrubbed, set(again.counts.values())) == (None, True, {0})
    store.put(ADA, "a", {"n": 2})
    second = store.get(ADA, "a")
    assert second is not None
    assert second.version is not None
    assert second.version > first.version
    assert [version.value for version in store.history(ADA, "a")] == [{"n": 2}]


def older_views_say_that_something_is_missing(store: ItemStore) -> None:
    """Those since show all there is."""
    store.put(ADA, "a", {"n": 1})
    store.put(("kept",), "k", {"n": 2})
    old = store.get(("kept",), "k")
    assert old is not None
    receipt = store.forget(ADA, scrub=False)
    assert not receipt.scrubbed
    store.delete(("kept",), "k")

    assert old.revision is not None
    past = store.at(old.revision)
    raised(Compacted, lambda: past.search(()))
    raised(Compacted, lambda: past.get(ADA, "a"))
    kept = past.get(("kept",), "k")
    assert kept is not None
    assert kept.value == {"n": 2}
    assert receipt.revision is not None
    assert [item.key for item in store.at(receipt.revision).search(())] == ["k"]


def too_much_is_not_forgotten_by_mistake(store: ItemStore) -> None:
    """All memory; a prefix that is text; threads that are text."""
    store.put(ADA, "a", {})
    bad: Any
    for bad in ((), "users", ("a.b",)):
        raised(QueryError, lambda prefix=bad: store.forget(prefix))
    raised(QueryError, lambda: store.forget(ADA, threads="t"))

    assert store.count() == 1


FORGET_CHECKS: Final[tuple[Callable[[ItemStore], None], ...]] = (
    what_is_forgotten_has_no_past,
    forgetting_again_only_scrubs,
    older_views_say_that_something_is_missing,
    too_much_is_not_forgotten_by_mistake,
)


async def forgetting_has_another_colour(store: ItemStore) -> None:
    """The same, awaited."""
    await store.aput(ADA, "a", {"n": 1})

    receipt = await store.aforget(ADA)

    assert (receipt.counts["items"], receipt.scrubbed) == (1, True)
    assert await store.acount() == 0


ASYNC_FORGET_CHECKS: Final[tuple[Callable[[ItemStore], Awaitable[None]], ...]] = (
    forgetting_has_another_colour,
)
