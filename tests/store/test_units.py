from pathlib import Path

import pytest

from sert.store.units import Unit, UnitStore, plan_units


def test_rows_of_like_size_make_up_a_unit_and_each_row_is_in_one() -> None:
    units = plan_units([5, 1, 4, 1, 3, 2, 2], rows_a_unit=3)
    assert units == [Unit(0, (1, 3, 5)), Unit(1, (6, 4, 2)), Unit(2, (0,))]
    assert plan_units([], rows_a_unit=3) == []


def test_finished_units_are_found_again(tmp_path: Path) -> None:
    store = UnitStore(tmp_path / "units")
    assert store.finished() == {}
    store.commit(Unit(1, (0,)), b"one")
    store.commit(Unit(0, (1,)), b"zero")
    store.commit(Unit(0, (1,)), b"zero")  # done twice, by a worker that was thought dead
    found = UnitStore(tmp_path / "units").finished()
    assert {number: file.read_bytes() for number, file in found.items()} == {0: b"zero", 1: b"one"}


@pytest.mark.parametrize("content", [b"", b"on", b"onf", b"one and more"])
def test_a_damaged_unit_is_not_finished_and_removed(tmp_path: Path, content: bytes) -> None:
    store = UnitStore(tmp_path)
    store.commit(Unit(1, (0,)), b"one")
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert store.damaged() == [file.name]
    assert store.finished() == {}
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_is_no_unit(tmp_path: Path) -> None:
    store = UnitStore(tmp_path)
    (tmp_path / ".half").write_bytes(b"half")
    assert store.damaged() == []
    assert store.finished() == {}
    assert list(tmp_path.iterdir()) == []
