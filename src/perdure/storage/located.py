"""Where a stored value stands, for errors: the codec sees bytes only, so whoever reads a thread adds the place.

Imports `errors`; everybody who decodes values of threads comes in.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from perdure.errors import EncodingError

__all__ = ["located", "reading"]


def located(
    error: EncodingError, thread: str, ns: str | None, checkpoint: str | None, part: str
) -> EncodingError:
    """The error with thread, namespace, checkpoint and part in its message and its path; once is enough."""
    if error.path.startswith("thread "):
        return error
    places = [f"thread {thread!r}"]
    if ns:
        places.append(f"namespace {ns!r}")
    if checkpoint is not None:
        places.append(f"checkpoint {checkpoint}")
    path = ", ".join([*places, part])
    inner = error.path.removeprefix("value")
    return EncodingError(f"{path} cannot be read. {error}", path=f"{path}: {inner}" if inner else path)


@contextmanager
def reading(thread: str, ns: str | None, checkpoint: str | None, part: str) -> Generator[None]:
    """A block that decodes this part; what cannot be decoded says so."""
    try:
        yield
    except EncodingError as error:
        raise located(error, thread, ns, checkpoint, part) from error
