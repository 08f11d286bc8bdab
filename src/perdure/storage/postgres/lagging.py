"""How far read replicas are behind their primary, each asked by itself: for an operator.

Here: `standings`. Not here: answering reads (`replica.py`), other facts (`administering.py`).
https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-RECOVERY-CONTROL
"""

from __future__ import annotations

from perdure import clock
from perdure.errors import StorageError
from perdure.storage.contract import ReplicaStatus
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import translated
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.place import Place, each_host
from perdure.storage.postgres.readings import patiently
from perdure.storage.postgres.replica import NotOurs, ReplicaLine
from perdure.storage.postgres.talking import say

__all__ = ["standings"]


def standings(primary: Line, read: Place) -> tuple[ReplicaStatus, ...]:
    """One of each host, in the order of the URL; one that is away, or is none of ours, says so.

    Raises:
        StorageError: the primary does not answer.
    """
    return tuple(_standing(primary, place) for place in each_host(read))


def _standing(primary: Line, place: Place) -> ReplicaStatus:
    q = primary.statements
    ((written, _),) = patiently(primary, q["written_up_to"].text)  # before the replica is asked: so 0 is 0
    ((newest,),) = patiently(primary, q["newest_commit"].text)
    line = ReplicaLine(place, primary)
    try:
        connection = line.take(0.0)
        try:
            ((replayed, shown, paused, connected),) = say(connection, q["as_replica"].text)
        except psycopg.Error as error:
            raise translated(error, "read", place.name) from error
        finally:
            line.give(connection)
    except NotOurs as error:
        return ReplicaStatus(place.name, follows=False, note=str(error))
    except StorageError as error:
        return ReplicaStatus(place.name, follows=None, note=str(error))
    finally:
        line.pool.close()
    if replayed is None:
        return ReplicaStatus(place.name, follows=False, note=f"{place.name} has just become a primary.")
    rows = patiently(primary, q["oldest_between"].text, (shown, newest or 0))
    seconds = max(0.0, (clock.micros() - rows[0][0]) / 1e6) if rows else 0.0
    notes = ["its replay is paused"] if paused else []
    if not connected:
        notes.append("it is not connected to the server that it follows")
    return ReplicaStatus(place.name, True, max(0, written - replayed), seconds, "; ".join(notes))
