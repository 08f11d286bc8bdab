"""A user's serializer in the shape that storage writes values with.

The bytes begin with a mark that the codec never writes, so that data of one is not taken for data of the other.
"""

from __future__ import annotations

from typing import Any, Final

from perdure.checkpoint.serde.base import SerializerProtocol
from perdure.codec.envelope import FOREIGN
from perdure.errors import EncodingError, PerdureError

__all__ = ["SerdePieces"]

_MARK: Final = FOREIGN


class SerdePieces:
    """Values through a serializer; each is stored with the name of its format.

    Attributes:
        serde: the serializer.
        keeps_structure: whether changes may be stored as patches: only if the serializer says that containers come back
            as they were. Lists that grow are stored as what was appended in any case.
    """

    __slots__ = ("keeps_structure", "serde")

    def __init__(self, serde: SerializerProtocol) -> None:
        """Around `serde`."""
        self.serde = serde
        self.keeps_structure = getattr(serde, "keeps_structure", False) is True

    def __repr__(self) -> str:
        return f"<SerdePieces of {type(self.serde).__qualname__}>"

    def encode(self, value: object, *, path: str = "value", aad: bytes = b"") -> bytes:
        """The value's bytes.

        Raises:
            EncodingError: the serializer refused, with its error as the cause.
        """
        try:
            kind, content = self.serde.dumps_typed(value)
        except PerdureError:
            raise
        except Exception as error:  # a foreign serializer may raise anything
            raise EncodingError(
                f"{path} cannot be saved by {type(self.serde).__qualname__}: {error}. Nothing was written.",
                path=path,
            ) from error
        name = kind.encode()
        if len(name) > 255:
            raise EncodingError(
                f"{path}: the format's name {kind[:40]!r}... is too long. Nothing was written.", path=path
            )
        return b"".join((_MARK, bytes((len(name),)), name, content))

    def decode(self, data: bytes, *, aad: bytes = b"") -> Any:
        """The value that was encoded.

        Raises:
            EncodingError: written without this serializer, or it refused.
        """
        if not data.startswith(_MARK) or len(data) < 2:
            raise EncodingError(
                "Stored bytes cannot be read: they were not written through a serializer of one's own. Open the database "
                "without serde=.",
                path="value",
            )
        end = 2 + data[1]
        try:
            return self.serde.loads_typed((data[2:end].decode(), data[end:]))
        except PerdureError:
            raise
        except Exception as error:  # a foreign serializer may raise anything
            raise EncodingError(
                f"Stored bytes cannot be read by {type(self.serde).__qualname__}: {error}", path="value"
            ) from error
