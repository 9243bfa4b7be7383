"""What every part of the configuration is: immutable, and strict about its keys."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from sert.config.takes import takes

LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Bytes that file systems allow for one name and for a whole path."""


def _name_a_file(path: Path) -> Path:
    """Refuse what no file can be called, and take `~` for the home folder."""
    if b"\0" in bytes(path):
        raise ValueError("a file's name may not hold a NUL character")
    path = Path(os.path.expanduser(path))
    if len(bytes(path)) > LONGEST_PATH or any(len(bytes(Path(part))) > LONGEST_NAME for part in path.parts):
        raise ValueError(f"a name may have {LONGEST_NAME} bytes and a whole path {LONGEST_PATH}")
    return path


FilePath = Annotated[Path, AfterValidator(_name_a_file)]
PositiveInt = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _take_no_truth_value_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[str(info.field_name)]
        if isinstance(value, bool) and field.annotation is not bool:
            taken = takes(field.annotation, field.metadata)
            raise ValueError(f"true and false are no value for it; it takes {taken}")
        return value


class Setting(NamedTuple):
    """One field of the configuration.

    Attributes:
        path: Its whole name, such as `tasks.<name>.limit`.
        field: Its type, default and docstring (`description`).
        section: The section that it holds, if it holds one.
    """

    path: str
    field: FieldInfo
    section: type[Section] | None


def settings_of(section: type[Section], prefix: str = "") -> Iterator[Setting]:
    """Walk all fields of a section and of the sections inside it."""
    for name, field in section.model_fields.items():
        inner = section_in(field.annotation)
        yield Setting(f"{prefix}{name}", field, inner)
        if inner is not None:
            of_any = "<name>." if get_origin(field.annotation) is dict else ""
            yield from settings_of(inner, f"{prefix}{name}.{of_any}")


def section_in(annotation: Any) -> type[Section] | None:
    """Find the section that a field holds, whether it may be left out or not, or is one of several by name."""
    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, Section):
            return candidate
    return None
