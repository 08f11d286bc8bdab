"""Saying statements on a connection: one, or many in one round trip.

Below psycopg's cursors, on its connection: what is said has few shapes, always binary, each prepared once a connection; so
a statement costs some microseconds where a cursor costs thirty, which a commit of six statements feels.
https://www.postgresql.org/docs/current/libpq-pipeline-mode.html

Here: `say`, `say_all`; `part`, which waits for no answer. Not here: what is said, how arrays are sent (`parameters.py`), what an error means (`faults.py`).
"""

from __future__ import annotations

import weakref
from collections.abc import Generator, Sequence
from typing import Any, Final

from perdure.storage.postgres.driver import Transformer, Wait, error_from_result, pq, psycopg
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.parameters import sent

__all__ = ["Said", "part", "parted", "say", "say_all"]

Said = tuple[bytes, Sequence[Any]]
"""A statement and its values."""

_Row = tuple[Any, ...]
_Key = tuple[bytes, tuple[int, ...]]
_BINARY: Final = pq.Format.BINARY
_TUPLES: Final = pq.ExecStatus.TUPLES_OK
_OK: Final = (_TUPLES, pq.ExecStatus.COMMAND_OK)
_SYNC: Final = pq.ExecStatus.PIPELINE_SYNC
_MANY: Final = 128
_FORMATS: Final = [[_BINARY] * size for size in range(_MANY)]


class _Habits:
    """What a connection keeps: statements that the server has prepared, and how rows are read."""

    __slots__ = ("names", "transformer")

    def __init__(self, connection: Connection) -> None:
        self.names: dict[_Key, bytes] = {}
        self.transformer = Transformer(connection)


_habits: weakref.WeakKeyDictionary[Connection, _Habits] = weakref.WeakKeyDictionary()


def say(connection: Connection, text: bytes, values: Sequence[Any] = ()) -> list[_Row]:
    """The answer of one statement; empty where it has none."""
    return say_all(connection, ((text, values),))[0]


def say_all(connection: Connection, said: Sequence[Said]) -> list[list[_Row]]:
    """The answers of several, in order: sent together, and the first that fails keeps the later ones from being done.

    Whoever is interrupted before all answers are here finds the connection closed.
    """
    habits = _habits.get(connection)
    if habits is None:
        habits = _habits[connection] = _Habits(connection)
    with connection.lock:
        return _said(connection, habits, said)


def part(connection: Connection, text: bytes) -> None:
    """Says what ends a transaction in which nothing was changed, and waits for nothing: its answer is read with the next one.

    Until then nobody can use the connection but by `say` and `say_all`, or behind `parted`.
    """
    pg = connection.pgconn
    with connection.lock:
        try:
            if connection.parting:  # it was taken, and then a signal came before anything was asked
                _read_parting(connection)
            pg.enter_pipeline_mode()
            pg.send_query_params(text, None)
            pg.pipeline_sync()
            connection.parting = True
            if pg.flush():  # the way is full
                _read_parting(connection)
        except BaseException:
            connection.close()
            raise


def parted(connection: Connection, *, wait: bool) -> bool:
    """Whether the answer to what ended the transaction was read; if it is not here yet, it is waited for, or not.

    Raises:
        psycopg.Error: the connection was lost.
    """
    pg = connection.pgconn
    with connection.lock:
        if connection.parting:
            try:
                if not wait:
                    pg.consume_input()
                    if pg.is_busy():
                        return False
                _read_parting(connection)  # it is sent in one piece
            except BaseException:
                connection.close()
                raise
    return True


def _read_parting(connection: Connection) -> None:
    pg = connection.pgconn
    connection.wait(_results(pg))
    connection.parting = False
    if pg.status != pq.ConnStatus.OK:
        raise psycopg.OperationalError("the connection was lost")
    pg.exit_pipeline_mode()


def _said(connection: Connection, habits: _Habits, said: Sequence[Said]) -> list[list[_Row]]:
    pg, names = connection.pgconn, habits.names
    prepares = connection.prepare_threshold is not None
    expected: list[_Key | None] = []  # of each result: None: an answer; else what is prepared by it
    new: dict[_Key, bytes] = {}
    if not connection.parting:
        pg.enter_pipeline_mode()
    try:
        for text, values in said:
            types, bound = sent(values)
            if prepares:
                key = text, types
                name = names.get(key) or new.get(key)
                if name is None:
                    name = new[key] = b"perdure_%d" % (len(names) + len(new))
                    pg.send_prepare(name, text, types)
                    expected.append(key)
                pg.send_query_prepared(name, bound, _FORMATS[len(bound)], _BINARY)
            else:
                pg.send_query_params(text, bound, types, _FORMATS[len(bound)], _BINARY)
            expected.append(None)
        pg.pipeline_sync()
        if connection.parting:
            connection.wait(_results(pg))
            connection.parting = False
        results = connection.wait(_results(pg))
    except BaseException:  # a signal, too: what the server has done and prepared meanwhile, nobody knows
        connection.close()
        raise
    if pg.status == pq.ConnStatus.OK:
        pg.exit_pipeline_mode()
    try:
        answers = _answers(habits, results, expected, new)
    except psycopg.Error:
        raise
    except BaseException:  # a signal: some of what is prepared now has no name here
        connection.close()
        raise
    if len(results) < len(expected):
        raise psycopg.OperationalError("the connection was lost")
    return answers


def _answers(
    habits: _Habits, results: list[pq.abc.PGresult], expected: list[_Key | None], new: dict[_Key, bytes]
) -> list[list[_Row]]:
    """The rows of each statement; what was prepared is known from now on."""
    names = habits.names
    transformer = habits.transformer
    answers: list[list[_Row]] = []
    for result, prepared in zip(results, expected, strict=False):
        status = result.status
        if status not in _OK:
            if not result.error_field(pq.DiagnosticField.SQLSTATE):  # said by the driver, not by the server
                raise psycopg.OperationalError(result.get_error_message())
            raise error_from_result(result)
        if prepared is not None:
            names[prepared] = new[prepared]  # it stays, also where a later statement fails
        elif status == _TUPLES and result.ntuples:
            transformer.set_pgresult(result, format=_BINARY)
            answers.append(transformer.load_rows(0, result.ntuples, tuple))
        else:
            answers.append([])
    return answers


def _results(pg: pq.abc.PGconn) -> Generator[Wait, Any, list[pq.abc.PGresult]]:
    """One result a statement, once all is sent and the server has come to the end of it, or is gone."""
    while pg.flush():
        ready = yield Wait.RW
        if ready & Wait.R:
            pg.consume_input()
    found: list[pq.abc.PGresult] = []
    while True:
        while pg.is_busy():
            yield Wait.R
            pg.consume_input()
        result = pg.get_result()
        if result is None:
            if pg.status != pq.ConnStatus.OK:
                return found
            continue
        if result.status == _SYNC:
            return found
        found.append(result)
