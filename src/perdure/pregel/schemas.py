"""A graph's input and output schemas as pydantic models: for JSON schemas, and for tools made of a graph.

pydantic is imported here, when somebody asks; a run needs none of this. Imported by `compiled`, inside functions.
"""

from __future__ import annotations

from dataclasses import is_dataclass
from typing import Any, get_origin, get_type_hints

__all__ = ["model_of"]


def model_of(schema: Any, name: str) -> Any:
    """A pydantic model that has the schema's fields; one with a `root` if the schema is no class with fields.

    Args:
        schema: a TypedDict, dataclass, pydantic model or any other type.
        name: what the model is called.

    Raises:
        ImportError: pydantic is not installed.
    """
    import pydantic

    if issubclass(schema if isinstance(schema, type) else object, pydantic.BaseModel):
        return schema
    keys = getattr(schema, "__required_keys__", None)
    if keys is None and (get_origin(schema) is not None or not getattr(schema, "__annotations__", None)):
        return pydantic.create_model(name, __base__=pydantic.RootModel[schema])
    plain: Any = schema
    hints = get_type_hints(plain)  # without Annotated: a reducer says nothing about a value
    if keys is not None:
        # Field by field: of a whole `typing.TypedDict` pydantic makes no model before Python 3.12.
        fields: dict[str, Any] = {key: (hint, ... if key in keys else None) for key, hint in hints.items()}
    elif is_dataclass(schema):
        return pydantic.create_model(name, __base__=pydantic.RootModel[schema])
    else:
        fields = {key: (hint, getattr(plain, key, ...)) for key, hint in hints.items()}
    return pydantic.create_model(name, __config__=pydantic.ConfigDict(arbitrary_types_allowed=True), **fields)
