"""Checks of items that expire: invisible at once, swept by a version, refreshed without one, exact in views of the past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from perdure.errors import VersionConflict
from perdure.storage.contract import (
    EXPIRED,
    Backend,
    ItemIs,
    ItemRow,
    Origin,
    PutItem,
    RefreshItem,
    Revision,
    SweepItem,
)
from perdure.testing.backends.kit import NOTES, Make, commit_of, opened, put_of
from perdure.testing.backends.texts import filed_of
from perdure.testing.fake_clock import FakeClock
from perdure.testing.raised import raised

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OTHER = ("other",)


def _for(ttl: int, key: str = "k", value: bytes = b"v") -> PutItem:
    return PutItem(NOTES, key, value, filed=filed_of("tea"), ttl=ttl)


def _at(clock: FakeClock, micros: int) -> None:
    clock.set(EPOCH + timedelta(microseconds=micros))


def _live(db: Backend, key: str = "k") -> ItemRow | None:
    with db.read() as now:
        return now.item(NOTES, key)


def check_an_expired_item_is_gone_at_once(make: Make) -> None:
    """From its end on, from every answer; what stands beside it stays; nothing was written."""
    with opened(make) as db, FakeClock(EPOCH) as clock:
        db.commit(commit_of(100, items=[_for(50), put_of("stays", b"v"), PutItem(OTHER, "k", b"v", ttl=50)]))
        db.commit(commit_of(101, items=[PutItem(OTHER, "unfiled", b"v", ttl=50)]))
        for at, lives in ((100, True), (149, True), (150, False), (151, False)):
            _at(clock, at)
            with db.read() as now:
                assert now.now() == at
                row = now.item(NOTES, "k")
                assert (row is not None) == lives
                if row is not None:
                    assert (row.expires, row.ttl) == (150, 50)
                    assert row in now.items((), None, 9)
                assert [one.key for one in now.items(NOTES, None, 9)] == (
                    ["stays", "k"] if lives else ["stays"]
                )
                places = [(NOTES, "k"), (NOTES, "stays")]
                assert len(now.refs(places)) == (2 if lives else 1)
                (posting,) = now.postings((), "english", "tea")
                ref = posting[0]
                assert (ref in now.rows([ref]), ref in now.versions([ref])) == (lives, lives)
                assert now.text_lengths([ref], "english") == ({ref: posting[2]} if lives else {})
                assert now.text_totals((), "english").items == 1
                assert now.count("items") == 4
        _at(clock, 150)
        with db.read() as now:
            assert now.namespaces(()) == [OTHER, NOTES]  # one item there has a microsecond left
            assert [one.key for one in now.strays((), "english")] == ["stays", "unfiled"]
        _at(clock, 151)
        with db.read() as now:
            assert now.namespaces(()) == [NOTES]
            assert [one.key for one in now.strays((), "english")] == ["stays"]
            assert [one.key for one in now.lapsed((), 149, 9)] == []
            assert [one.key for one in now.lapsed((), 151, 9)] == ["k", "k", "unfiled"]
            assert [one.key for one in now.lapsed(OTHER, 151, 1)] == ["k"]
            assert now.revision().seq == 2


def check_a_sweep_is_a_deletion_by_expiry(make: Make) -> None:
    """One version, by an actor of its own; of what is there no longer, or has time left, nothing."""
    with opened(make) as db:
        db.commit(commit_of(100, items=[_for(50), put_of("stays", b"v"), _for(99, "later")]))
        sweeps = [SweepItem(NOTES, key) for key in ("k", "stays", "later", "never")]
        db.commit(commit_of(149, lives=sweeps))
        with db.read() as now:
            assert len(now.history(NOTES, "k", 9).versions) == 1
        swept = db.commit(commit_of(160, lives=sweeps))
        db.commit(commit_of(170, lives=sweeps))

        with db.read() as now:
            deletion, put = now.history(NOTES, "k", 9).versions
            assert (deletion.value, deletion.origin, deletion.revision) == (None, EXPIRED, swept)
            assert (deletion.created_at, deletion.updated_at, deletion.expires) == (100, 160, None)
            assert (put.value, put.expires, put.ttl) == (b"v", 150, 50)
            assert [row.key for row in now.changes(swept, 9)] == []
            assert [row.key for row in now.changes(Revision(0, swept.seq - 1), 9)] == ["k"]
            assert now.lapsed((), 170, 9) == []
            assert now.postings((), "english", "tea") != []  # of the one with time left
            assert now.text_totals((), "english").items == 1


def check_a_write_over_an_expired_item_sweeps_it_first(make: Make) -> None:
    """The item begins anew, for ever unless told; what is expected to be absent is; a deletion is the sweep's."""
    with opened(make) as db, FakeClock(EPOCH) as clock:
        db.commit(commit_of(100, items=[_for(50), _for(50, "gone"), _for(50, "live")]))
        old = _live(db)
        assert old is not None
        raised(
            VersionConflict,
            lambda: db.commit(
                commit_of(150, items=[put_of("k", b"w")], versions=[ItemIs(NOTES, "k", old.version)])
            ),
        )
        raised(
            VersionConflict,
            lambda: db.commit(commit_of(149, items=[put_of("k", b"w")], versions=[ItemIs(NOTES, "k", None)])),
        )
        absent = [ItemIs(NOTES, "k", None)]
        revision = db.commit(
            commit_of(
                200,
                versions=absent,
                items=[
                    PutItem(NOTES, "k", b"w", Origin("t"), keeps=True),
                    put_of("gone", None, origin=Origin("t")),
                ],
            )
        )

        _at(clock, 10_000)
        with db.read() as now:
            row = now.item(NOTES, "k")
            assert row is not None
            assert (row.value, row.created_at, row.expires, row.ttl) == (b"w", 200, None, None)
            line = now.history(NOTES, "k", 9).versions
            assert [(one.value, one.origin) for one in line] == [
                (b"w", Origin("t")),
                (None, EXPIRED),
                (b"v", Origin()),
            ]
            assert [one.revision for one in line[:2]] == [revision, revision]
            assert [one.origin for one in now.history(NOTES, "gone", 9).versions] == [EXPIRED, Origin()]
            assert [one.key for one in now.lapsed((), 10_000, 9)] == ["live"]


def check_a_refresh_makes_no_version(make: Make) -> None:
    """It moves the end of the version it names, and never back; a put begins anew, unless it keeps."""
    with opened(make) as db, FakeClock(EPOCH) as clock:
        db.commit(commit_of(100, items=[_for(50), put_of("for ever", b"v")]))
        row, other = _live(db), _live(db, "for ever")
        assert row is not None
        assert other is not None
        for expires in (170, 130):
            db.commit(commit_of(120, lives=[RefreshItem(NOTES, "k", row.version, expires)]))
        db.commit(
            commit_of(
                121,
                lives=[
                    RefreshItem(NOTES, "k", row.version + 1, 999),
                    RefreshItem(NOTES, "never", row.version, 999),
                    RefreshItem(NOTES, "for ever", other.version, 999),
                ],
            )
        )
        _at(clock, 169)
        assert _live(db) == row._replace(expires=170)
        assert _live(db, "for ever") == other
        with db.read() as now:
            assert now.history(NOTES, "k", 9).versions == [row._replace(expires=170)]
        # Promised while it lived, written when its time was over: it lives.
        db.commit(commit_of(180, lives=[RefreshItem(NOTES, "k", row.version, 190)]))
        _at(clock, 185)
        assert _live(db) == row._replace(expires=190)
        # What is kept is what stands when it is committed.
        kept = PutItem(NOTES, "k", b"w", ttl=5, keeps=True)
        db.commit(commit_of(186, items=[kept]))
        updated = _live(db)
        assert updated is not None
        assert (updated.value, updated.expires, updated.ttl) == (b"w", 190, 50)
        db.commit(commit_of(187, items=[_for(100)]))
        again = _live(db)
        assert again is not None
        assert (again.expires, again.ttl) == (287, 100)
        db.commit(commit_of(188, items=[PutItem(NOTES, "k", b"x", ttl=7, expires=1_000)]))
        said = _live(db)
        assert said is not None
        assert (said.expires, said.ttl) == (1_000, 7)
        # Swept, it is not refreshed any more.
        db.commit(commit_of(1_000, lives=[SweepItem(NOTES, "k")]))
        db.commit(commit_of(1_001, lives=[RefreshItem(NOTES, "k", said.version, 9_000)]))
        assert _live(db) is None


def check_a_view_judges_expiry_by_its_own_time(make: Make) -> None:
    """By the commit's, or the one that is asked; swept since or not, refreshed or not."""
    with opened(make) as db, FakeClock(EPOCH) as clock:
        first = db.commit(commit_of(100, items=[_for(50), _for(50, "fresh"), _for(500, "long")]))
        fresh = _live(db, "fresh")
        assert fresh is not None
        db.commit(commit_of(140, lives=[RefreshItem(NOTES, "fresh", fresh.version, 190)]))
        second = db.commit(commit_of(160, items=[PutItem(OTHER, "k", b"v", ttl=10)]))
        _at(clock, 300)

        _views_are_exact(db, first, second)
        db.commit(
            commit_of(300, lives=[SweepItem(NOTES, "k"), SweepItem(NOTES, "fresh"), SweepItem(OTHER, "k")])
        )
        _views_are_exact(db, first, second)


def _views_are_exact(db: Backend, first: Revision, second: Revision) -> None:
    with db.read() as now:
        assert [now.time_of(Revision(0, seq)) for seq in (0, 1, 3, 9)] == [0, 100, 160, 0]
        for revision, at, keys in (
            (first, None, ["long", "fresh", "k"]),
            (first, 149, ["long", "fresh", "k"]),
            (first, 150, ["long", "fresh"]),
            (first, 190, ["long"]),
            (second, None, ["k", "long", "fresh"]),
            (second, 170, ["long", "fresh"]),
            (second, 600, []),
        ):
            rows = now.items_at((), revision, None, 9, at)
            assert [row.key for row in rows] == keys, (revision, at)
            assert now.namespaces_at((), revision, at) == sorted({row.namespace for row in rows})
            for row in rows:
                assert now.item_at(row.namespace, row.key, revision, at) == row
            paged = now.items_at((), revision, None, 1, at)
            while page := now.items_at((), revision, paged[-1].version if paged else None, 1, at):
                paged += page
            assert paged == rows
        assert now.item_at(NOTES, "k", second) is None
        assert now.item_at(OTHER, "k", second, 170) is None
