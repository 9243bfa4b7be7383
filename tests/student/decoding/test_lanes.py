import sys

import torch

from sert.student.decoding.lanes import Lane, pack, unpack

LANES = [
    Lane(0, 0, [5], [-0.5], "outrun"),
    Lane(0, 1, [], [], "eos"),
    Lane(1, 0, [7, 50256, 2**31 - 1], torch.tensor([-0.1, -1e-20, -torch.inf]).tolist(), "length"),
    Lane(1, 1, [9], [-0.25], "outrun"),
]


def test_lanes_come_back_as_they_were() -> None:
    assert unpack(pack(LANES)) == LANES
    assert unpack(b"") == []


def test_packs_are_joined_and_sorted_by_branch_and_sample() -> None:
    assert unpack(pack(LANES[2:]) + pack(LANES[1::-1])) == LANES


def test_a_lane_of_one_token_takes_few_bytes() -> None:
    packed = pack([LANES[0]] * 25)
    assert sys.getsizeof(packed) < 25 * 32
