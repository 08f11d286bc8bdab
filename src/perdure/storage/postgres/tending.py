"""Indexes of large namespaces' vectors, made and brought up to date beside all other work: by a thread of whoever asked for them.

Nobody waits for it: vectors are copied some at a time, the index is built CONCURRENTLY, and one that was half built when its builder
died is dropped and built again. Whoever closes the store cuts it short. Until it is there, and whenever it is not, vectors are compared exactly. Where the extension is not
installed, or the role may not make a table, nothing is done; nothing is ever installed.

Here: `tend`, and `Tending`, which does so now and then. Not here: statements (`near.py`), asking (`prompt.py`).
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from perdure.codec import text_to_bytes
from perdure.errors import PerdureError
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import translated
from perdure.storage.postgres.halting import Halted, Halting
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.near import Copy, Extension, Setting, as_text, large_from
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.parameters import Bytes, Ints
from perdure.storage.postgres.readings import Reading, patiently
from perdure.storage.postgres.talking import say, say_all
from perdure.storage.postgres.together import together
from perdure.storage.vectors.arrays import matrix_of

if TYPE_CHECKING:
    from perdure.storage.postgres.backend import PostgresBackend

__all__ = ["EVERY", "Tending", "tend"]

EVERY: Final = 30.0
"""Seconds between two looks."""

_PAGE: Final = 500
_CLOSING: Final = 2.0
_BRIEFLY: Final = b"SELECT set_config('lock_timeout', '100', true)"
_NO_LIMITS: Final = (
    b"SELECT set_config('statement_timeout', '0', false), set_config('lock_timeout', '0', false)"
)

log = logging.getLogger("perdure.storage")


def tend(line: Line, model: str, setting: Setting, halting: Halting, *, insist: bool = True) -> bool:
    """All large namespaces of the model have an index of this setting, with all that was there when this was called.

    False: the extension is not there, or somebody else is at it. `insist`: what has an index of another setting gets a new one.

    Raises:
        Halted: it was stopped.
    """
    q = line.statements
    extension = Extension.of(patiently(line, q["near_extension"].text))
    if extension is None:
        return False
    _forget_left(line, extension, halting)
    numbers = patiently(line, q["index_number"].text, (text_to_bytes(model),))
    done = True
    for (number,) in numbers:
        for (space,) in patiently(line, q["large_spaces"].text, (number, large_from(setting.dims))):
            copy = Copy(line.place.schema, extension, setting, space, number)
            done &= _tend_one(line, copy, setting, halting, model, space, number, insist=insist)
    line.near.forget()
    return done


def _tend_one(
    line: Line,
    copy: Copy,
    setting: Setting,
    halting: Halting,
    model: str,
    space: int,
    number: int,
    *,
    insist: bool,
) -> bool:
    halting.check()
    _make_table(line, copy)
    rows = patiently(line, line.statements["near_state"].text, (space, number))
    seq, ready, kept = rows[0] if rows else (0, 0, b"")
    if kept != setting.packed():
        if kept and not insist:
            return False
        # It is asked no more before it is made anew; and what is made is known, whatever becomes of whoever makes it.
        if kept:
            _set(line, space, number, 0, 0, Setting.unpacked(kept))
            _remove(line, copy, Setting.unpacked(kept), halting, space, number)
        _set(line, space, number, 0, 0, setting)
        seq = ready = 0
    reached, count = _copied(line, copy, halting, model, space, seq, setting.dims)
    state = patiently(line, line.statements["index_state"].text, (copy.index_with_schema,))
    if state and not state[0][0]:
        if state[0][1]:
            return False  # somebody is building it
        _unlimited(line, copy.drop(), halting)
        state = []
    if not state:
        _unlimited(line, copy.create(count), halting, copy.drop_unfinished())
    elif reached == seq and ready:
        return True
    _set(line, space, number, reached, 1, setting)
    return True


def _make_table(line: Line, copy: Copy) -> None:
    """There is a table for copies of this type: with its column, which goes when the extension does."""
    q = line.statements
    if not patiently(line, q["near_table"].text, (copy.table_with_schema,)):
        together(line, "index", [(copy.drop_table(), ()), (copy.table(), ()), (q["unready_near"].text, ())])


def _remove(line: Line, copy: Copy, before: Setting, halting: Halting, space: int, number: int) -> None:
    """The index and the copies of another setting."""
    extension = Extension.of(patiently(line, line.statements["near_extension"].text))
    if extension is not None:
        old = Copy(line.place.schema, extension, before, space, number)
        _make_table(line, old)
        _unlimited(line, old.drop(), halting)
        patiently(line, old.forget())
    _unlimited(line, copy.drop(), halting)


def _forget_left(line: Line, extension: Extension, halting: Halting) -> None:
    """Indexes of what is gone, a namespace or its vectors of the model, go, too."""
    for space, number, kept in patiently(line, line.statements["left_near"].text):
        copy = Copy(line.place.schema, extension, Setting.unpacked(kept), space, number)
        _make_table(line, copy)
        _unlimited(line, copy.drop(), halting)
        patiently(line, copy.forget())
        patiently(line, line.statements["remove_near"].text, (space, number))


def _copied(
    line: Line, copy: Copy, halting: Halting, model: str, space: int, seq: int, dims: int
) -> tuple[int, int]:
    """Copies what was written behind that commit. Up to which all is copied now, and how many vectors that were, about."""
    reached: int | None = None
    start, count = 0, 0
    while True:
        halting.check()
        with Reading(line) as now:
            if reached is None:
                reached = now.revision().seq  # all up to here is seen; what comes later, next time
            rows = now.vectors(space, model, seq, start, _PAGE)
        if rows:
            items: list[int] = []
            places: list[int] = []
            texts: list[bytes] = []
            for item, data in rows:
                for place, vector in enumerate(matrix_of(data, dims)):
                    items.append(item)
                    places.append(place)
                    texts.append(as_text(vector.tolist()).encode())
            number = _number(line, model)
            columns = (Ints(items), Ints(places), Ints([number] * len(items)), Bytes(texts))
            together(
                line, "index", [(copy.clear(), (Ints([item for item, _ in rows]),)), (copy.fill(), columns)]
            )
            count += len(items)
        if len(rows) < _PAGE:
            return reached, count
        start = rows[-1][0] + 1


def _number(line: Line, model: str) -> int:
    ((number,),) = patiently(line, line.statements["index_number"].text, (text_to_bytes(model),))
    return number


def _set(line: Line, space: int, number: int, seq: int, ready: int, setting: Setting) -> None:
    patiently(line, line.statements["set_near"].text, (space, number, seq, ready, setting.packed()))


def _unlimited(line: Line, text: bytes, halting: Halting, undo: bytes | None = None) -> None:
    """A statement that takes its time, on a connection that is closed behind it. `undo`: what is said where it was cut short."""
    with line.beside(EVERY) as connection:
        try:
            if not line.pool.pooled:  # in a pooler's session it would stay, for others
                say(connection, _NO_LIMITS)
            try:
                with halting.on(connection):
                    say(connection, text)
            except Halted:
                if undo is not None:
                    _undo(connection, undo)
                raise
        except psycopg.Error as error:
            raise translated(error, "index", line.place.name) from error
        finally:
            connection.close()


def _undo(connection: Connection, text: bytes) -> None:
    """Now, or by whoever opens the database next: nobody is kept waiting for it."""
    try:
        say_all(connection, [(b"BEGIN", ()), (_BRIEFLY, ()), (text, ()), (b"COMMIT", ())])
    except psycopg.Error as error:
        log.debug("an index that was cut short is left for later: %s", error)


class Tending:
    """A thread that tends, at once and every half minute; it ends with the store.

    Args:
        backend: the database.
        model: name of the model.
        setting: what was asked for.
    """

    def __init__(self, backend: PostgresBackend, model: str, setting: Setting) -> None:
        self._backend = backend
        self._model = model
        self._setting = setting
        self._halting = Halting()
        self._stop = threading.Event()
        self._told = ""
        self._thread: threading.Thread | None = threading.Thread(
            target=self._run, name="perdure-near", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as error:
            self._thread = None
            log.warning("no index of vectors is made, so they are compared exactly: %s", error)

    def stop(self) -> None:
        """Nothing of it runs any more; an index that was being built is not, and is made anew by whoever asks for it next."""
        self._stop.set()
        self._halting.halt()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_CLOSING)

    def _run(self) -> None:
        insist = True  # at first: two programs that want different settings do not build for ever
        while not self._stop.is_set() and not self._backend.closed:
            try:
                self._backend.tend(self._model, self._setting, self._halting, insist=insist)
                insist = False
            except Halted:
                return
            except PerdureError as error:
                if self._stop.is_set() or self._backend.closed:
                    return
                if str(error) != self._told:  # once is enough
                    self._told = str(error)
                    log.warning(
                        "an index of vectors could not be made, so they are compared exactly: %s", error
                    )
            self._stop.wait(EVERY)
