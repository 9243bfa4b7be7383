"""What every part of the configuration is: immutable, and strict about its keys."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Bytes that file systems allow for one name and for a whole path."""


def _name_a_file(path: Path) -> Path:
    """Refuse what no file can be called."""
    encoded = bytes(path)
    if b"\0" in encoded:
        raise ValueError("a file's name may not hold a NUL character")
    if len(encoded) > LONGEST_PATH or any(len(bytes(Path(part))) > LONGEST_NAME for part in path.parts):
        raise ValueError(f"a name may have {LONGEST_NAME} bytes and a whole path {LONGEST_PATH}")
    return path


FilePath = Annotated[Path, AfterValidator(_name_a_file)]
PositiveInt = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the configuration: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, validate_default=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _take_no_truth_value_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError("true and false are no value for it")
        return value
