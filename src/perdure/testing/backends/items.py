"""Checks of memory: items, their versions, subtrees, changes, the pruning of history."""

from __future__ import annotations

from typing import Any

from perdure.storage.contract import Origin, PruneHistory, PutItem
from perdure.testing import hostile
from perdure.testing.backends.kit import NOTES, Make, commit_of, opened, put_of


def check_items_come_back_equal(make: Make) -> None:
    """Whatever namespace, key, value and origin."""
    with opened(make) as db:
        for n, namespace in enumerate(hostile.NAMESPACES):
            for text in hostile.STRINGS[n % 4 :: 4]:
                value = hostile.PAYLOADS[n % len(hostile.PAYLOADS)]
                origin = (
                    Origin(text, text, text, None) if n % 2 else Origin(None, hostile.UUIDS[3], None, text)
                )
                revision = db.commit(commit_of(items=[PutItem(namespace, text, value, origin)]))

                with db.read() as now:
                    item = now.item(namespace, text)
                    assert item is not None
                    assert (item.namespace, item.key, item.value) == (namespace, text, value)
                    assert (item.revision, item.origin) == (revision, origin)
        with db.read() as now:
            assert now.namespaces(()) == sorted(hostile.NAMESPACES)


def check_an_item_keeps_when_it_began(make: Make) -> None:
    """`created_at` stays over replacements and begins anew after a deletion; times never go back; versions only grow."""
    with opened(make) as db:
        seen: list[tuple[int, int]] = []
        versions: list[int] = []
        for at, value in ((100, b"1"), (200, b"2"), (150, b"3"), (300, None), (50, b"4"), (400, b"5")):
            db.commit(commit_of(at, items=[put_of("k", value)]))
            with db.read() as now:
                item = now.item(NOTES, "k")
                versions.append(now.changes(None, 99)[-1].version)
                if item is not None:
                    assert item.value == value
                    seen.append((item.created_at, item.updated_at))

        assert seen == [(100, 100), (100, 200), (100, 200), (300, 300), (300, 400)]
        assert versions == sorted(set(versions))


def check_one_commit_may_write_an_item_twice(make: Make) -> None:
    """In their order; each is a version of its own."""
    with opened(make) as db:
        db.commit(
            commit_of(items=[put_of("k", b"1"), put_of("k", None), put_of("k", None), put_of("k", b"2")])
        )

        with db.read() as now:
            assert [row.value for row in now.changes(None, 9)] == [b"1", None, b"2"]
            item = now.item(NOTES, "k")
            assert item is not None
            assert item.value == b"2"
            assert (now.count("items"), now.count("history")) == (1, 3)


def check_deleting_what_is_not_there_is_nothing(make: Make) -> None:
    """No version, no change; the commit stands."""
    with opened(make) as db:
        revision = db.commit(commit_of(items=[put_of("k", None)]))

        with db.read() as now:
            assert now.revision() == revision
            assert (now.changes(None, 9), now.count("history"), now.namespaces(())) == ([], 0, [])


def check_a_prefix_is_a_subtree(make: Make) -> None:
    """Newest version first, deleted ones left out; `("a",)` never matches `("ab",)`; pages by version."""
    with opened(make) as db:
        for n, namespace in enumerate((*hostile.NAMESPACES, *hostile.NAMESPACES[::-1])):
            db.commit(commit_of(items=[put_of(f"k{n}", b"v", namespace), put_of("gone", b"v", namespace)]))
            db.commit(commit_of(items=[put_of("gone", None, namespace)]))
        with db.read() as now:
            everything = now.items((), None, 1_000)
            assert len(everything) == 2 * len(hostile.NAMESPACES)
            assert [row.version for row in everything] == sorted(
                (row.version for row in everything), reverse=True
            )
            for prefix in {space[:depth] for space in hostile.NAMESPACES for depth in (0, 1, 2)}:
                inside = [row for row in everything if row.namespace[: len(prefix)] == prefix]
                assert now.items(prefix, None, 1_000) == inside
                assert now.items(prefix, None, 2) == inside[:2]
                if inside:
                    assert now.items(prefix, inside[0].version, 3) == inside[1:4]
                assert now.namespaces(prefix) == sorted({row.namespace for row in inside})
            assert now.items(("nowhere",), None, 5) == now.items((), 0, 5) == now.items((), None, 0) == []


def check_a_subtree_of_many_namespaces_is_in_order(make: Make) -> None:
    """More namespaces than a backend merges: the same answers."""
    with opened(make) as db:
        puts = [put_of("k", b"%d" % n, ("many", f"{n * 7919 % 300:03}")) for n in range(300)]
        db.commit(commit_of(items=[*puts, put_of("k", b"x", ("other",))]))
        db.commit(commit_of(items=[put_of("k", b"new", ("many", "123")), put_of("k", None, ("many", "124"))]))

        with db.read() as now:
            found = now.items(("many",), None, 1_000)
            assert [row.value for row in found[:3]] == [b"new", b"299", b"298"]
            assert len(found) == 299
            assert now.items(("many",), found[99].version, 50) == found[100:150]
            assert len(now.namespaces(("many",))) == 299


def check_changes_come_in_whole_commits(make: Make) -> None:
    """By version, deletions included; a page never cuts a commit, and goes on where the last one ended."""
    with opened(make) as db:
        revisions = [
            db.commit(commit_of(items=[put_of(f"k{i}", b"%d" % n) for i in range(n)])) for n in range(1, 6)
        ]
        revisions.append(db.commit(commit_of(items=[put_of("k0", None)])))

        with db.read() as now:
            everything = now.changes(None, 100)
            assert len(everything) == 16
            assert everything[-1].value is None
            assert [row.version for row in everything] == sorted(row.version for row in everything)
            assert now.changes(None, 2) == everything[:3]
            assert now.changes(None, 4) == everything[:6]
            assert now.changes(revisions[1], 1) == everything[3:6]
            assert now.changes(revisions[4], 9) == everything[15:]
            assert now.changes(revisions[5], 9) == []
            paged: list[Any] = []
            while page := now.changes(paged[-1].revision if paged else None, 3):
                paged += page
            assert paged == everything


def check_history_is_pruned_first_ended_first(make: Make) -> None:
    """Only versions that ended before; live ones stay, whatever their age; a deletion goes when it is old enough."""
    with opened(make) as db:
        for at, key, value in (
            (10, "a", b"1"),
            (20, "b", b"1"),
            (30, "b", b"2"),
            (40, "a", b"2"),
            (50, "b", None),
            (60, "c", b"1"),
        ):
            db.commit(commit_of(at, items=[put_of(key, value)]))

        def left() -> list[tuple[str, bytes | None]]:
            with db.read() as now:
                return [(row.key, row.value) for row in now.changes(None, 99)]

        db.commit(commit_of(removals=[PruneHistory(30)]))
        assert len(left()) == 6
        db.commit(commit_of(removals=[PruneHistory(50, limit=1)]))
        assert left() == [("a", b"1"), ("b", b"2"), ("a", b"2"), ("b", None), ("c", b"1")]
        db.commit(commit_of(removals=[PruneHistory(50)]))
        assert left() == [("b", b"2"), ("a", b"2"), ("b", None), ("c", b"1")]
        db.commit(commit_of(removals=[PruneHistory(1_000)]))
        assert left() == [("a", b"2"), ("c", b"1")]
        with db.read() as now:
            assert (now.count("items"), now.count("history")) == (2, 2)
        db.commit(commit_of(5, items=[put_of("b", b"3")]))  # nothing of it was left: its time begins anew
        with db.read() as now:
            item = now.item(NOTES, "b")
            assert item is not None
            assert item.created_at == 5
