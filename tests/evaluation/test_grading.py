import pytest

from sert.config.tree import EvaluationConfig, RulesConfig
from sert.errors import DataError
from sert.evaluation.grading import grade, summarize
from sert.records import TOO_LONG, Question

REASONED = " A heron has long legs and stands in shallow water. So the answer is yes."


def make_question(number=1, answer="yes"):
    return Question(
        f"q{number}", "demo", "test", "Can a heron wade?", (), answer, "Question: Can a heron wade?\nAnswer:"
    )


def make_prediction(
    completion=REASONED, *, question=None, finish="eos", token_ids=None, reasoning_tokens=26, **settings
):
    return grade(
        question or make_question(),
        completion=completion,
        finish=finish,
        token_ids=tuple(range(32)) if token_ids is None else token_ids,
        reasoning_tokens=reasoning_tokens,
        rules=RulesConfig(),
        evaluation=EvaluationConfig(**settings),
    )


def test_a_good_output():
    prediction = make_prediction()
    assert (prediction.question_id, prediction.finish, prediction.completion) == ("q1", "eos", REASONED)
    assert (prediction.answer_strict, prediction.answer_loose) == ("yes", "yes")
    assert (prediction.correct_strict, prediction.correct_loose) == (True, True)
    assert (prediction.num_tokens, prediction.reasoning_tokens) == (32, 26)
    assert prediction.format_ok
    assert prediction.reasoned
    assert prediction.rep_1 == 0.0


def test_a_wrong_answer_keeps_its_format():
    prediction = make_prediction(question=make_question(answer="no"))
    assert (prediction.correct_strict, prediction.correct_loose, prediction.format_ok) == (False, False, True)


def test_a_bare_answer_is_an_answer_and_not_the_trained_format():
    prediction = make_prediction(" yes.", token_ids=(1, 2), reasoning_tokens=2)
    assert (prediction.answer_strict, prediction.answer_loose) == ("yes", "yes")
    assert (prediction.correct_strict, prediction.correct_loose) == (True, True)
    assert not prediction.format_ok
    assert not prediction.reasoned


def test_an_output_without_an_answer_is_wrong():
    prediction = make_prediction(" Herons.", token_ids=(1,), reasoning_tokens=1)
    assert (prediction.answer_loose, prediction.correct_loose) == (None, False)


def test_an_output_that_ran_into_the_limit_fails_the_format():
    assert not make_prediction(finish="length").format_ok


def test_severe_repetition_of_the_reasoning_fails_the_format():
    # Five tokens, four bigrams: two of (1, 1) come back in the first, three in the second.
    half = (1, 1, 1, 1, 2)
    most = (1, 1, 1, 1, 1)
    assert make_prediction(token_ids=half, reasoning_tokens=5).format_ok
    assert not make_prediction(token_ids=most, reasoning_tokens=5).format_ok
    assert make_prediction(token_ids=most, reasoning_tokens=5, max_format_rep_2=0.75).format_ok


def test_repetition_behind_the_reasoning_is_not_looked_at():
    assert make_prediction(token_ids=(1, 2, 3, *[9] * 30), reasoning_tokens=3).format_ok


def test_rep_1_is_over_the_words_of_the_reasoning():
    # the owl the owl The: five words, two distinct; the conclusion does not count.
    prediction = make_prediction(" the owl the owl The So the answer is yes. yes yes yes")
    assert prediction.rep_1 == pytest.approx(0.6)


def test_short_reasoning_is_not_reasoned():
    assert make_prediction(token_ids=tuple(range(25))).reasoned
    assert not make_prediction(token_ids=tuple(range(24))).reasoned


def test_words_behind_the_answer_are_no_reasoning():
    late = make_prediction(" yes. So the answer is yes. Herons stand in shallow water.", reasoning_tokens=30)
    assert not late.reasoned


def test_summary_by_hand():
    questions = [make_question(1), make_question(2, "no"), make_question(3, "no"), make_question(4, "no")]
    predictions = [
        make_prediction(question=questions[0], reasoning_tokens=30),
        make_prediction(question=questions[1]),
        make_prediction(" no.", question=questions[2], token_ids=(1,), reasoning_tokens=1),
        make_prediction(" So the answer is no.", question=questions[3], token_ids=(1, 2), reasoning_tokens=0),
    ]
    summary = summarize(predictions, questions)
    for ends in ("ci95", "right_of_answered_ci95"):
        low, high = summary.pop(ends)
        assert low == pytest.approx(0.300642, abs=1e-6)
        assert high == pytest.approx(0.954413, abs=1e-6)
    assert summary == {
        "n": 4,
        "too_long": 0,
        "correct": 3,
        "accuracy": 0.75,
        "correct_strict": 3,
        "accuracy_strict": 0.75,
        "right": 0.75,
        "wrong": 0.25,
        "unread": 0.0,
        "cut": 0.0,
        "answered": 4,
        "right_of_answered": 0.75,
        "format": 0.75,
        "mean_length": (30 + 26 + 1 + 0) / 4,
        "repetition": 0.0,
        "reasoned": 0.5,
        "majority_accuracy": 0.75,
    }


def test_right_wrong_unread_and_cut_are_all_outputs():
    questions = [make_question(number) for number in range(8)]
    yes, no = "So the answer is yes.", "So the answer is no."
    texts = [(yes, "eos"), (yes, "eos"), (no, "eos"), (no, "length")]
    texts += [("Herons wade.", "eos"), ("Herons", "length"), ("Herons wade; yes", "length"), ("", TOO_LONG)]
    predictions = [
        make_prediction(f" {text}", question=question, finish=finish)
        for question, (text, finish) in zip(questions, texts, strict=True)
    ]
    summary = summarize(predictions, questions)
    shares = [summary[name] for name in ("right", "wrong", "unread", "cut")]
    assert shares == [2 / 8, 2 / 8, 2 / 8, 2 / 8]  # cut behind its answer is not cut, and what was too long is unread
    assert (summary["answered"], summary["right_of_answered"]) == (4, 0.5)
    assert summary["right_of_answered_ci95"] == pytest.approx([0.150039, 0.849961], abs=1e-6)  # Wilson's of 2 of 4
    assert summary["accuracy"] == 3 / 8  # the loose reading takes the yes of what was cut
    nothing = summarize(predictions[4:6], questions[4:6])
    assert (nothing["answered"], nothing["right_of_answered"], nothing["right_of_answered_ci95"]) == (0, None, None)


def test_repetition_is_over_outputs_that_have_reasoning():
    questions = [make_question(1), make_question(2)]
    bare = make_prediction(" So the answer is yes.", question=questions[0], reasoning_tokens=0)
    looping = make_prediction(" wade wade So the answer is yes.", question=questions[1], reasoning_tokens=2)
    assert summarize([bare, looping], questions)["repetition"] == 0.5
    assert summarize([bare], questions[:1])["repetition"] is None


def test_predictions_must_answer_the_questions():
    questions = [make_question(1), make_question(2)]
    with pytest.raises(DataError, match="no predictions"):
        summarize([], questions)
    with pytest.raises(DataError, match="1 predictions do not answer the 2 questions"):
        summarize([make_prediction(question=questions[0])], questions)
    with pytest.raises(DataError, match="once each"):
        summarize([make_prediction(question=questions[0])] * 2, questions)
