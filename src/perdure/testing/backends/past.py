"""Checks of the past of memory: histories, views as of a commit, what they say when it is no longer kept."""

from __future__ import annotations

from perdure.errors import Compacted
from perdure.storage.contract import (
    Backend,
    Namespace,
    Origin,
    PruneHistory,
    PruneVersions,
    PutItem,
    Revision,
)
from perdure.testing import hostile
from perdure.testing.backends.kit import NOTES, Make, commit_of, opened, put_of
from perdure.testing.raised import raised

NEVER = Revision(0, 0)


def _values(db: Backend, revision: Revision, prefix: Namespace = ()) -> dict[str, bytes | None]:
    with db.read() as now:
        return {row.key: row.value for row in now.items_at(prefix, revision, None, 1_000)}


def check_a_history_is_newest_first(make: Make) -> None:
    """Deletions included, also of an item that is gone; it says whether it is whole."""
    with opened(make) as db:
        for at, value in enumerate((b"1", b"2", None, b"3", None)):
            db.commit(commit_of(at, items=[put_of("k", value, origin=Origin("t", None, f"node{at}"))]))
        with db.read() as now:
            history = now.history(NOTES, "k", 9)
            assert [row.value for row in history.versions] == [None, b"3", None, b"2", b"1"]
            assert [row.origin.node for row in history.versions] == [f"node{n}" for n in (4, 3, 2, 1, 0)]
            assert [row.created_at for row in history.versions] == [3, 3, 0, 0, 0]
            assert history.whole
            some = now.history(NOTES, "k", 2)
            assert (some.versions, some.whole) == (history.versions[:2], False)
            assert now.history(NOTES, "k", 5).whole
            nothing = now.history(NOTES, "other", 9)
            assert (nothing.versions, nothing.whole) == ([], True)

        db.commit(commit_of(removals=[PruneHistory(2)]))  # the first ended at 1
        with db.read() as now:
            left = now.history(NOTES, "k", 9)
            assert (left.versions, left.whole) == (history.versions[:4], False)


def check_a_view_is_what_was_read_then(make: Make) -> None:
    """Every listing, item and namespace as of every commit; pages of it; order of versions as of then."""
    with opened(make) as db:
        seen: list[tuple[Revision, dict[Namespace, object]]] = []
        prefixes = sorted({space[:depth] for space in hostile.NAMESPACES for depth in (0, 1, 2)})
        for n, namespace in enumerate((*hostile.NAMESPACES, *hostile.NAMESPACES[::-1])):
            key = hostile.STRINGS[n % 3]
            value = None if n % 5 == 4 else b"%d" % n
            revision = db.commit(
                commit_of(items=[PutItem(namespace, key, value), put_of("often", b"%d" % n)])
            )
            with db.read() as now:
                seen.append((revision, {p: (now.items(p, None, 999), now.namespaces(p)) for p in prefixes}))

        with db.read() as now:
            for revision, answers in seen:
                for prefix, answer in answers.items():
                    listed = now.items_at(prefix, revision, None, 999)
                    assert (listed, now.namespaces_at(prefix, revision)) == answer
                    assert now.items_at(prefix, revision, None, 2) == listed[:2]
                    if listed:
                        assert now.items_at(prefix, revision, listed[0].version, 3) == listed[1:4]
                        row = listed[-1]
                        assert now.item_at(row.namespace, row.key, revision) == row
                assert now.items_at((), revision, None, 0) == []
            assert now.items_at((), NEVER, None, 9) == now.namespaces_at((), NEVER) == []
            assert now.item_at(NOTES, "often", NEVER) is None
            assert now.item_at(NOTES, "never", NEVER) is None


def check_a_view_over_many_namespaces_is_in_order(make: Make) -> None:
    """More namespaces than a backend merges, and more rows than it fetches at once: the same answers."""
    with opened(make) as db:
        db.commit(commit_of(items=[put_of("k", b"%d" % n, ("many", f"{n:03}")) for n in range(300)]))
        with db.read() as now:
            then, spaces, revision = now.items((), None, 999), now.namespaces(()), now.revision()
        db.commit(commit_of(items=[put_of("k", b"new", ("many", f"{n:03}")) for n in range(0, 300, 2)]))
        db.commit(commit_of(items=[put_of("k", None, ("many", f"{n:03}")) for n in range(0, 300, 3)]))

        with db.read() as now:
            assert now.items_at(("many",), revision, None, 999) == then
            assert now.items_at((), revision, then[99].version, 50) == then[100:150]
            assert now.namespaces_at((), revision) == spaces
            changed = {n for n in range(300) if n % 2 == 0 or n % 3 == 0}
            touched = now.touched((), revision, None)
            assert sorted(touched) == [(("many", f"{n:03}"), "k") for n in sorted(changed)]


def check_a_view_is_exact_or_compacted(make: Make) -> None:
    """A version that was pruned makes older views of its item an error, never of others; a deletion, of all that may be short."""
    with opened(make) as db:
        revisions = [
            db.commit(commit_of(at, items=[put_of(key, value)]))
            for at, key, value in (
                (10, "a", b"1"), (20, "b", b"1"), (30, "b", b"2"), (40, "gone", b"1"), (50, "gone", None), (60, "a", b"2"),
            )
        ]  # fmt: skip

        db.commit(commit_of(removals=[PruneHistory(31)]))  # b's first, which ended at 30

        error = raised(Compacted, lambda: _values(db, revisions[1]))
        assert (error.asked, error.oldest) == (str(revisions[1]), str(revisions[2]))
        assert _values(db, revisions[2]) == {"a": b"1", "b": b"2"}
        with db.read() as now:
            assert now.floor() == NEVER
            item = now.item_at(NOTES, "a", revisions[1])
            assert item is not None
            assert item.value == b"1"
            assert now.item_at(NOTES, "gone", revisions[1]) is None
            error = raised(Compacted, lambda: now.item_at(NOTES, "b", revisions[1]))
            assert error.oldest == str(revisions[2])

        db.commit(commit_of(removals=[PruneHistory(51)]))  # and all of the item that is gone

        assert _values(db, revisions[4]) == {"a": b"1", "b": b"2"}
        error = raised(Compacted, lambda: _values(db, revisions[3]))
        assert (error.asked, error.oldest) == (str(revisions[3]), str(revisions[4]))
        with db.read() as now:
            assert now.floor() == revisions[4]
            item = now.item_at(NOTES, "a", revisions[3])
            assert item is not None
            assert item.value == b"1"
            assert now.item_at(NOTES, "gone", revisions[4]) is None
            raised(Compacted, lambda: now.item_at(NOTES, "gone", revisions[3]))
            raised(Compacted, lambda: now.namespaces_at((), revisions[3]))
            raised(Compacted, lambda: now.items_at(("nowhere",), revisions[3], None, 9))

        db.commit(commit_of(70, items=[put_of("gone", b"again")]))
        with db.read() as now:
            raised(Compacted, lambda: now.item_at(NOTES, "gone", revisions[3]))
            assert now.item_at(NOTES, "gone", revisions[4]) is None


def check_what_is_missing_from_changes_is_known(make: Make) -> None:
    """Of each subtree, since when all its changes are kept: only versions written later and pruned count, and the floor."""
    with opened(make) as db:
        elsewhere = PutItem(("else",), "k", b"1")
        revisions = [
            db.commit(commit_of(at, items=[item]))
            for at, item in (
                (10, put_of("a", b"1")), (20, put_of("a", b"2")), (30, elsewhere), (40, put_of("a", b"3")),
                (50, put_of("gone", b"1")), (60, put_of("gone", None)),
            )
        ]  # fmt: skip

        def since(prefix: Namespace) -> list[Revision]:
            with db.read() as now:
                return [now.complete_since(prefix, revision) for revision in (NEVER, *revisions)]

        assert since(()) == [NEVER, *revisions]
        db.commit(commit_of(removals=[PruneHistory(41)]))  # both older versions of a
        second = revisions[1]
        assert since(()) == since(NOTES) == [second, second, *revisions[1:]]
        assert since(("else",)) == [NEVER, *revisions]
        db.commit(commit_of(removals=[PruneHistory(61)]))  # and all of what is gone
        assert since(()) == since(("else",)) == since(("nowhere",)) == [revisions[-1]] * 7
        with db.read() as now:
            later = revisions[-1]._replace(seq=99)
            assert now.complete_since((), later) == later


def check_a_deletion_that_was_pruned_in_the_middle_is_remembered(make: Make) -> None:
    """An item that was written again knows that something was there before."""
    with opened(make) as db:
        revisions = [
            db.commit(commit_of(at, items=[put_of("k", value)]))
            for at, value in ((10, b"1"), (20, None), (30, b"2"))
        ]
        db.commit(commit_of(removals=[PruneHistory(25)]))

        with db.read() as now:
            assert now.floor() == NEVER
            history = now.history(NOTES, "k", 9)
            assert ([row.value for row in history.versions], history.whole) == ([b"2"], False)
            for revision in revisions[:2]:
                error = raised(Compacted, lambda at=revision: now.item_at(NOTES, "k", at))
                assert error.oldest == str(revisions[2])
                raised(Compacted, lambda at=revision: now.items_at(NOTES, at, None, 9))


def check_versions_of_an_item_are_pruned_by_number(make: Make) -> None:
    """The newest stay, oldest go first; a deletion counts; of what is gone nothing stays where one is kept."""
    with opened(make) as db:
        for at, key, value in (
            (1, "a", b"1"), (2, "a", b"2"), (3, "a", None), (4, "a", b"3"), (5, "gone", b"1"), (6, "gone", None), (7, "b", b"1"),
        ):  # fmt: skip
            db.commit(commit_of(at, items=[put_of(key, value)]))
        a, gone, b = ((NOTES, key) for key in ("a", "gone", "b"))

        def left(where: tuple[Namespace, str]) -> list[bytes | None]:
            with db.read() as now:
                return [row.value for row in now.history(*where, 9).versions]

        db.commit(commit_of(removals=[PruneVersions((a, gone, b, (NOTES, "never")), 2, limit=1)]))
        assert (left(a), left(gone), left(b)) == ([b"3", None, b"2"], [None, b"1"], [b"1"])
        db.commit(commit_of(removals=[PruneVersions((a, gone), 2)]))
        assert (left(a), left(gone)) == ([b"3", None], [None, b"1"])
        db.commit(commit_of(removals=[PruneVersions((a, gone, b), 1)]))
        assert (left(a), left(gone), left(b)) == ([b"3"], [], [b"1"])
        with db.read() as now:
            assert (now.count("items"), now.count("history"), now.floor()) == (2, 2, Revision(0, 6))
        db.commit(commit_of(removals=[PruneHistory(1_000)]))  # nothing that ended is left
        assert (left(a), left(b)) == ([b"3"], [b"1"])


def check_a_moment_has_a_revision(make: Make) -> None:
    """The greatest one whose commit was made at or before it, even where a clock stepped back."""
    with opened(make) as db:
        first, second, third = (db.commit(commit_of(at)) for at in (100, 50, 200))

        with db.read() as now:
            answers = {at: now.revision_at(at) for at in (-1, 49, 50, 100, 199, 200, 1 << 80)}
        assert answers == {
            -1: NEVER,
            49: NEVER,
            50: second,
            100: second,
            199: second,
            200: third,
            1 << 80: third,
        }
        assert first < second


def check_what_was_touched_is_told(make: Make) -> None:
    """Items written after a commit, deleted ones too, in order of their newest version; of a thread, if one is named."""
    with opened(make) as db:
        first = db.commit(commit_of(items=[put_of("a", b"1"), put_of("b", b"1"), put_of("c", b"1")]))
        second = db.commit(
            commit_of(items=[put_of("b", b"2", origin=Origin("t")), put_of("a", None, origin=Origin("u"))])
        )
        db.commit(commit_of(items=[put_of("b", b"3"), put_of("k", b"1", ("other",), Origin("t"))]))

        with db.read() as now:
            a, b, k = (NOTES, "a"), (NOTES, "b"), (("other",), "k")
            assert now.touched((), first, None) == [a, b, k]
            assert now.touched(NOTES, first, None) == [a, b]
            assert now.touched((), second, None) == [b, k]
            assert now.touched((), first, "t") == [b, k]
            assert now.touched((), NEVER, "u") == [a]
            assert now.touched((), second, "u") == now.touched(("nowhere",), NEVER, None) == []
