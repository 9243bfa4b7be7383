"""Right, wrong, unread, cut of many outputs of each question, by hand."""

import numpy as np
import pytest

from sert.analysis.four_numbers import Standings, cut_warning, four_numbers
from sert.stats.clusters import clustered_share
from sert.tasks.standing import Standing

OF_A: list[Standing | None] = ["right", "right", "wrong", "cut", None]
OF_B: list[Standing | None] = ["wrong", "unread", "unread"]


def standings(more: int = 1) -> Standings:
    """Eight outputs of two questions, one of which was stopped; so many times."""
    found = Standings()
    for _ in range(more):
        for question_id, outputs in (("a", OF_A), ("b", OF_B)):
            for standing in outputs:
                found.add("mined", "all", question_id, standing)
    return found


def test_shares_are_of_all_outputs_and_the_question_is_the_unit() -> None:
    (row,) = standings().rows()
    assert (row["of"], row["name"], row["paths"], row["questions"]) == ("mined", "all", 8, 2)
    hits = {name: row[name]["hits"] for name in ("right", "wrong", "unread", "cut", "stopped")}
    assert hits == {"right": 2, "wrong": 2, "unread": 2, "cut": 1, "stopped": 1}
    assert row["right"]["share"] == 2 / 8
    assert (row["answered"]["hits"], row["answered"]["of"]) == (4, 8)
    right = row["right_of_answered"]
    assert (right["hits"], right["of"], right["share"], right["questions"]) == (2, 4, 0.5, 2)
    assert right["ci95"] == pytest.approx(list(clustered_share([2, 0], [3, 1]).interval or ()))


def test_where_no_path_was_stopped_none_is_told() -> None:
    assert "stopped" not in four_numbers(np.array([[1, 0, 0, 0]]))
    found = Standings()
    found.add("decoding", "greedy", "a", "right")
    (row,) = found.rows()
    assert row["stopped"] is None


def test_seeds_are_added_up_question_by_question() -> None:
    both = Standings()
    for _ in range(2):
        both.add_all(standings())
    assert list(both.rows()) == list(standings(2).rows())
    assert next(both.rows())["questions"] == 2


def test_groups_can_be_taken_under_another_name() -> None:
    taken = Standings()
    taken.add_all(standings(), renamed={("mined", "all"): ("budget", "1x25")})
    taken.add_all(standings(), renamed={("mined", "kept"): ("budget", "never")})
    assert [(row["of"], row["name"], row["paths"]) for row in taken.rows()] == [("budget", "1x25", 8)]


def test_more_than_five_percent_cut_are_warned_of_with_the_setting() -> None:
    shares = {"sert": 0.06, "rd": 0.05, "zero_shot": None, "finetune": 0.5}
    assert cut_warning(shares, tokens=64, setting="evaluation.max_new_tokens") == (
        "outputs are cut at 64 tokens before they state an answer (6 % of sert, 50 % of finetune), and count as "
        "neither right nor wrong by the strict reading; raise evaluation.max_new_tokens, to 128 for instance"
    )
    assert cut_warning({"rd": 0.05}, tokens=64, setting="evaluation.max_new_tokens") is None
