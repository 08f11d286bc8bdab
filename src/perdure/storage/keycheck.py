"""Whether a database is encrypted and by which key: asked when it is opened, before anything else is read or written.

Who first opens a database with a key, while nothing was ever committed, leaves a *mark*: a few bytes that only the key
opens. It stands where no thread can, as a pending write of the thread with the empty name (which every door refuses),
so any backend keeps it, and of several who leave one at once the first stands.
Here: that mark. Not here: ciphers (`codec`), sealing values (`sealing.py`, `item_codec.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from perdure.errors import StorageError
from perdure.storage import outcome
from perdure.storage.contract import (
    Backend,
    RemoveWrites,
    Snapshot,
    WriteRow,
    commit_now,
)

if TYPE_CHECKING:
    from perdure.codec import Cipher

__all__ = ["check_key", "key_of"]

_PLACE: Final = ("", "", "key")
_CONTENT: Final = b"perdure"
_AAD: Final = b"perdure key check"
_HINT: Final = (
    "Give the key it was last opened with: perdure.connect(url, encryption=key), or "
    "perdure.codec.AesGcm(key, older_keys=[...]) if there were several; savers and stores opened by path take none."
)


def check_key(backend: Backend, cipher: Cipher | None, where: str) -> None:
    """Returns if the database can be used with this cipher, or with none; closes nothing.

    Two processes that open one empty file at the same moment, one with a key and one without, are not told apart.

    Args:
        backend: the database.
        cipher: what its values are to be sealed with; None: they are not.
        where: what messages call the database.

    Raises:
        StorageError: it is encrypted and the cipher does not open it, or it is not and has data. Nothing was written.
    """
    with backend.read() as snapshot:
        mark = _mark(snapshot)
        used = snapshot.revision().seq > 0
    if mark is None and cipher is not None:
        if used:
            raise StorageError(
                f"{where} holds data and is not encrypted, but it was opened with a key. Nothing was written.",
                operation="open",
                where=where,
                hint="Open it without encryption=, or begin a new database with the key and copy the data there.",
            )
        _leave(backend, cipher)
        with backend.read() as snapshot:
            mark = _mark(snapshot)  # perhaps somebody else's, who was first
    if mark is None:
        return
    _try(mark, cipher, where)
    if (
        cipher is not None and mark.channel != cipher.key_id
    ):  # an older key of the cipher's: the present one from now on
        _leave(backend, cipher, instead=True)


def key_of(snapshot: Snapshot) -> str | None:
    """The id of the key that seals the database's values; None: they are not sealed."""
    mark = _mark(snapshot)
    return None if mark is None else mark.channel


def _mark(snapshot: Snapshot) -> WriteRow | None:
    rows = snapshot.writes(*_PLACE)
    return rows[0] if rows else None


def _leave(backend: Backend, cipher: Cipher, *, instead: bool = False) -> None:
    row = WriteRow(*_PLACE, "key", 0, "", cipher.key_id, cipher.seal(_CONTENT, _AAD))
    removals = [RemoveWrites(*_PLACE)] if instead else []
    outcome.commit(backend, commit_now(removals=removals, writes=[row]))


def _try(mark: WriteRow, cipher: Cipher | None, where: str) -> None:
    cause: BaseException | None = None
    why = "was opened without a key"
    if cipher is not None:
        why = f"the key that was given ({cipher.key_id}) does not open it"
        try:
            if cipher.open(mark.payload, _AAD) == _CONTENT:
                return
        except Exception as error:  # noqa: BLE001 - a cipher of a user's may raise anything; it is the cause
            cause = error
    raise StorageError(
        f"{where} is encrypted (key {mark.channel}), and {why}. Nothing was written.",
        operation="open",
        where=where,
        hint=_HINT,
    ) from cause
