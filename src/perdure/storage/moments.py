"""A moment of a store's past, however it was named, as the revision that was the newest one then.

Here: revisions as text, times, configs of checkpoints. Not here: what memory was like (`past_store.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias, cast

from perdure.errors import QueryError
from perdure.storage.contract import CheckpointRow, Revision, Snapshot

__all__ = ["Moment", "instant_of", "revision_of"]

Moment: TypeAlias = "str | Revision | datetime | Mapping[str, Any]"
"""A revision (`item.revision`), a time with its zone, or the config of a checkpoint (`graph.get_state(...).config`)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)


def revision_of(snapshot: Snapshot, moment: Moment) -> Revision:
    """The newest revision of that moment.

    Raises:
        QueryError: it is no moment, has no time zone, lies behind the newest commit, or names a checkpoint that is not
            in this database.
    """
    match moment:
        case Revision():
            return _committed(snapshot, moment)
        case str():
            try:
                revision = Revision.parse(moment)
            except ValueError:
                raise QueryError(
                    f"{moment!r} is no revision: give an item's `revision`.", part=moment
                ) from None
            return _committed(snapshot, revision)
        case datetime():
            if moment.tzinfo is None:
                message = f"{moment!r} has no time zone: give one, such as datetime.now(UTC)."
                raise QueryError(message, part=repr(moment))
            return snapshot.revision_at((moment - _EPOCH) // _MICRO)
        case Mapping():
            return _of_checkpoint(snapshot, moment)
        case _:
            raise QueryError(
                f"{moment!r} is no moment: give a revision (text), a datetime, or the config of a checkpoint.",
                part=repr(moment),
            )


def instant_of(snapshot: Snapshot, moment: Moment) -> tuple[Revision, int]:
    """The newest revision of that moment, and the time (microseconds) by which items have expired then.

    That is the time which was named, if it has come; else that of the commit. Raises QueryError as `revision_of`.
    """
    revision = revision_of(snapshot, moment)
    if isinstance(moment, datetime):
        return revision, min((moment - _EPOCH) // _MICRO, snapshot.now())
    return revision, snapshot.time_of(revision)


def _committed(snapshot: Snapshot, revision: Revision) -> Revision:
    newest = snapshot.revision()
    if revision.epoch != newest.epoch or revision.seq < 0 or revision > newest:
        raise QueryError(
            f"revision {revision} is not one of this database, whose newest is {newest}.", part=str(revision)
        )
    return revision


def _of_checkpoint(snapshot: Snapshot, config: Mapping[str, Any]) -> Revision:
    given: object = config.get("configurable")
    place = cast("Mapping[str, object]", given if isinstance(given, Mapping) else {})
    thread, id = place.get("thread_id"), place.get("checkpoint_id")
    if thread is None:
        raise QueryError(f"{config!r} names no checkpoint: it has no thread_id.", part="thread_id")
    name, ns = str(thread), str(place.get("checkpoint_ns") or "")
    row: CheckpointRow | None = None
    at = snapshot.head(name, ns) if id is None else str(id)
    if at is not None:
        row = snapshot.checkpoint(name, ns, at)
    if row is None or row.revision is None:
        raise QueryError(
            f"thread {name!r} has no checkpoint {'at all' if id is None else id} in this store's database. Saver and store"
            " must share one: open both with perdure.connect(...).",
            part="checkpoint_id",
        )
    return row.revision
