"""Text and namespaces as bytes whose order is the order of the text.

A label is UTF-8 with lone surrogates passed, NUL is written `00 FF`, a label ends with `00 01`. So a prefix is one
range of bytes, byte order is tuple order, any character survives, and `("a",)` never matches `("ab",)`.
Pure functions; anybody may come in. Whether a label may be empty is for the callers to say.
"""

from __future__ import annotations

from perdure.errors import EncodingError

__all__ = ["bytes_to_text", "decode_namespace", "encode_namespace", "prefix_range", "text_to_bytes"]

_NUL = b"\x00\xff"
_END = b"\x00\x01"
_AFTER_END = (
    b"\x00\x02"  # greater than everything that starts with an ended label, and not greater than the next one
)


def text_to_bytes(text: str) -> bytes:
    """The text as UTF-8; lone surrogates are passed, so that every `str` has its bytes."""
    return text.encode("utf-8", "surrogatepass")


def bytes_to_text(stored: bytes) -> str:
    """The text that `text_to_bytes` wrote.

    Raises:
        EncodingError: these bytes are no such text.
    """
    try:
        return stored.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        message = f"Stored text is damaged at byte {error.start} of {len(stored)}: it is not UTF-8."
        raise EncodingError(message, path="text") from error


def encode_namespace(labels: tuple[str, ...]) -> bytes:
    """The namespace's bytes; they sort as the tuples do, and `()` is empty.

    Raises:
        EncodingError: a label is not a `str`; the path names which.
    """
    parts: list[bytes] = []
    for place, label in enumerate(labels):
        if not isinstance(label, str):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
            path = f"namespace[{place}]"
            message = (
                f"{path} is a {type(label).__name__}; a namespace is a tuple of strings. Nothing was written."
            )
            raise EncodingError(message, path=path)
        parts += (text_to_bytes(label).replace(b"\x00", _NUL), _END)
    return b"".join(parts)


def decode_namespace(stored: bytes) -> tuple[str, ...]:
    """The labels that `encode_namespace` wrote.

    Raises:
        EncodingError: these bytes are no namespace.
    """
    if not stored:
        return ()
    *labels, rest = stored.split(_END)
    # Every NUL left must be half of an escape, or it was cut or written by somebody else.
    if rest or any(label.count(b"\x00") != label.count(_NUL) for label in labels):
        message = f"A stored namespace of {len(stored)} bytes is damaged: it was not written by Perdure."
        raise EncodingError(message, path="namespace")
    return tuple(bytes_to_text(label.replace(_NUL, b"\x00")) for label in labels)


def prefix_range(labels: tuple[str, ...]) -> tuple[bytes, bytes | None]:
    """The half-open range `[first, end)` of bytes that holds the namespace and all below it; `None` is no end."""
    first = encode_namespace(labels)
    if not first:
        return b"", None
    return first, first.removesuffix(_END) + _AFTER_END
