import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from sert.errors import DataError
from sert.store.journal import Journal, read_records

RECORDS = [{"n": 0, "text": "a"}, {"n": 1, "text": "zwei\nZeilen ü \u2028 \ud835"}, {"n": 2, "text": "x" * 300}]


def write(file: Path, records=RECORDS) -> list[int]:
    with Journal(file) as journal:
        starts = [journal.append(record) for record in records]
        journal.sync()
    return starts


def whole(file: Path) -> list[dict]:
    return [record for _, record in read_records(file) if record is not None]


def test_records_come_back_in_order_and_by_their_start(tmp_path: Path) -> None:
    starts = write(tmp_path / "j")
    assert list(read_records(tmp_path / "j")) == list(zip(starts, RECORDS, strict=True))
    with Journal(tmp_path / "j") as journal:
        assert journal.read(starts[1]) == RECORDS[1]
        with pytest.raises(DataError, match="no record at byte 3"):
            journal.read(3)


def test_a_missing_journal_has_no_records(tmp_path: Path) -> None:
    assert list(read_records(tmp_path / "none")) == []


def test_a_journal_cut_anywhere_loses_only_the_record_that_was_cut(tmp_path: Path) -> None:
    file = tmp_path / "j"
    starts = [*write(file), file.stat().st_size]
    content = file.read_bytes()
    for size in range(len(content)):
        file.write_bytes(content[:size])
        kept = sum(end <= size for end in starts[1:])
        assert whole(file) == RECORDS[:kept]
        write(file, [{"n": 9}])
        assert whole(file) == [*RECORDS[:kept], {"n": 9}], f"cut at {size}"


def test_a_damaged_record_is_passed_over_alone(tmp_path: Path) -> None:
    file = tmp_path / "j"
    starts = write(file)
    content = file.read_bytes()
    for place in range(starts[1], starts[2] - 1):
        for bit in (1, 64):
            damaged = bytearray(content)
            damaged[place] ^= bit
            if damaged[place] == ord("\n"):  # makes two lines of one; both are damaged
                continue
            file.write_bytes(damaged)
            assert [record for _, record in read_records(file)] == [RECORDS[0], None, RECORDS[2]]


def test_a_full_disk_is_said_and_what_stood_there_is_untouched(tmp_path: Path) -> None:
    code = f"""
import resource, signal
from pathlib import Path
from sert.errors import DiskFullError
from sert.store.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
with Journal(Path({str(tmp_path / "j")!r})) as journal:
    journal.append({{"n": 0}})
    try:
        journal.append({{"text": "x" * 1000}})
    except DiskFullError as error:
        assert "free" in str(error)
    else:
        raise SystemExit("it was written")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 400
    assert whole(tmp_path / "j") == [{"n": 0}]


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be opened"):
        Journal(tmp_path)


def test_a_number_that_is_not_finite_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal, pytest.raises(ValueError, match="not JSON compliant"):
        journal.append({"n": float("nan")})
    assert os.stat(tmp_path / "j").st_size == 0


def test_an_append_that_was_interrupted_spoils_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal can come between the write and its being noted, after a part of the record or after all of it."""
    file, whole_write = tmp_path / "j", os.write
    for part, kept in ((5, []), (None, [{"n": 1}])):
        file.unlink(missing_ok=True)
        with Journal(file) as journal:
            journal.append({"n": 0})

            def interrupted(descriptor: int, content: bytes, part: int | None = part) -> int:
                whole_write(descriptor, content[:part])
                raise KeyboardInterrupt

            with monkeypatch.context() as patched:
                patched.setattr(os, "write", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    journal.append({"n": 1})
            journal.append({"n": 2})
        assert whole(file) == [{"n": 0}, *kept, {"n": 2}]
