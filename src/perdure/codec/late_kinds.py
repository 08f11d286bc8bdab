"""Built-in kinds whose modules are imported only when a value needs them: zones, addresses, numpy, pydantic, messages.

Encoding meets a value, so its module is there already. Decoding imports one of the modules named *in this file*; a
name from the data only ever chooses among names written here, or is looked up in the list of known time zones.
Imports `kinds`, `derive`; `registry.py` and `pack.py` come in.
"""

from __future__ import annotations

import functools
import math
import os
import re
from typing import TYPE_CHECKING, Any, cast

from perdure.codec.derive import Shape, shape_of
from perdure.codec.kinds import Decode, Kind, want, want_items, want_list

if TYPE_CHECKING:
    from fractions import Fraction
    from zoneinfo import ZoneInfo

    from numpy import dtype, generic, ndarray

__all__ = ["LATE_BY_TAG", "late_kind"]

_ADDRESSES = frozenset(
    {"IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network", "IPv4Interface", "IPv6Interface"}
)
# Values of pydantic's own types, which are their text.
_SECRETS = frozenset({"SecretStr", "SecretBytes"})
_URLS = frozenset(
    {"AnyUrl", "AnyHttpUrl", "HttpUrl", "AnyWebsocketUrl", "WebsocketUrl", "FileUrl", "FtpUrl"}
    | {"PostgresDsn", "RedisDsn", "MongoDsn", "MySQLDsn", "AmqpDsn", "KafkaDsn", "NatsDsn"}
)

# LangChain's messages: what chats hold, mostly under annotations that name no class (`Annotated[list, add]`).
_MESSAGES = frozenset(
    {
        "AIMessage",
        "HumanMessage",
        "SystemMessage",
        "ToolMessage",
        "FunctionMessage",
        "ChatMessage",
        "RemoveMessage",
    }
    | {
        "AIMessageChunk",
        "HumanMessageChunk",
        "SystemMessageChunk",
        "ToolMessageChunk",
        "FunctionMessageChunk",
    }
    | {"ChatMessageChunk"}
)

# A part of a zone's name; no dots, so that none climbs out of the zones' folder.
_ZONE = re.compile(r"[A-Za-z0-9_+\-]+(/[A-Za-z0-9_+\-]+)*")
# Numbers, booleans, text, bytes and times of one fixed size. Objects and records are refused.
_DTYPE = re.compile(r"[<>|=]?[biufcSU][1-9][0-9]{0,8}|[<>=]?[mM]8(\[[0-9]{0,9}[A-Za-z]{1,2}\])?")
_DIMENSIONS = 64


def _zone_to_plain(zone: ZoneInfo) -> object:
    key = cast("str | None", zone.key)
    if key is None:
        raise TypeError("it was read from a file and has no name; use ZoneInfo(name)")
    return key


def _zone_from_plain(plain: object) -> object:
    import zoneinfo  # nine milliseconds that most programs need not pay

    key = want(plain, str)
    if not _ZONE.fullmatch(key):
        raise ValueError("no name of a time zone")
    # A name that no folder has makes ZoneInfo import parts of `tzdata` by that name; so ask the list first.
    if any(os.path.isfile(os.path.join(folder, key)) for folder in zoneinfo.TZPATH) or key in _known_zones():
        return zoneinfo.ZoneInfo(key)
    raise ValueError("this machine does not know that time zone")


@functools.cache
def _known_zones() -> set[str]:
    import zoneinfo  # see _zone_from_plain

    return zoneinfo.available_timezones()


def _fraction_to_plain(value: Fraction) -> object:
    return [value.numerator, value.denominator]


def _fraction_from_plain(plain: object) -> object:
    from fractions import Fraction  # six milliseconds that most programs need not pay

    numerator, denominator = want_list(plain, 2)
    return Fraction(want(numerator, int), want(denominator, int))


def _address_to_plain(value: object) -> object:
    return [type(value).__name__, str(value)]


def _address_from_plain(plain: object) -> object:
    import ipaddress  # nine milliseconds that most programs need not pay

    name, text = want_list(plain, 2)
    if name not in _ADDRESSES:
        raise ValueError("no kind of address")
    return getattr(ipaddress, name)(want(text, str))


def _dtype_to_plain(kind: dtype[Any]) -> str:
    if kind.hasobject or not _DTYPE.fullmatch(kind.str):
        raise TypeError(f"its dtype {kind} holds objects or records; use numbers, text, bytes or times")
    return kind.str


def _dtype_from_plain(plain: object) -> dtype[Any]:
    import numpy as np  # an extra, imported when an array is read

    text = want(plain, str)
    if not _DTYPE.fullmatch(text):
        raise ValueError("no dtype that is saved")
    return np.dtype(text)


def _array_to_plain(array: ndarray[Any, Any]) -> object:
    order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
    return [_dtype_to_plain(array.dtype), list(array.shape), order, array.tobytes(order)]


def _array_from_plain(plain: object) -> object:
    import numpy as np  # an extra, imported when an array is read

    code, shape, order, content = want_list(plain, 4)
    kind = _dtype_from_plain(code)
    sizes = [want(size, int) for size in want_items(shape)]
    content = want(content, bytes)
    # The claim is checked before anything is allocated by it.
    if (
        len(sizes) > _DIMENSIONS
        or min(sizes, default=0) < 0
        or math.prod(sizes) * kind.itemsize != len(content)
    ):
        raise ValueError("the shape does not fit the bytes")
    if order not in ("C", "F"):
        raise ValueError("no memory order")
    return np.ndarray(tuple(sizes), kind, bytearray(content), order=order)  # over its own bytes: writable


def _scalar_to_plain(value: generic) -> object:
    if isinstance(value, str):  # as text: an array, and str() of it, would lose a last NUL
        return ["str", str.__str__(value)]
    if isinstance(value, bytes):
        return ["bytes", bytes.__getitem__(value, slice(None))]
    return [_dtype_to_plain(value.dtype), value.tobytes()]


def _scalar_from_plain(plain: object) -> object:
    import numpy as np  # an extra, imported when an array is read

    code, content = want_list(plain, 2)
    if code == "str":
        return np.str_(want(content, str))
    if code == "bytes":
        return np.bytes_(want(content, bytes))
    return np.ndarray((), _dtype_from_plain(code), want(content, bytes))[()]


def _pydantic_to_plain(value: Any) -> object:
    name = type(value).__name__
    return [name, value.get_secret_value() if name in _SECRETS else str(value)]


def _pydantic_from_plain(plain: object) -> object:
    import pydantic  # the user's dependency, imported when a value of it is read

    name, content = want_list(plain, 2)
    if name not in _SECRETS and name not in _URLS:
        raise ValueError("no value of pydantic that is saved")
    return getattr(pydantic, name)(want(content, bytes if name == "SecretBytes" else str))


@functools.cache
def _message_shape(name: object) -> Shape:
    import langchain_core.messages as messages  # the user's dependency, imported when a value of it is read

    shape = shape_of(getattr(messages, name)) if isinstance(name, str) and name in _MESSAGES else None
    if shape is None:
        raise ValueError("no message that is saved")
    return shape


def _message_to_plain(value: object) -> object:
    name = type(value).__name__
    return [name, *_message_shape(name).apart(value)]


def _message_from_plain(plain: object) -> object:
    name, *parts = want_items(plain)
    return _message_shape(want(name, str)).together(parts)


_ZONE_KIND = Kind(14, _zone_to_plain, _zone_from_plain)
_FRACTION = Kind(16, _fraction_to_plain, _fraction_from_plain)
_ADDRESS = Kind(23, _address_to_plain, _address_from_plain, layered=True)
_ARRAY = Kind(30, _array_to_plain, _array_from_plain, layered=True)
_SCALAR = Kind(31, _scalar_to_plain, _scalar_from_plain, layered=True)
_PYDANTIC = Kind(32, _pydantic_to_plain, _pydantic_from_plain, layered=True)
_MESSAGE = Kind(33, _message_to_plain, _message_from_plain, layered=True)

LATE_BY_TAG: dict[int, Decode] = {
    kind.tag: kind.decode for kind in (_ZONE_KIND, _FRACTION, _ADDRESS, _ARRAY, _SCALAR, _PYDANTIC, _MESSAGE)
}


@functools.lru_cache(maxsize=256)
def late_kind(cls: type) -> Kind | None:
    """The kind of a type of those modules, or `None`. Exact types only: a subclass is somebody else's."""
    found: Kind | None = None
    match str(cls.__module__).partition(".")[0]:
        case "zoneinfo" if cls.__name__ == "ZoneInfo":
            found = _ZONE_KIND
        case "fractions" if cls.__name__ == "Fraction":
            found = _FRACTION
        case "ipaddress" if cls.__name__ in _ADDRESSES:
            found = _ADDRESS
        case "numpy":
            import numpy as np  # imported already: here is a type of it

            if cls is np.ndarray:
                found = _ARRAY
            elif issubclass(cls, np.generic) and cls not in (np.void, np.object_):
                found = _SCALAR
        case "pydantic":
            import pydantic  # imported already: here is a type of it

            if cls.__name__ in _SECRETS | _URLS and getattr(pydantic, cls.__name__, None) is cls:
                found = _PYDANTIC
        case "langchain_core" if cls.__name__ in _MESSAGES:
            import langchain_core.messages as messages  # imported already: here is a type of it

            if getattr(messages, cls.__name__, None) is cls:
                found = _MESSAGE
        case _:
            pass
    return found
