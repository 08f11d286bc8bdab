"""Checks of what a search by meaning finds: vectors, namespace by namespace, and what is new of them."""

from __future__ import annotations

from struct import pack

from perdure.storage.contract import (
    Embedded,
    Filed,
    FileItem,
    MendIndexes,
    MendVectors,
    Namespace,
    PruneHistory,
    PutItem,
    Snapshot,
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
