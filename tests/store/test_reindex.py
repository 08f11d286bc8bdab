"""After a change of index, items are filed anew: in batches, resumable, whoever writes meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import perdure
from databases import QUICK
from perdure.errors import QueryError
from perdure.store.base import NotSupported
from perdure.store.face import BackendStore, codec_of
from perdure.testing import FakeClock


@pytest.fixture(params=QUICK)
def db(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Any:
    with perdure.connect(url_of(request.param), index={"language": "german"}) as opened:
        yield opened


def english(db: perdure.Database) -> BackendStore:
    return BackendStore(db.backend, codec_of({"language": "english"}))


def strays(db: perdure.Database, store: BackendStore, prefix: tuple[str, ...] = ()) -> int:
    filer = store._codec.filer
    assert filer is not None
    with db.backend.read() as now:
        return now.text_totals(prefix, filer.analysis).strays


def fill(db: perdure.Database) -> None:
    db.store.put_many([(("many",), f"k{n}", {"text": f"running {n}"}) for n in range(1100)])
    db.store.put(("few",), "hidden", {"text": "running"}, index=False)
    db.store.put(("few",), "part", {"text": "secret", "open": "running"}, index=["open"])


def test_all_items_are_filed_as_the_store_says_and_no_version_is_made(db: perdure.Database) -> None:
    fill(db)
    store, told = english(db), []
    before = store.get(("few",), "part")
    assert strays(db, store) == 1101

    done = store.reindex(progress=told.append)

    assert (done.filed, done.changed, done.left) == (1101, 0, 0)
    assert len(told) >= 4
    assert [each.left for each in told] == sorted((each.left for each in told), reverse=True)
    assert strays(db, store) == 0
    assert strays(db, db.store) == 1101
    assert store.get(("few",), "part").version == before.version  # type: ignore[union-attr] - it is there
    assert store.search((), query="secret") == []
    assert [item.key for item in store.search(("few",), query="runs")] == ["part"]
    assert store.reindex().filed == 0


def test_stopped_it_goes_on_with_the_rest(db: perdure.Database) -> None:
    fill(db)
    store = english(db)

    def stop(so_far: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.reindex(("many",), progress=stop)
    assert strays(db, store) == 601

    assert store.reindex(("many",)).filed == 600
    assert strays(db, store) == 1


def test_an_item_written_meanwhile_is_left_and_taken_up_again(db: perdure.Database) -> None:
    fill(db)
    store = english(db)
    written: list[int] = []

    def write(so_far: Any) -> None:
        if not written:
            written.append(1)
            db.store.put(("many",), "k1099", {"text": "walked"})  # filed in German again

    done = store.reindex(("many",), progress=write)

    assert (done.filed, done.changed, done.left) == (1100, 1, 0)
    assert strays(db, store, ("many",)) == 0
    assert [item.key for item in store.search((), query="walks")] == ["k1099"]


def test_what_has_expired_and_is_not_swept_is_not_waited_for() -> None:
    for url in ("memory://", "sqlite:///:memory:"):
        with FakeClock() as clock, perdure.connect(url, index={"language": "german"}, ttl={}) as db:
            db.store.put(("few",), "over", {"text": "running"}, ttl=1)
            db.store.put(("few",), "lives", {"text": "running"})
            clock.advance(minutes=2)

            done = english(db).reindex()

            assert (done.filed, done.changed, done.left) == (1, 0, 0)
            assert [item.key for item in english(db).search((), query="runs")] == ["lives"]


async def test_it_has_another_colour(db: perdure.Database) -> None:
    await db.store.aput(("few",), "k", {"text": "running"})

    assert (await english(db).areindex()).filed == 1


def test_a_store_without_words_and_a_view_of_the_past_say_no(db: perdure.Database) -> None:
    db.store.put(("few",), "k", {"text": "running"})

    with pytest.raises(QueryError, match="files nothing by words"):
        BackendStore(db.backend, codec_of({"text": False})).reindex()
    with pytest.raises(NotSupported, match="commits many times"):
        db.store.at("0.1").reindex()
