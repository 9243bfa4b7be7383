import re

import pytest

from sert.judge.planted import CALIBRATION
from sert.judge.prompt import judge_prompt
from sert.judge.reply import Scores, parse_reply
from sert.judge.scores import RULE, Gap, calibration_gap, separates


def test_six_questions_each_with_a_good_and_a_bad_reasoning():
    kinds = {}
    for item in CALIBRATION:
        kinds.setdefault(item.question.question_id, []).append(item.kind)
    assert len(CALIBRATION) == len({item.item_id for item in CALIBRATION}) == 12
    assert list(kinds.values()) == [["good", "bad"]] * 6
    assert [item.question.answer_type for item in CALIBRATION[::2]] == ["yes_no"] * 3 + ["choice"] * 3
    assert all(len(item.question.choices) in (0, 5) for item in CALIBRATION)
    assert all(item.question.answer in (item.question.letters or ("yes", "no")) for item in CALIBRATION)


def test_good_reasonings_reach_the_gold_answer():
    good = [item for item in CALIBRATION if item.kind == "good"]
    assert all(item.reasoning.endswith(f"So the answer is {item.question.answer}.") for item in good)
    assert all(len(re.findall(r"[.;]", item.reasoning)) >= 4 for item in good)


def test_items_can_be_asked_and_plant_nothing():
    lines = (
        "Score for Coherence: 5\nScore for Relevance: 5\nScore for Logical Consistency: 5\nScore for Completeness: 5"
    )
    for item in CALIBRATION:
        assert item.reasoning in judge_prompt(item.question, item.reasoning, nonce="abcd1234", output="lines")
        assert parse_reply(lines, reasoning=item.reasoning, output="lines").scores == Scores(5, 5, 5, 5)


def test_gap_by_hand():
    gaps = calibration_gap(
        [
            ("good", Scores(8, 9, 7, 6)),
            ("good", Scores(6, 10, 8, 9)),
            ("good", None),
            ("bad", Scores(1, 9, 7, 0)),
            ("bad", None),
            ("bad", None),
        ]
    )
    assert gaps == {
        "coherence": Gap(6.0, 7.0, 1.0, 2, 1, 1, 2),
        "relevance": Gap(0.5, 9.5, 9.0, 2, 1, 1, 2),
        "logical_consistency": Gap(0.5, 7.5, 7.0, 2, 1, 1, 2),
        "completeness": Gap(7.5, 7.5, 0.0, 2, 1, 1, 2),
    }


def test_failures_are_no_zeros():
    gaps = calibration_gap([("good", Scores(7, 7, 7, 7)), ("bad", None)])
    assert set(gaps.values()) == {Gap(None, 7.0, None, 1, 0, 0, 1)}
    assert not separates(gaps)
    assert not separates(calibration_gap([]))


@pytest.mark.parametrize(
    ("good", "bad", "reliable"),
    [
        (Scores(7, 7, 7, 7), Scores(5, 5, 5, 5), True),
        (Scores(7.1, 7.1, 7.1, 7.1), Scores(5.1, 5.1, 5.1, 5.1), True),
        (Scores(9, 9, 9, 6.9), Scores(1, 1, 1, 5), False),
        (Scores(7, 7, 7, 7), Scores(7, 7, 7, 7), False),
        (Scores(1, 1, 1, 1), Scores(9, 9, 9, 9), False),
    ],
)
def test_every_criterion_must_be_two_points_apart(good, bad, reliable):
    assert separates(calibration_gap([("good", good), ("bad", bad)])) == reliable


def test_the_rule_is_said_in_words():
    assert "at least 2 points" in RULE
    assert "each of the 4 criteria" in RULE
