"""Free memory is what is free in the container, not on the machine."""

from pathlib import Path

import pytest

from sert.student.main_memory import MainMemory, main_memory

MACHINE = MainMemory(100 * 1024, 40 * 1024)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A system without control groups."""
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemTotal:  100 kB\nMemFree: 1 kB\nMemAvailable:   40 kB\n")
    return tmp_path


def group(folder: Path, limit: str, *, used: int = 1000, cached: int = 300) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 700\nfile {cached}\n")


def test_the_machines_memory_is_read(system: Path) -> None:
    assert main_memory(system) == MACHINE
    assert main_memory(system / "elsewhere") is None


def test_a_limit_of_the_container_counts(system: Path) -> None:
    group(system / "sys/fs/cgroup", "max")
    assert main_memory(system) == MACHINE
    group(system / "sys/fs/cgroup", "9000")
    assert main_memory(system) == (9000, 8300)
    group(system / "sys/fs/cgroup", "9000", used=9500)
    assert main_memory(system) == (9000, 0)


def test_the_tightest_limit_around_the_process_counts(system: Path) -> None:
    (system / "proc/self/cgroup").write_text("0::/slurm/job_7/step_0\n")
    group(system / "sys/fs/cgroup/slurm/job_7/step_0", "max")
    group(system / "sys/fs/cgroup/slurm/job_7", "8000", used=2000, cached=0)
    group(system / "sys/fs/cgroup/slurm", "9000")
    group(system / "sys/fs/cgroup/other", "10")
    assert main_memory(system) == (8000, 6000)


def test_limits_of_the_older_interface_count(system: Path) -> None:
    (system / "proc/self/cgroup").write_text("12:memory:/docker/ab\n3:cpu,cpuacct:/docker/ab\n")
    folder = system / "sys/fs/cgroup/memory/docker/ab"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("9000\n")
    (folder / "memory.usage_in_bytes").write_text("1000\n")
    (folder / "memory.stat").write_text("cache 1\ntotal_cache 300\n")
    assert main_memory(system) == (9000, 8300)
