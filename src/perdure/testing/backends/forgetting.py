"""Checks of forgetting: nothing of a subtree is left, everything beside it stays, views do not lie."""

from __future__ import annotations

from perdure.errors import Compacted, Conflict
from perdure.storage.contract import (
    Backend,
    Filed,
    ForgetItems,
    Forgettable,
    Origin,
    PutItem,
    Revision,
    StagedRow,
    SubtreeIs,
)
from perdure.testing.backends.kit import Make, checkpoint_of, commit_of, opened, put_of
from perdure.testing.raised import raised

ADA = ("users", "ada")
NOTES = (*ADA, "notes")
ADAM = ("users", "adam")


def _filled(db: Backend) -> None:
    """Two users; one with a history, a deleted item, words, staged memory."""
    tea, milk = Filed("english", {"tea": 1, "hot": 2}, 3), Filed("english", {"tea": 1}, 1)
    by_bob = Origin("bob", None, "node", None)
    db.commit(commit_of(items=[PutItem(NOTES, "a", b"1", by_bob, tea), put_of("b", b"1", ADA)]))
    db.commit(commit_of(items=[PutItem(NOTES, "a", b"2", Origin(), tea), put_of("b", None, ADA)]))
    db.commit(commit_of(items=[PutItem(ADAM, "a", b"3", Origin("eve"), milk)]))
    rows = [StagedRow("t", "", "1", "task", n, space, "k", b"s") for n, space in enumerate((NOTES, ADAM))]
    db.commit(commit_of(checkpoints=[checkpoint_of("t", "1")], staged=rows))


def check_a_subtree_is_forgotten_with_its_past(make: Make) -> None:
    """Items, versions, words, staged memory; its neighbour stays, and nothing is counted that is gone."""
    with opened(make) as db:
        _filled(db)
        with db.read() as now:
            found = now.forgettable(ADA)
            assert found == Forgettable(1, 4, 2, 0, 1, ("bob", "t"))
            assert now.forgettable(("users", "a")) == Forgettable()
            before = max(row.version for row in now.changes(None, 99))

        revision = db.commit(commit_of(rests=[SubtreeIs(ADA, found)], removals=[ForgetItems(ADA)]))

        with db.read() as now:
            assert now.forgettable(ADA) == Forgettable()
            assert [row.key for row in now.changes(None, 99)] == ["a"]
            assert [row.namespace for row in now.staged("t", "", "1")] == [ADAM]
            assert [now.count(table) for table in ("items", "history", "postings", "staged")] == [1, 1, 1, 1]
            assert (now.namespaces(()), now.size(()), now.items(ADA, None, 9)) == ([ADAM], 1, [])
            assert now.text_totals((), "english") == (1, 1, 0)
            assert now.postings((), "english", "hot") == []
            assert now.history(NOTES, "a", 9).versions == []
            assert now.floor() == revision
        db.commit(commit_of(items=[put_of("a", b"new", NOTES)]))
        with db.read() as now:
            item = now.item(NOTES, "a")
            assert item is not None
            assert item.version > before
            assert now.history(NOTES, "a", 9).whole


def check_views_older_than_forgetting_do_not_lie(make: Make) -> None:
    """What they would miss raises Compacted; what is still kept is read; the present of then is exact."""
    with opened(make) as db:
        _filled(db)
        forgot = db.commit(commit_of(removals=[ForgetItems(ADA)]))

        with db.read() as now:
            old = Revision(0, 3)
            raised(Compacted, lambda: now.item_at(NOTES, "a", old))
            raised(Compacted, lambda: now.items_at((), old, None, 9))
            raised(Compacted, lambda: now.namespaces_at((), old))
            kept = now.item_at(ADAM, "a", old)
            assert kept is not None
            assert kept.value == b"3"
            assert [row.key for row in now.items_at((), forgot, None, 9)] == ["a"]
            assert now.item_at(NOTES, "a", forgot) is None


def check_forgetting_nothing_takes_no_view_away(make: Make) -> None:
    """Nor does a prefix that only begins alike."""
    with opened(make) as db:
        _filled(db)
        db.commit(commit_of(removals=[ForgetItems(("users", "a")), ForgetItems(("nobody",))]))

        with db.read() as now:
            assert now.floor() == Revision(0, 0)
            assert now.size(()) == 2


def check_a_receipt_is_what_was_forgotten(make: Make) -> None:
    """Where the subtree is not what was expected, nothing goes."""
    with opened(make) as db:
        _filled(db)
        with db.read() as now:
            found = now.forgettable(ADA)
        for more in (put_of("late", b"x", NOTES), put_of("a", b"x", NOTES)):
            db.commit(commit_of(items=[more]))
            late = commit_of(rests=[SubtreeIs(ADA, found)], removals=[ForgetItems(ADA)])
            raised(Conflict, lambda commit=late: db.commit(commit))
            with db.read() as now:
                assert now.forgettable(ADA).history > found.history
                assert now.item(NOTES, "a") is not None
                found = now.forgettable(ADA)
        db.commit(commit_of(items=[put_of("elsewhere", b"x", ADAM)]))
        db.commit(commit_of(rests=[SubtreeIs(ADA, found)], removals=[ForgetItems(ADA)]))

        db.scrub(1.0)
        with db.read() as now:
            assert now.size(()) == 2
