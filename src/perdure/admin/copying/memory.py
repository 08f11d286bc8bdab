"""Memory brought over commit by commit, in the source's order, so that its past is the same past.

Every commit of the source that wrote memory becomes one of the target, made at the same time by its clock; versions keep
their times, ends and origins. So a moment of the source has a revision in the target (`at`). Where the source itself cannot
show a moment any more, the target refuses it likewise.
Here: what was written since. Not here: whether both are equal then (`comparing.py`), how far it is (`marks.py`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Final

from perdure.admin.copying.marks import Marks
from perdure.admin.insides import item_codec_of
from perdure.database import Database
from perdure.errors import Compacted, PerdureError
from perdure.storage import outcome
from perdure.storage.contract import (
    Administered,
    Commit,
    Embedded,
    ForgetItems,
    ItemRow,
    Namespace,
    PutItem,
    RefreshItem,
    Revision,
    Snapshot,
    chunks,
    commit_now,
    histories_of,
    items_at_places,
    times_of,
)

__all__ = ["MemoryCopy"]

_PAGE: Final = 500
Place = tuple[Namespace, str]


class MemoryCopy:
    """Memory of one source, in one target.

    Attributes:
        done: it stands as of this revision of the source.
        versions: how many were written so far.
    """

    def __init__(self, source: Database, target: Database, marks: Marks) -> None:
        self._source = source
        self._target = target
        self._marks = marks
        self._codec, self._theirs = item_codec_of(source), item_codec_of(target)
        self.done = marks.done
        self.versions = 0
        self._here: list[Revision] = []  # revisions of the source that wrote memory, in order
        self._there: list[Revision] = []  # what they are in the target
        self._ends: set[Place] = set()  # items that have had an end when they were copied

    def knows(self, pairs: Sequence[tuple[Revision, Revision]], ends: set[Place]) -> None:
        """What an earlier process has copied: each revision here with that there."""
        both = sorted({*pairs, *self._marks.floors})
        self._here = [here for here, _ in both]
        self._there = [there for _, there in both]
        self._ends |= ends

    @property
    def mortal(self) -> bool:
        """Whether any item had an end, so that a view depends on its time, too."""
        return bool(self._ends)

    def at(self, revision: Revision) -> Revision:
        """The revision of the target whose memory is the source's as of `revision`, which is not behind `done`."""
        number = bisect_right(self._here, revision)
        base = self._marks.base
        assert base is not None  # noqa: S101 - marks have one once they are made
        found = self._there[number - 1] if number else base
        if not self._ends or (number and self._here[number - 1] == revision):
            return found
        # A commit without memory, made by an earlier process: at that time, between those beside it.
        with self._source.backend.read() as here, self._target.backend.read() as there:
            then = here.time_of(revision)
            made = there.revision_at(then)
            exact = there.time_of(made) == then
        behind = self._there[number] if number < len(self._there) else None
        return made if exact and found < made and (behind is None or made < behind) else found

    def advance(
        self,
        end: Revision,
        moments: Sequence[Revision] = (),
        progress: Callable[[int], object] | None = None,
    ) -> int:
        """Brings over what was written up to `end`; how many versions.

        Args:
            end: a revision of the source.
            moments: revisions that have to be told from the ones before them even if they wrote no memory, in order: as soon
                as items have ends, memory is another one at another time.
            progress: called with the number of all versions written so far.

        Raises:
            PerdureError: the target refused; what is written stays, and the next call goes on behind it.
        """
        begin, before = self.done, self.versions
        with self._source.backend.read() as now:
            oldest = min(end, _oldest(now, begin))
        self._up_to(oldest, moments, progress)
        if oldest > begin:
            self._begin_views(oldest)
        self._up_to(end, moments, progress)
        with self._source.backend.read() as now:
            later = _oldest(now, begin)
        if later > oldest:  # versions were pruned meanwhile, before they were copied
            self._begin_views(self.done)
        return self.versions - before

    def _up_to(
        self, end: Revision, moments: Sequence[Revision], progress: Callable[[int], object] | None
    ) -> None:
        more = True
        while more:
            with self._source.backend.read() as now:
                found = now.changes(self.done, _PAGE)
                rows = [row for row in found if row.revision <= end]
                more = len(rows) == len(found) >= _PAGE
                upto = rows[-1].revision if more else end
                between = [one for one in moments if self.done < one <= upto]
                asked = list(dict.fromkeys((*(row.revision for row in rows), *between)))
                times = dict(zip(asked, times_of(now, asked), strict=True))
                live = items_at_places(now, [(row.namespace, row.key) for row in rows])
                moved = self._moved_ends(now, rows)
            vectors = self._vectors(rows)
            puts: dict[Revision, list[PutItem]] = {row.revision: [] for row in rows}
            for row, item in zip(rows, live, strict=True):
                puts[row.revision].append(self._put(row, item, vectors))
            if self._ends:
                puts.update((one, []) for one in between if one not in puts)
            for some in chunks(sorted(puts), _PAGE):
                self._write({one: puts[one] for one in some}, times, moved)
                moved = []
            if progress is not None:
                progress(self.versions)
        self.done = max(self.done, end)

    def _put(self, row: ItemRow, live: ItemRow | None, vectors: dict[Place, tuple[int, Embedded]]) -> PutItem:
        where = namespace, key = row.namespace, row.key
        times = row.created_at, row.updated_at
        if row.value is None:
            return PutItem(namespace, key, None, row.origin, times=times)
        newest = live is not None and live.version == row.version
        paths = live.paths if live is not None and newest else None
        stored = self._theirs.seal(namespace, key, self._codec.unseal(namespace, key, row.value))
        filed = None
        if newest and self._theirs.filer is not None:
            filed = self._theirs.filed(self._codec.written(namespace, key, row.value)[0], paths)
        of, embedded = vectors.get(where, (None, None))
        if row.expires is not None:
            self._ends.add(where)
        return PutItem(
            namespace, key, stored, row.origin, filed, paths,
            embedded if of == row.version else None, ttl=row.ttl, expires=row.expires, times=times,
        )  # fmt: skip

    def _vectors(self, rows: Sequence[ItemRow]) -> dict[Place, tuple[int, Embedded]]:
        """Vectors tell what a value says, so an encrypted target gets none."""
        backend = self._source.backend
        if self._theirs.cipher is not None or not isinstance(backend, Administered):
            return {}
        return dict(backend.embedded([(row.namespace, row.key) for row in rows if row.value is not None]))

    def _moved_ends(self, now: Snapshot, rows: Sequence[ItemRow]) -> list[tuple[Place, int]]:
        """Items copied earlier that were read here since, so that their last version ended later than it was said then."""
        found: list[tuple[Place, int]] = []
        first: dict[Place, int] = {}
        for row in rows:
            first.setdefault((row.namespace, row.key), row.version)
        ended = list(first.keys() & self._ends)
        for where, versions in zip(ended, histories_of(now, ended), strict=True):
            older = [row for row in versions if row.version < first[where]]
            if older and older[0].expires is not None:
                found.append((where, older[0].expires))
        return found

    def _write(
        self, puts: dict[Revision, list[PutItem]], times: dict[Revision, int], moved: list[tuple[Place, int]]
    ) -> None:
        """One commit for each of the source's, all of them or the first ones."""
        backend = self._target.backend
        if moved:
            self._refresh(moved)
        commits: list[Commit] = []
        before: Revision | None = None
        for revision, items in puts.items():
            head, link = self._marks.link(before, revision)
            commit = commit_now(heads=[head], checkpoints=[link], items=items)
            commits.append(commit._replace(at=times[revision] or commit.at))
            before = revision
        found = [
            outcome.known(backend, commit, one)
            for commit, one in zip(commits, backend.commit_group(commits), strict=True)
        ]
        for one in found:
            if isinstance(one, BaseException):  # the others behind it expected it, and failed, too
                raise one
        self.done = max(puts)
        self._marks.end(self.done)
        self._here += puts
        self._there += [one for one in found if isinstance(one, Revision)]
        self.versions += sum(map(len, puts.values()))

    def _refresh(self, moved: list[tuple[Place, int]]) -> None:
        with self._target.backend.read() as now:
            newest = [(now.history(*where, 1).versions, expires) for where, expires in moved]
        lives = [
            RefreshItem(rows[0].namespace, rows[0].key, rows[0].version, expires)
            for rows, expires in newest
            if rows and rows[0].value is not None
        ]
        outcome.commit(self._target.backend, commit_now(lives=lives))

    def _begin_views(self, since: Revision) -> None:
        """The target refuses to show its memory as it was before now: of the source's before `since` not all is there.

        Forgetting is what makes a database say so: an item that nobody has seen is forgotten.
        """
        backend, nowhere = self._target.backend, (self._marks.name,)
        with self._source.backend.read() as now:
            then = now.time_of(since)
        put = commit_now(items=[PutItem(nowhere, "nothing", b"{}", paths=())])
        forget = commit_now(removals=[ForgetItems(nowhere)])
        outcome.commit(backend, put._replace(at=then or put.at))
        floor = outcome.commit(backend, forget._replace(at=then or forget.at))
        self._marks.floors.append((since, floor))
        outcome.commit(backend, commit_now(writes=[self._marks.of_memory(max(self.done, since))]))
        self.knows(list(zip(self._here, self._there, strict=True)), set())


def _oldest(now: Snapshot, since: Revision) -> Revision:
    """The first revision from `since` on whose memory can be shown whole."""
    newest = now.revision()
    while since < newest:
        try:
            now.items_at((), since, None, 1)
        except Compacted as error:
            later = Revision.parse(error.oldest or "")
            if later <= since:
                raise PerdureError(f"the source says that {later} is the oldest after {since}.") from error
            since = later
        else:
            break
    return since
