"""A dict that can be kept in a file, through Perdure's codec: nothing in the file is imported or run when it is read."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import defaultdict
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from perdure.codec import DEFAULT, Codec
from perdure.codec.own import register_own
from perdure.errors import EncodingError, StorageError

__all__ = ["PersistentDict"]

K = TypeVar("K")
V = TypeVar("V")


class PersistentDict(defaultdict[K, V]):
    """A `defaultdict` with `sync()` and `load()`. Not for several threads at once.

    Args:
        *args: as for `defaultdict`; its factory is not saved.
        filename: the file; it is written by `sync` and `close`, and read by `load`.
        **kwargs: further items.
    """

    def __init__(self, *args: Any, filename: str | os.PathLike[str], **kwargs: Any) -> None:
        """Nothing is read yet."""
        super().__init__(*args, **kwargs)
        self.filename = os.fspath(filename)
        registry = DEFAULT.child()
        register_own(registry)
        self._codec = Codec(registry)

    def sync(self) -> None:
        """The file holds the present content: all of it or, after an error, what it held before.

        Raises:
            EncodingError: a part cannot be saved; the message names its path.
            StorageError: the file cannot be written.
        """
        content = self._codec.encode(dict(self), path="the dict")
        folder = os.path.dirname(os.path.abspath(self.filename))
        try:
            handle, beside = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(self.filename)}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(beside, self.filename)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(beside)
                raise
        except OSError as error:
            raise StorageError(
                f"{self.filename!r} was not written: {error}.", operation="sync", where=self.filename
            ) from error

    def load(self) -> None:
        """Takes the file's content in; no file: nothing.

        Raises:
            EncodingError: the file is damaged, or no such dict.
            StorageError: the file cannot be read.
        """
        try:
            with open(self.filename, "rb") as file:
                content = file.read()
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(
                f"{self.filename!r} cannot be read: {error}.", operation="load", where=self.filename
            ) from error
        if not content:
            return
        found: object = self._codec.decode(content)
        if type(found) is not dict:
            raise EncodingError(f"{self.filename!r} holds no dict.", path="value")
        self.update(cast("dict[K, V]", found))

    def close(self) -> None:
        """As `sync`."""
        self.sync()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()
