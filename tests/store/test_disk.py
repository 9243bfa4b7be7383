import errno
from pathlib import Path

import pytest

from sert.errors import DataError, DiskError, DiskFullError
from sert.store.disk import make_folder, put, require_room, writing

RUST = "Error while serializing: I/O error: No space left on device (os error 28)"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), OSError(errno.EDQUOT, "quota"), RuntimeError(RUST)])
def test_a_full_disk_is_told_in_bytes_whatever_says_so(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(DiskFullError, match=r"at least 1,234,567 bytes .* [\d,]+ are free"), writing(tmp_path, 1234567):
        raise error


def test_a_broken_disk_is_named_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=r"/somewhere/x cannot be .*Input/output error"), writing(tmp_path):
        raise OSError(errno.EIO, "broken", "/somewhere/x")


@pytest.mark.parametrize("error", [ConnectionResetError(errno.ECONNRESET, "gone"), ValueError("28")])
def test_what_is_no_disks_fault_stays_as_it_is(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)), writing(tmp_path):
        raise error


def test_a_file_is_complete_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    put(file, b"first")
    with monkeypatch.context() as patched:
        patched.setattr("sert.store.disk.sync", lambda path: (_ for _ in ()).throw(OSError(errno.EIO, "broken")))
        with pytest.raises(DiskError):
            put(file, b"second")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_bytes() == b"first"


def test_what_cannot_fit_is_not_started(tmp_path: Path) -> None:
    require_room(tmp_path, 1)
    with pytest.raises(DiskFullError, match=r"at least 1,000,000,000,000,000,000 bytes"):
        require_room(tmp_path, 10**18)


def test_a_path_through_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is a file"):
        make_folder(tmp_path / "file" / "a" / "b")
