"""Possible answers are scored as lm-evaluation-harness does, where it is installed (`pip install -e ".[oracle]"`)."""

import warnings
from pathlib import Path

import pytest

from sert.config.prompts import PromptTemplates
from sert.config.tree import StudentConfig
from sert.evaluation.likelihood import most_probable, score_answers
from sert.records import Question
from sert.student.load import Student
from sert.tasks.possible import possible_answers
from sert.tasks.prompts import student_prompt
from sert.terminal.progress import Silent

with warnings.catch_warnings():  # of the harness, which are not ours
    warnings.simplefilter("ignore")
    instance = pytest.importorskip("lm_eval.api.instance", exc_type=ImportError)
    huggingface = pytest.importorskip("lm_eval.models.huggingface", exc_type=ImportError)

ASKED = {
    "What melts in the sun?": (("ice cream", "a stone", "iron"), "A"),
    "What cuts wood?": (("rope", "a saw"), "B"),
    "What is it that flies over the sea, and sings?": (("an ox", "a gull", "a cod", "a bus"), "B"),
    "Is ice cold?": ((), "yes"),
}


def question_of(text: str, choices_as: str) -> Question:
    choices, answer = ASKED[text]
    prompt = student_prompt(text, choices, PromptTemplates.model_validate({"choices_as": choices_as}))
    return Question(text, "t", "test", text, choices, answer, prompt)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("choices_as", ["lettered", "listed", "none"])
def test_the_scores_and_the_answers_are_those_of_the_harness(
    student: Student, student_folder: Path, choices_as: str
) -> None:
    questions = [question_of(text, choices_as) for text in ASKED]
    ours = score_answers(questions, StudentConfig(path=str(student_folder), device="cpu"), label="x", reporter=Silent())
    harness = huggingface.HFLM(pretrained=student.model, tokenizer=student.tokenizer, batch_size=1)
    candidates = [(question, each) for question in questions for each in possible_answers(question)]
    requests = [
        instance.Instance("loglikelihood", {}, (question.prompt, f" {each.text}"), place)
        for place, (question, each) in enumerate(candidates)
    ]
    theirs = [total for total, _ in harness.loglikelihood(requests, disable_tqdm=True)]
    assert [each.logprob for each in ours] == pytest.approx(theirs, rel=1e-4)
    best = most_probable(ours)
    for question in questions:
        scored = zip(candidates, theirs, strict=True)
        words = [
            (each, total) for (of, each), total in scored if of is question and each.form == "cloze"
        ]  # as its `acc` and `acc_norm` choose
        assert best["cloze_raw"][question.question_id] == max(words, key=lambda pair: pair[1])[0].answer
        by_character = max(words, key=lambda pair: pair[1] / len(pair[0].text))
        assert best["cloze"][question.question_id] == by_character[0].answer
