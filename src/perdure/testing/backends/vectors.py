"""Checks of what a search by meaning finds: vectors, namespace by namespace, and what is new of them."""

from __future__ import annotations

from struct import pack

from perdure.storage.contract import (
    OWED,
    Embedded,
    Filed,
    FileItem,
    ForgetItems,
    MendIndexes,
    MendVectors,
    Namespace,
    PruneHistory,
    PutItem,
    RefreshItem,
    Snapshot,
    SweepItem,
    UnfileItems,
)
from perdure.testing.backends.kit import NOTES, Make, commit_of, opened

MODEL = "model of 2"


def vector_put(
    key: str, *vectors: tuple[float, float], namespace: Namespace = NOTES, model: str = MODEL, **more: object
) -> PutItem:
    """An item with these vectors."""
    return PutItem(namespace, key, b"v", embedded=embedded_of(*vectors, model=model), **more)  # type: ignore[arg-type]


def embedded_of(*vectors: tuple[float, float], model: str = MODEL) -> Embedded:
    """Vectors as they are stored."""
    return Embedded(model, b"".join(pack("<2f", *vector) for vector in vectors))


def kept(
    now: Snapshot, prefix: Namespace, model: str = MODEL, after: int = 0
) -> dict[tuple[Namespace, str], bytes]:
    """Where which vectors are."""
    found: dict[tuple[Namespace, str], bytes] = {}
    for space, items, _ in now.vector_spaces(prefix, model):
        rows = now.vectors(space, model, after, 0, 1 << 60)
        assert [ref for ref, _ in rows] == sorted(ref for ref, _ in rows)
        if not after:
            assert [ref for ref, _ in rows] == now.embedded(space, model)
            assert len(rows) == items
        named = now.rows([ref for ref, _ in rows])
        found.update({(named[ref].namespace, named[ref].key): data for ref, data in rows})
    return found


def check_vectors_are_kept_by_namespace_and_model(make: Make) -> None:
    """With their item: replaced, deleted and put again with it."""
    one, two = pack("<2f", 1, 0), pack("<2f", 0, 1)
    with opened(make) as db:
        db.commit(
            commit_of(
                items=[
                    vector_put("a", (1, 0), namespace=("u", "a")),
                    vector_put("b", (1, 0), (0, 1), namespace=("u", "b")),
                    vector_put("c", (1, 0), namespace=("ub",)),
                    vector_put("d", (1, 0), namespace=("u", "a"), model="other"),
                    vector_put("e", (1, 0), namespace=("u", "a"), paths=()),
                    vector_put("f", namespace=("u", "a")),
                ]
            )
        )
        with db.read() as now:
            assert kept(now, ("u",)) == {(("u", "a"), "a"): one, (("u", "b"), "b"): one + two}
            assert kept(now, (), "other") == {(("u", "a"), "d"): one}
            assert kept(now, (), "none") == {}
            assert now.count("vectors") == 4
        db.commit(
            commit_of(items=[vector_put("a", (0, 1), namespace=("u", "a")), PutItem(("ub",), "c", None)])
        )
        db.commit(
            commit_of(items=[PutItem(("u", "b"), "b", b"w"), vector_put("d", (1, 0), namespace=("u", "a"))])
        )
        with db.read() as now:
            assert kept(now, ()) == {(("u", "a"), "a"): two, (("u", "a"), "d"): one}
            assert kept(now, (), "other") == {}
        db.commit(commit_of(items=[PutItem(("u", "a"), key, None) for key in "adef"]))
        db.commit(commit_of(1 << 50, removals=[PruneHistory(1 << 49)]))
        db.commit(commit_of(items=[vector_put("z", (1, 0), namespace=("x",))]))
        with db.read() as now:
            assert kept(now, ()) == {(("x",), "z"): one}
            assert now.count("vectors") == 1


def check_what_is_new_of_vectors_can_be_asked(make: Make) -> None:
    """Since a commit; a namespace tells which one changed it last."""
    with opened(make) as db:
        db.commit(commit_of(items=[vector_put("a", (1, 0)), vector_put("b", (1, 0))]))
        with db.read() as now:
            ((_, items, first),) = now.vector_spaces(NOTES, MODEL)
            assert items == 2
            assert first == now.revision().seq
        db.commit(commit_of(items=[PutItem(("other",), "c", b"v")]))
        with db.read() as now:
            assert [space.changed for space in now.vector_spaces((), MODEL)] == [first]
        db.commit(commit_of(items=[vector_put("b", (0, 1)), vector_put("c", (0, 1))]))
        with db.read() as now:
            assert {key for _, key in kept(now, (), after=first)} == {"b", "c"}
            assert [space.changed for space in now.vector_spaces((), MODEL)] == [now.revision().seq]
        db.commit(commit_of(items=[PutItem(NOTES, "a", None)]))
        with db.read() as now:
            ((_, items, changed),) = now.vector_spaces((), MODEL)
            assert (items, changed) == (2, now.revision().seq)


def check_an_item_is_embedded_later(make: Make) -> None:
    """`FileItem` gives vectors without a version, if the item still has the one that it names."""
    with opened(make) as db:
        db.commit(commit_of(items=[PutItem(NOTES, "a", b"v"), PutItem(NOTES, "b", b"v", paths=())]))
        with db.read() as now:
            rows = {row.key: row for row in now.items((), None, 9)}
        filings = [FileItem(NOTES, key, row.version, None, embedded_of((1, 0))) for key, row in rows.items()]
        db.commit(commit_of(filings=[*filings, FileItem(NOTES, "a", -1, None, embedded_of((0, 1)))]))
        with db.read() as now:
            assert kept(now, ()) == {(NOTES, "a"): pack("<2f", 1, 0)}
            assert {row.key: row.version for row in now.items((), None, 9)} == {
                key: row.version for key, row in rows.items()
            }


def check_vectors_that_are_owed_are_remembered(make: Make) -> None:
    """By version; until the item gets some, is told to have none, is written again, or goes."""

    def owed(after: int = 0, limit: int = 9) -> list[str]:
        with db.read() as now:
            return [row.key for row in now.owed(after, limit)]

    def file(key: str, embedded: Embedded | None, version: int | None = None) -> None:
        with db.read() as now:
            (row,) = [row for row in now.items((), None, 99) if row.key == key]
        db.commit(commit_of(filings=[FileItem(row.namespace, key, version or row.version, None, embedded)]))

    with opened(make) as db:
        db.commit(commit_of(items=[vector_put("had", (1, 0)), PutItem(NOTES, "none", b"v")]))
        keys = ["had", "b", "c", "d", "e", "f", "g"]
        puts = [PutItem((*NOTES, key), key, b"v", embedded=OWED) for key in keys[1:]]
        db.commit(commit_of(items=[PutItem(NOTES, "had", b"w", embedded=OWED), *puts]))
        db.commit(commit_of(items=[PutItem(NOTES, "hidden", b"v", embedded=OWED, paths=())]))
        assert owed() == keys
        assert owed(limit=2) == keys[:2]
        with db.read() as now:
            rows = now.owed(0, 9)
            assert kept(now, ()) == {}
        assert [row.value for row in rows] == [b"w", *[b"v"] * 6]
        assert owed(rows[1].version) == keys[2:]

        file("b", embedded_of((1, 0)))
        file("c", Embedded(MODEL, b""))
        file("d", None)  # words only
        file("e", embedded_of((1, 0)), version=-1)
        assert owed() == ["had", "d", "e", "f", "g"]
        with db.read() as now:
            assert kept(now, ()) == {((*NOTES, "b"), "b"): pack("<2f", 1, 0)}
        file("b", Embedded(MODEL, b""))
        with db.read() as now:
            assert kept(now, ()) == {}
        file("d", OWED)
        assert owed() == ["had", "e", "f", "g"]
        db.commit(
            commit_of(
                items=[
                    vector_put("had", (0, 1)),
                    PutItem((*NOTES, "d"), "d", b"v"),
                    PutItem((*NOTES, "e"), "e", None),
                    PutItem((*NOTES, "f"), "f", b"w", embedded=OWED),
                ]
            )
        )
        assert owed() == ["g", "f"]
        db.commit(commit_of(removals=[ForgetItems((*NOTES, "g"))]))
        assert owed() == ["f"]


def check_vectors_of_what_has_expired_are_owed_no_more(make: Make) -> None:
    """Swept or not; refreshing changes nothing of it."""
    with opened(make) as db:
        at = 1 << 50
        db.commit(commit_of(at, items=[PutItem(NOTES, "a", b"v", embedded=OWED, ttl=10**15)]))
        with db.read() as now:
            (row,) = now.owed(0, 9)
            assert row.expires is not None
        db.commit(commit_of(at, lives=[RefreshItem(NOTES, "a", row.version, row.expires + 1)]))
        with db.read() as now:
            assert len(now.owed(0, 9)) == 1
        db.commit(commit_of(at, items=[PutItem(NOTES, "b", b"v", embedded=OWED, expires=1)]))
        with db.read() as now:
            assert [row.key for row in now.owed(0, 9)] == ["a"]
        db.commit(commit_of(at, lives=[SweepItem(NOTES, "b")]))
        with db.read() as now:
            assert [row.key for row in now.owed(0, 9)] == ["a"]


def check_mending_what_is_sound_changes_nothing(make: Make) -> None:
    """A check finds nothing, and what mends takes nothing away; a namespace tells that it changed."""
    with opened(make) as db:
        db.commit(
            commit_of(
                items=[
                    vector_put("a", (1, 0), filed=Filed("x", {"tea": 1}, 1), ttl=1 << 50),
                    vector_put("b", (0, 1), paths=()),
                    vector_put("c", (0, 1)),
                    PutItem(("x",), "d", b"v"),
                ]
            )
        )
        db.commit(commit_of(items=[PutItem(NOTES, "c", None)]))
        with db.read() as now:
            assert now.disagreements() == []
            before = now.items((), None, 9), kept(now, ())
        db.commit(commit_of(removals=[MendIndexes(), MendVectors()]))
        with db.read() as now:
            assert now.disagreements() == []
            assert (now.items((), None, 9), kept(now, ())) == before
            assert len(now.postings((), "x", "tea")) == 1
            assert [space.changed for space in now.vector_spaces((), MODEL)] == [now.revision().seq]
        db.commit(commit_of(removals=[UnfileItems()]))
        with db.read() as now:
            assert now.disagreements() == []
            assert now.postings((), "x", "tea") == []
            assert sorted(row.key for row in now.strays((), "x")) == ["a", "d"]
