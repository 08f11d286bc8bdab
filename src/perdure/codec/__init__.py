"""Values to bytes and back: versioned, closed to unknown types, compressed where it pays, sealed where a key is given.

Here: `Codec` and what it is made of: the types it may build (`Registry`), encryption (`Cipher`, `AesGcm`), keys whose
byte order is the order of namespaces. Not here: what is stored where (`storage`), the public serializers
(`checkpoint.serde`). Nothing found in data is ever imported or called; a type is built only if a registry names it.
Imports `errors`; everybody above may come in.
"""

from perdure.codec.cipher import AesGcm, Cipher
from perdure.codec.envelope import Codec
from perdure.codec.kinds import StoredError
from perdure.codec.namespaces import (
    bytes_to_text,
    decode_namespace,
    encode_namespace,
    prefix_range,
    text_to_bytes,
)
from perdure.codec.registry import DEFAULT, Registry, register

__all__ = [
    "DEFAULT",
    "AesGcm",
    "Cipher",
    "Codec",
    "Registry",
    "StoredError",
    "bytes_to_text",
    "decode_namespace",
    "encode_namespace",
    "prefix_range",
    "register",
    "text_to_bytes",
]
