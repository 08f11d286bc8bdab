"""Serializers, for those who bring their own or use the field's by themselves.

    base          the protocols
    jsonplus      `JsonPlusSerializer`
    encrypted     `EncryptedSerializer`
    event_hooks   being told of types that were refused or let through
    types         protocols of channels and sends, names of special writes

Perdure's savers do not need them: they write through `perdure.codec`.
"""
