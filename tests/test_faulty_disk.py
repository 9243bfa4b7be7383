"""The faulty disk itself: what it counts, what it fails, and that no write of the libraries passes it by."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from crash_trials import make_reference
from faulty_disk import SmallDisk, build, compiler, preloaded
from nursery import Nursery, environment

pytestmark = pytest.mark.skipif(compiler() is None, reason="there is no C compiler to build a faulty disk with")

CALLS = "write,pwrite64,writev,pwritev,pwritev2,copy_file_range,sendfile,splice,fsync,fdatasync,sync_file_range"
NAMES = "ftruncate,truncate,fallocate,rename,renameat,renameat2,link,linkat"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("library"))


def run_script(library: Path, folder: Path, *, script: str, wrapper: tuple[str, ...] = ()) -> dict[str, Any]:
    """Run Python with the library; `note(NAME, CALL)` notes what a call returns, or its error."""
    (folder / "disk").mkdir()
    begin = f"""
import errno, json, os, sys
from faulty_disk import Disk, Fault
disk, folder, notes = Disk(), {str(folder / "disk")!r}, {{}}
def note(name, call, *arguments):
    try:
        notes[name] = call(*arguments)
    except OSError as error:
        notes[name] = errno.errorcode[error.errno]
"""
    end = "\ndisk.disarm()\nnotes |= {'counted': disk.count(), 'failed': disk.failed()}\nprint(json.dumps(notes))"
    result = subprocess.run(
        [*wrapper, sys.executable, "-c", begin + script + end],
        env=environment() | preloaded(library, state=folder / "state"),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    notes: dict[str, Any] = json.loads(result.stdout)
    return notes


OPERATIONS = """
file = os.open(f"{folder}/a", os.O_RDWR | os.O_CREAT)
outside = os.open(f"{folder}/../b", os.O_RDWR | os.O_CREAT)
disk.arm(Fault(folder, n=%s))
note("write", os.write, file, b"12345678")
note("outside", os.write, outside, b"12345678")
note("pwrite", os.pwrite, file, b"12345678", 8)
note("writev", os.writev, file, [b"123", b"45678"])
note("pwritev", os.pwritev, file, [b"12345678"], 8)
note("fsync", os.fsync, file)
note("fdatasync", os.fdatasync, file)
note("ftruncate", os.ftruncate, file, 100)
note("posix_fallocate", os.posix_fallocate, file, 0, 100)
note("sendfile", os.sendfile, file, outside, 0, 8)
note("copy_file_range", os.copy_file_range, outside, file, 8, 0)
note("link", os.link, f"{folder}/a", f"{folder}/c")
note("rename", os.rename, f"{folder}/a", f"{folder}/d")
os.chdir(folder)
note("replace", os.replace, "d", "../e")
note("gone", os.rename, "../e", "../f")
"""


def test_every_operation_below_the_folder_counts_and_none_outside(library: Path, tmp_path: Path) -> None:
    notes = run_script(library, tmp_path, script=OPERATIONS % "0")
    assert (notes["counted"], notes["failed"]) == (13, 0)
    assert notes["write"] == notes["outside"] == notes["writev"] == notes["sendfile"] == 8


@pytest.mark.parametrize(
    ("n", "fails"), [(1, "write"), (3, "writev"), (5, "fsync"), (8, "posix_fallocate"), (12, "rename")]
)
def test_the_nth_operation_fails_and_no_other(library: Path, tmp_path: Path, n: int, fails: str) -> None:
    notes = run_script(library, tmp_path, script=OPERATIONS % f"{n}, error=errno.EIO")
    wrong = {name for name, value in notes.items() if value == "EIO"}
    assert wrong == {fails} and notes["failed"] == 1


@pytest.mark.parametrize("call", ["os.write(file, b'12345678')", "os.writev(file, [b'123', b'45678'])"])
def test_half_of_a_write_is_written(library: Path, tmp_path: Path, call: str) -> None:
    script = f"""
file = os.open(f"{{folder}}/a", os.O_RDWR | os.O_CREAT)
disk.arm(Fault(folder, n=1, error=errno.ENOSPC, kind="half"))
note("write", lambda: {call})
note("again", lambda: {call})
"""
    notes = run_script(library, tmp_path, script=script)
    assert (notes["write"], notes["again"]) == ("ENOSPC", 8)
    assert (tmp_path / "disk" / "a").read_bytes() == b"123412345678"


def test_a_process_dies_with_half_of_a_write(library: Path, tmp_path: Path) -> None:
    script = """
file = os.open(f"{folder}/a", os.O_RDWR | os.O_CREAT)
disk.arm(Fault(folder, n=1, error=errno.EIO, kind="kill"))
os.write(file, b"12345678")
"""
    with pytest.raises(subprocess.CalledProcessError, match="SIGKILL"):
        run_script(library, tmp_path, script=script)
    assert (tmp_path / "disk" / "a").read_bytes() == b"1234"


def test_a_budget_cuts_a_write_and_then_refuses(library: Path, tmp_path: Path) -> None:
    script = """
file = os.open(f"{folder}/a", os.O_RDWR | os.O_CREAT)
disk.arm(Fault(folder, room=10))
note("fits", os.write, file, b"12345678")
note("cut", os.writev, file, [b"1", b"2345678"])
note("refused", os.write, file, b"1")
note("synced", os.fsync, file)
"""
    notes = run_script(library, tmp_path, script=script)
    assert notes == {"fits": 8, "cut": 2, "refused": "ENOSPC", "synced": None, "counted": 4, "failed": 2}


def test_a_process_that_is_started_shares_the_count(library: Path, tmp_path: Path) -> None:
    script = """
import subprocess
disk.arm(Fault(folder, n=2, error=errno.EIO))
write = "import os, sys; os.write(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), b'1')"
note("codes", lambda: [
    subprocess.run([sys.executable, "-c", write, f"{folder}/{name}"], stderr=subprocess.DEVNULL).returncode
    for name in "abc"
])
"""
    assert run_script(library, tmp_path, script=script)["codes"] == [0, 1, 0]


@pytest.mark.skipif(not SmallDisk.may_mount(), reason="this process may not mount a file system")
def test_a_small_disk_fills_and_is_enlarged(tmp_path: Path) -> None:
    with SmallDisk(tmp_path / "disk", room=8192) as disk:
        assert disk.fault is None
        with pytest.raises(OSError, match="No space left"):
            (disk.folder / "a").write_bytes(bytes(8193))
        disk.enlarge()
        (disk.folder / "a").write_bytes(bytes(8193))
    assert list(disk.folder.iterdir()) == []


# ---- nothing passes it by


def strace(file: Path) -> tuple[str, ...]:
    """Return the command that writes every operation on files that the system is asked for into a file."""
    return ("strace", "-f", "-qq", "-y", "-e", f"trace={CALLS},{NAMES}", "-e", "signal=none", "-o", str(file))


def may_trace() -> bool:
    return (
        shutil.which("strace") is not None
        and subprocess.run(["strace", "-qq", "-o", os.devnull, "true"]).returncode == 0
    )


traced = pytest.mark.skipif(not may_trace(), reason="strace is not installed or may not trace")


def asked_of_the_system(file: Path, folder: Path) -> list[str]:
    """Name the traced calls that touch files below a folder; a call that was cut in two is counted once."""
    below = re.compile(rf'[<"]{re.escape(str(folder))}/')
    calls = (re.match(r"\d+ +(\w+)\((.*)", line) for line in file.read_text(errors="replace").splitlines())
    return [
        call[1]
        for call in calls
        if call and below.search(call[2].partition(', "')[0] if "write" in call[1] else call[2])
    ]


@traced
def test_no_write_of_the_libraries_is_missed(library: Path, tmp_path: Path) -> None:
    script = """
import shutil
import numpy, pyarrow, pyarrow.parquet, safetensors.numpy
disk.arm(Fault(folder))
with open(f"{folder}/text", "w") as stream:
    stream.write("text" * 10000)
shutil.copyfile(f"{folder}/text", f"{folder}/copy")
pyarrow.parquet.write_table(pyarrow.table({"a": list(range(100000))}), f"{folder}/table.parquet")
safetensors.numpy.save_file({"a": numpy.zeros(1000000)}, f"{folder}/weights.safetensors")
os.replace(f"{folder}/copy", f"{folder}/text")
"""
    notes = run_script(library, tmp_path, script=script, wrapper=strace(tmp_path / "trace"))
    asked = asked_of_the_system(tmp_path / "trace", tmp_path / "disk")
    assert {"write", "rename", "ftruncate"} <= set(asked)
    assert notes["counted"] == len([name for name in asked if name != RAW])


RAW = "renameat"
"""Safetensors gives a file its name by a system call of its own, which no library can stand before."""


@traced
@pytest.mark.soak
def test_no_write_of_a_run_is_missed(library: Path, tmp_path: Path, full: bool) -> None:
    if not full:
        pytest.skip("takes many seconds; the libraries one by one are looked at above")
    disk = preloaded(library, state=tmp_path / "state")
    with Nursery(folder=tmp_path / "logs", preloaded=disk, wrapper=strace(tmp_path / "trace")) as nursery:
        (tmp_path / "runs").mkdir()
        reference = make_reference(nursery, folder=tmp_path / "runs")
    asked = asked_of_the_system(tmp_path / "trace", reference.run)
    assert reference.operations == len([name for name in asked if name != RAW]) > 300
