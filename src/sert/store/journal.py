"""An append-only journal: what was written and synced is never lost, whatever happens to the next record.

A record is a line: its length and CRC-32 in hexadecimal, then JSON. JSON holds no raw newline, so a record that was cut
or damaged spoils its own line only.
"""

import json
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sert.errors import DataError
from sert.store.disk import writing

_HEAD = 18  # "xxxxxxxx xxxxxxxx "


class Journal:
    """A journal that is open for appending."""

    def __init__(self, file: Path) -> None:
        """Open or make the file, and cut off what a crash left behind the last newline.

        Raises:
            DataError: If the file cannot be opened.
        """
        self._file = file
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise DataError(f"The journal {file} cannot be opened: {error.strerror}.") from None
        self._end = self._after_last_newline()
        os.ftruncate(self._descriptor, self._end)

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def append(self, record: Mapping[str, Any]) -> int:
        """Write a record and return where it starts. It is safe from a crash of the machine once `sync` returns.

        Raises:
            DiskError: If it cannot be written, there is no room for instance; what stood there before is untouched.
        """
        if os.fstat(self._descriptor).st_size != self._end:  # an append was interrupted
            self._end = self._after_last_newline()
            os.ftruncate(self._descriptor, self._end)
        start, line = self._end, _encode(record)
        with writing(self._file.parent, len(line)):
            try:
                written = 0
                while written < len(line):  # a short write is followed by one that says why
                    written += os.write(self._descriptor, line[written:])
            except OSError:
                os.ftruncate(self._descriptor, start)
                raise
        self._end += written
        return start

    def sync(self) -> None:
        """Wait until everything that was appended is on the disk.

        Raises:
            DiskError: If it does not get there.
        """
        with writing(self._file.parent):
            os.fsync(self._descriptor)

    def read(self, start: int) -> dict[str, Any]:
        """Read the record that starts there.

        Raises:
            DataError: If none does.
        """
        head = os.pread(self._descriptor, _HEAD, start)
        try:
            record = _decode(head + os.pread(self._descriptor, int(head[:8], 16), start + _HEAD))
        except ValueError:
            record = None
        if record is None:
            raise DataError(f"{self._file} is damaged: there is no record at byte {start}.")
        return record

    def _after_last_newline(self) -> int:
        end = os.fstat(self._descriptor).st_size
        while end:
            start = max(0, end - 65536)
            newline = os.pread(self._descriptor, end - start, start).rfind(b"\n")
            if newline >= 0:
                return start + newline + 1
            end = start
        return 0


def read_records(file: Path) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Read every record with its start, in the order in which they were written; None for a line that is damaged.

    The file may be open for appending elsewhere; a missing file has no records.
    """
    try:
        stream = file.open("rb")
    except FileNotFoundError:
        return
    with stream:
        start = 0
        for line in stream:
            if line.endswith(b"\n"):  # the last one may be under way
                yield start, _decode(line[:-1])
            start += len(line)


def _encode(record: Mapping[str, Any]) -> bytes:
    payload = json.dumps(record, separators=(",", ":"), allow_nan=False).encode("ascii")
    return b"%08x %08x %s\n" % (len(payload), zlib.crc32(payload), payload)


def _decode(line: bytes) -> dict[str, Any] | None:
    payload = line[_HEAD:]
    if line[:_HEAD] != b"%08x %08x " % (len(payload), zlib.crc32(payload)):
        return None
    record = json.loads(payload)
    return record if isinstance(record, dict) else None
