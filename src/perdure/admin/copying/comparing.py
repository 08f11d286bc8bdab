"""Whether memory is the same on both sides, version by version; and taking from the target what the source has forgotten.

An item's kept versions must be the newest of the target's: what the target has beyond them, the source has pruned or
forgotten since, so it goes there, too. Anything else was written by somebody else and is an error, never overwritten.
Here: the walk over items. Not here: what a version says (`histories.py`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from perdure import clock
from perdure.admin.copying.histories import digest_of, digests, told
from perdure.admin.copying.memory import MemoryCopy
from perdure.admin.insides import item_codec_of
from perdure.database import Database
from perdure.errors import StorageError
from perdure.storage import outcome
from perdure.storage.contract import (
    ItemIs,
    ItemRow,
    Namespace,
    PruneVersions,
    PutItem,
    RefreshItem,
    Revision,
    chunks,
    commit_now,
    histories_of,
)
from perdure.storage.lifetimes import is_over

__all__ = ["Comparison", "Seen"]

_ALL: Final = 1 << 30
_EVER: Final = (1 << 63) - 1
_PAGE: Final = 200
_TRIM: Final = 100  # items whose versions one commit prunes
Place: TypeAlias = tuple[Namespace, str]


@dataclass(slots=True)
class Seen:
    """What a walk has seen.

    Attributes:
        items: those that are kept in the source, gone ones included.
        versions: of them.
        spaces: of each namespace the sum of its versions' digests; a sum does not care for their order.
        pairs: revisions of the source with those of the target.
        ends: items that have an end.
        refreshed: items that end later now than was known.
        erased: items with versions that only the target had.
        at: the revisions of both when it began.
        floor: of the source then.
    """

    at: tuple[Revision, Revision]
    floor: Revision
    items: int = 0
    versions: int = 0
    spaces: defaultdict[Namespace, int] = field(default_factory=lambda: defaultdict(int))
    pairs: list[tuple[Revision, Revision]] = field(default_factory=list[tuple[Revision, Revision]])
    ends: set[Place] = field(default_factory=set[Place])
    refreshed: int = 0
    erased: int = 0

    def digest(self) -> str:
        """One for all of memory, in hex."""
        hashed = hashlib.sha256()
        for space in sorted(self.spaces):
            hashed.update(repr((space, self.spaces[space])).encode())
        return hashed.hexdigest()


@dataclass(slots=True)
class _Mending:
    """What is to be done about a page of items."""

    lives: list[RefreshItem] = field(default_factory=list[RefreshItem])
    deletions: list[ItemRow] = field(default_factory=list[ItemRow])
    trims: defaultdict[int, list[Place]] = field(default_factory=lambda: defaultdict(list))


class Comparison:
    """Of one source and one target."""

    def __init__(self, source: Database, target: Database, memory: MemoryCopy) -> None:
        self._source = source.backend
        self._target = target.backend
        self._memory = memory
        self._codec, self._theirs = item_codec_of(source), item_codec_of(target)

    def walk(
        self,
        since: Seen | None = None,
        progress: Callable[[int, int], object] | None = None,
        *,
        begun: bool = False,
    ) -> Seen:
        """Compares all items, or those touched since another walk began and those that have an end.

        Args:
            since: that other walk.
            progress: called with how many were compared, and of how many.
            begun: memory is not brought up to date yet: what the source has pruned may have been replaced since, so nothing
                is taken away.

        Raises:
            StorageError: the target has what the source never had.
        """
        with self._source.read() as here, self._target.read() as there:
            seen = Seen((here.revision(), there.revision()), here.floor())
            if since is not None and since.floor != seen.floor:
                since = None  # something was forgotten without a trace
            begin = (
                (Revision(seen.at[0].epoch, 0), Revision(seen.at[1].epoch, 0)) if since is None else since.at
            )
            places: dict[Place, None] = dict.fromkeys(here.touched((), begin[0], None))
            places.update(dict.fromkeys(there.touched((), begin[1], None)))
            places.update(dict.fromkeys((row.namespace, row.key) for row in here.lapsed((), _EVER, _ALL)))
        for number, some in enumerate(chunks(list(places), _PAGE)):
            self._page(some, seen, begun)
            if progress is not None:
                progress(min(len(places), (number + 1) * _PAGE), len(places))
        return seen

    def _page(self, places: Sequence[Place], seen: Seen, begun: bool) -> None:
        mending = _Mending()
        with self._source.read() as here, self._target.read() as there:
            forgotten = here.floor().seq > 0
            pairs = zip(places, histories_of(here, places), histories_of(there, places), strict=True)
            for where, ours, theirs in pairs:
                self._item(where, ours, theirs, forgotten, seen, mending)
        if begun:
            return
        self._mend(mending)
        seen.refreshed += len(mending.lives)
        seen.erased += sum(map(len, mending.trims.values()))

    def _item(
        self,
        where: Place,
        kept: list[ItemRow],
        others: list[ItemRow],
        forgotten: bool,
        seen: Seen,
        mending: _Mending,
    ) -> None:
        ours = told(kept, self._memory.done)
        theirs = told(others)
        mine = digests(self._codec, ours)
        found = digests(self._theirs, theirs)
        if ours and theirs and mine[0] != found[0] and self._lives_longer(ours[0], theirs[0], mine[0]):
            newest = theirs[0]
            mending.lives.append(RefreshItem(*where, newest.version, ours[0].expires or 0))
            found[0] = mine[0]
        # Of what the source has forgotten there is no trace, but the floor.
        unknown = not mine and found and not forgotten and not kept
        if mine != found[: len(mine)] or unknown:
            raise StorageError(
                f"item {where[1]!r} in {where[0]!r} is not what was copied: somebody else wrote it in the target. It was not"
                " overwritten.",
                operation="copy",
                where=self._target.identity,
                hint="Copy into a new database, and let nobody use it before it is done.",
            )
        if len(found) > len(mine) or (others and not mine):
            mending.trims[max(1, len(mine))].append(where)
            if not mine and others[0].value is not None:
                mending.deletions.append(others[0])
        seen.items += bool(ours)
        seen.versions += len(ours)
        seen.pairs += [(row.revision, other.revision) for row, other in zip(ours, theirs, strict=False)]
        if any(row.expires is not None for row in ours):
            seen.ends.add(where)
        seen.spaces[where[0]] += sum(int.from_bytes(one, "big") for one in mine)

    def _lives_longer(self, ours: ItemRow, theirs: ItemRow, digest: bytes) -> bool:
        """Whether it is the same but for its end, which reading in the source has moved."""
        if ours.expires is None or theirs.expires is None or ours.expires <= theirs.expires:
            return False
        return digest_of(self._theirs, theirs._replace(expires=ours.expires)) == digest

    def _mend(self, mending: _Mending) -> None:
        if mending.lives:
            outcome.commit(self._target, commit_now(lives=mending.lives))
        if mending.deletions:
            rows, now = mending.deletions, clock.micros()
            standing = [row for row in rows if not is_over(row.expires, now)]  # the others are swept by it
            outcome.commit(
                self._target,
                commit_now(
                    versions=[ItemIs(row.namespace, row.key, row.version) for row in standing],
                    items=[PutItem(row.namespace, row.key, None) for row in rows],
                ),
            )
        for keep, places in mending.trims.items():
            for some in chunks(places, _TRIM):
                removal = PruneVersions(tuple(some), keep, limit=_ALL)
                outcome.commit(self._target, commit_now(removals=[removal]))
