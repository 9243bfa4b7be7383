from pathlib import Path

import pytest

from sert.store.spill import Spill


def test_blocks_are_got_in_any_order(tmp_path: Path) -> None:
    blocks = [bytes([number]) * size for number, size in enumerate((3, 0, 100_000, 1, 7))]
    with Spill(tmp_path, len(blocks)) as spill:
        for number in (2, 4, 0):
            spill.put(number, blocks[number])
        assert spill.get(2) == blocks[2]
        for number in (1, 3):
            spill.put(number, blocks[number])
        assert [spill.get(number) for number in (4, 0, 3, 1, 2)] == [blocks[number] for number in (4, 0, 3, 1, 2)]


def test_a_block_that_is_not_there_is_missed(tmp_path: Path) -> None:
    with Spill(tmp_path, 2) as spill:
        spill.put(1, b"")
        assert spill.get(1) == b""
        with pytest.raises(KeyError):
            spill.get(0)


def test_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    with Spill(tmp_path, 1) as spill:
        spill.put(0, b"x" * 100_000)
    assert list(tmp_path.iterdir()) == []
