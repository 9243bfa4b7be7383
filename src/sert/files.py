"""Files that users name, read so that nothing they hold or are can hang the program or fill its memory.

Every refusal is an `OSError` whose text is the reason; who reads says which file it was and what was wanted of it.
"""

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

LONGEST_LINE = 2**22
"""Bytes of a line of a JSONL or CSV file."""
LARGEST_TABLE = 2**30
"""Bytes of a file that is read row by row; for Parquet also when it is unpacked."""
LARGEST_TEXT = 2**28
"""Bytes of a file that is read whole."""


def user_cache(name: str) -> Path:
    """Name a folder of what can be made again: in `XDG_CACHE_HOME`, or in `~/.cache`. All in it may be removed."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    root = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
    return root / "sert" / name


def check_file(file: Path, *, largest: int) -> None:
    """Refuse what is no regular file before it is opened: a pipe or a device may never end.

    Raises:
        FileNotFoundError: If there is none.
        OSError: If it cannot be read, with the reason.
    """
    try:
        found = file.stat()
    except ValueError:
        raise OSError("its name holds a NUL character") from None
    if stat.S_ISDIR(found.st_mode):
        raise OSError("it is a folder")
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is a pipe, a socket or a device, and only regular files are read")
    if found.st_size > largest:
        raise OSError(f"it has {found.st_size:,} bytes, and at most {largest:,} are read")


def read_whole(file: Path, *, largest: int = LARGEST_TEXT) -> str:
    r"""Read UTF-8 text, with or without a byte order mark; every line end becomes `\n`.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If it cannot be read, is larger than `largest` bytes, or is not UTF-8 text.
    """
    check_file(file, largest=largest)
    with file.open("rb") as stream:
        data = stream.read(largest)
    text = _decode(data).removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(file: Path) -> Iterator[str]:
    r"""Read UTF-8 text line by line, each with its `\n`, holding one at a time.

    Raises:
        FileNotFoundError: If there is no such file.
        OSError: If it cannot be read, is too large, has too long a line, or is not UTF-8 text.
    """
    check_file(file, largest=LARGEST_TABLE)
    with file.open("rb") as stream:
        for number, line in enumerate(iter(partial(stream.readline, LONGEST_LINE + 1), b""), start=1):
            if len(line) > LONGEST_LINE:
                raise OSError(f"line {number} has more than {LONGEST_LINE:,} bytes")
            text = _decode(line, line=number)
            yield text.removeprefix("\ufeff") if number == 1 else text


def _decode(data: bytes, *, line: int = 1) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        number = line + data.count(b"\n", 0, error.start)
        utf_16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
        guess = "it seems to be UTF-16" if utf_16 else f"byte 0x{data[error.start]:02x}"
        raise OSError(f"line {number} is not UTF-8 text ({guess}); save the file as UTF-8") from None
