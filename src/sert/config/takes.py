"""What a field of the configuration takes, in words."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_NAMES = {
    int: "a whole number",
    float: "a number",
    Decimal: "a number",
    str: "a text",
    bool: "true or false",
    Path: "the name of a file",
    tuple: "a list",
    dict: "a table",
}


class Takes(NamedTuple):
    """Stands in the annotation of a type that says by itself what it takes."""

    text: str


def takes(annotation: Any, metadata: Sequence[Any] = ()) -> str:
    """Say what a field takes: `a whole number of 1 or more`, `'no' or 'bf16'`."""
    flat = [*_flat(metadata)]
    said = next((each.text for each in flat if isinstance(each, Takes)), None)
    if said is not None:
        return said
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        return takes(inner, [*more, *flat])
    if origin in (Union, UnionType):
        found = dict.fromkeys(takes(each, flat) for each in get_args(annotation) if each is not NoneType)
        return " or ".join(found)
    if origin is Literal:
        *first, last = map(repr, get_args(annotation))
        return f"{', '.join(first)} or {last}" if first else last
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a table with the keys {', '.join(sorted(annotation.model_fields))}"
    if isinstance(annotation, type) and issubclass(annotation, tuple):
        return _NAMES[tuple]
    name = _NAMES.get(origin or annotation, "another value")
    return f"{name}{_bounds(flat)}" if annotation in (int, float, Decimal) else name


def _flat(metadata: Sequence[Any]) -> Sequence[Any]:
    """Take bounds out of the fields that hold them."""
    return [limit for each in metadata for limit in (each.metadata if isinstance(each, FieldInfo) else [each])]


def _bounds(metadata: Sequence[Any]) -> str:
    least = next((f"{each.ge} or more" for each in metadata if isinstance(each, Ge)), None)
    least = least or next((f"more than {each.gt}" for each in metadata if isinstance(each, Gt)), None)
    most = next((f"at most {each.le}" for each in metadata if isinstance(each, Le)), None)
    most = most or next((f"less than {each.lt}" for each in metadata if isinstance(each, Lt)), None)
    told = " and ".join(each for each in (least, most) if each)
    return f" of {told}" if told else ""
