import sys

import torch

from sert.student.decoding.engine import Continuation
from sert.student.decoding.packing import LanePacker

LANES = [
    Continuation(0, 0, [5], [-0.5], "outrun"),
    Continuation(0, 1, [], [], "eos"),
    Continuation(1, 0, [7, 50256, 2**31 - 1], torch.tensor([-0.1, -1e-20, -torch.inf]).tolist(), "length"),
    Continuation(1, 1, [9], [-0.25], "outrun"),
]


def test_lanes_come_back_as_they_were() -> None:
    packer = LanePacker()
    assert packer.unpack(packer.pack(LANES)) == LANES
    assert packer.unpack(b"") == []


def test_packs_are_joined_and_sorted_by_branch_and_sample() -> None:
    packer = LanePacker()
    assert packer.unpack(packer.pack(LANES[2:]) + packer.pack(LANES[1::-1])) == LANES


def test_a_lane_of_one_token_takes_few_bytes() -> None:
    packed = LanePacker().pack([LANES[0]] * 25)
    assert sys.getsizeof(packed) < 25 * 32
