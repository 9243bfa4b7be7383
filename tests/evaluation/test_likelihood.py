"""Answers by likelihood: which are possible, how they are scored, and which one is taken."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from sert.config.prompts import PromptTemplates
from sert.config.tree import EvaluationConfig, StudentConfig
from sert.evaluation.likelihood import most_probable, score_answers, summarize_likelihoods
from sert.evaluation.prediction import evaluate
from sert.records import Likelihood, Question
from sert.store.tables import read_table
from sert.student.load import Student
from sert.tasks.possible import possible_answers
from sert.tasks.prompts import student_prompt
from sert.terminal.progress import Silent

CHOICES = ("rope", "a saw", "ice")


def asked(name: str, answer: str, choices: tuple[str, ...] = (), **templates: Any) -> Question:
    text = f"What is {name}?"
    prompt = student_prompt(text, choices, PromptTemplates(**templates))
    return Question(name, "t", "test", text, choices, answer, prompt)


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def at(folder: Path) -> StudentConfig:
    return StudentConfig(path=str(folder), device="cpu", num_threads=1)


def scores(question: str, form: str, **logprobs: float) -> list[Likelihood]:
    """Four characters an answer for the letter A, one more for each letter behind it."""
    return [
        Likelihood(question, form, answer, logprob, 1, 4 + place)
        for place, (answer, logprob) in enumerate(logprobs.items())
    ]


# ---- what is possible


def test_the_choices_and_their_letters_are_possible() -> None:
    found = list(possible_answers(asked("q", "B", CHOICES)))
    assert found == [
        ("cloze", "A", "rope"),
        ("cloze", "B", "a saw"),
        ("cloze", "C", "ice"),
        ("letter", "A", "A"),
        ("letter", "B", "B"),
        ("letter", "C", "C"),
    ]


@pytest.mark.parametrize("choices_as", ["listed", "none"])
def test_no_letter_is_possible_where_the_prompt_has_none(choices_as: str) -> None:
    found = possible_answers(asked("q", "B", CHOICES, choices_as=choices_as))
    assert [(each.form, each.text) for each in found] == [("cloze", choice) for choice in CHOICES]


def test_yes_and_no_are_possible_and_numbers_are_no_closed_set() -> None:
    assert list(possible_answers(asked("q", "no"))) == [("cloze", "yes", "yes"), ("cloze", "no", "no")]
    assert list(possible_answers(asked("q", "72"))) == []


# ---- which one is taken


def test_words_are_compared_by_the_character_or_by_their_sum_and_letters_by_their_sum() -> None:
    found = most_probable([*scores("q", "cloze", A=-4.0, B=-4.5, C=-9.0), *scores("q", "letter", A=-2.0, B=-3.0)])
    # A character: -4 / 4 = -1, -4.5 / 5 = -0.9, -9 / 6 = -1.5.
    assert found == {"cloze": {"q": "B"}, "cloze_raw": {"q": "A"}, "letter": {"q": "A"}}


def test_of_equals_the_first_is_taken() -> None:
    assert most_probable(scores("q", "letter", C=-2.0, A=-2.0))["letter"] == {"q": "C"}


def test_the_right_ones_are_counted_of_those_that_have_such_answers() -> None:
    lettered, plain, number = asked("a", "B", CHOICES), asked("b", "no"), asked("c", "72")
    long = asked("d", "yes")  # was too long to be scored
    likelihoods = [
        *scores("a", "cloze", A=-4.0, B=-4.5, C=-9.0),
        *scores("a", "letter", A=-1.0, B=-2.0, C=-3.0),
        *scores("b", "cloze", yes=-3.0, no=-2.0),
    ]
    found = summarize_likelihoods(likelihoods, [lettered, plain, number, long])
    assert {measure: (row["correct"], row["n"]) for measure, row in found.items()} == {
        "cloze": (2, 3),
        "cloze_raw": (1, 3),
        "letter": (0, 1),
    }
    assert found["cloze"]["accuracy"] == pytest.approx(2 / 3)
    assert found["cloze"]["ci95"] == pytest.approx([0.2077, 0.9385], abs=1e-4)  # Wilson's


# ---- by a student


def plain_sum(student: Student, prompt: str, text: str) -> tuple[float, int]:
    """Sum the log-probabilities of a text behind a prompt by one forward pass of transformers."""
    context, own = student.tokenizer(prompt)["input_ids"], student.tokenizer(text)["input_ids"]
    with torch.no_grad():
        shares = student.model(torch.tensor([context + own])).logits[0].log_softmax(-1)
    return sum(float(shares[len(context) + at - 1, token]) for at, token in enumerate(own)), len(own)


def test_each_answer_is_scored_behind_its_prompt_as_transformers_scores_it(
    student: Student, student_folder: Path
) -> None:
    questions = [asked("a", "B", CHOICES), asked("b", "no"), asked("c", "72"), asked("d", "A", CHOICES[:2])]
    found = score_answers(questions, at(student_folder), label="x", reporter=Silent())
    prompts = {question.question_id: question for question in questions}
    assert [each.question_id for each in found] == ["a"] * 6 + ["b"] * 2 + ["d"] * 4
    for each in found:
        question = prompts[each.question_id]
        text = each.answer
        if each.form == "cloze" and question.choices:
            text = question.choices["ABC".index(each.answer)]
        total, tokens = plain_sum(student, question.prompt, f" {text}")
        assert each.logprob == pytest.approx(total, rel=1e-4)
        assert (each.num_tokens, each.num_characters) == (tokens, len(text))


def test_it_is_scored_in_float32_whatever_it_decodes_with(student_folder: Path) -> None:
    coarse = at(student_folder).model_copy(update={"dtype": "bfloat16"})
    questions = [asked("a", "B", CHOICES)]
    exact = score_answers(questions, at(student_folder), label="x", reporter=Silent())
    assert score_answers(questions, coarse, label="x", reporter=Silent()) == exact


def test_behind_a_line_an_answer_begins_without_a_blank(student: Student, student_folder: Path) -> None:
    question = asked("b", "no", student="{question}\n")
    found = score_answers([question], at(student_folder), label="x", reporter=Silent())
    assert [each.logprob for each in found] == pytest.approx(
        [plain_sum(student, question.prompt, text)[0] for text in ("yes", "no")], rel=1e-4
    )


def test_by_a_chat_template_an_answer_begins_the_turn(student: Student, student_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(student_folder, tmp_path / "chatty")
    turns = "{% for each in messages %}<{{ each.role }}>{{ each.content }}{% endfor %}"
    opened = "{% if add_generation_prompt %}<assistant>{% endif %}"
    (folder / "chat_template.jinja").write_text(turns + opened)
    found = score_answers([asked("b", "no")], at(folder), label="x", reporter=Silent())
    context = f"<user>{asked('b', 'no').prompt}<assistant>"
    expected = [plain_sum(student, context, text)[0] for text in ("yes", "no")]
    assert [each.logprob for each in found] == pytest.approx(expected, rel=1e-4)


def test_what_is_too_long_is_told_and_not_scored(student_folder: Path) -> None:
    said, long = Said(), asked("long " * 50, "yes")  # the student has 192 positions, and a token is a byte
    found = score_answers([long, asked("b", "no")], at(student_folder), label="x", reporter=said)
    assert {each.question_id for each in found} == {"b"}
    assert said.lines == ["x: too long for their answers to be scored: 1 question."]


def test_without_a_closed_set_it_is_said_and_nothing_is_loaded() -> None:
    said = Said()
    assert score_answers([asked("c", "72")], at(Path("/nowhere")), label="x", reporter=said) == []
    assert said.lines == ["x: these questions have no closed set of answers, so that none is scored by likelihood."]


# ---- in an evaluation


def test_an_evaluation_keeps_the_scores_and_counts_them_where_it_is_asked_to(
    student_folder: Path, tmp_path: Path
) -> None:
    questions = [asked("a", "B", CHOICES), asked("d", "A", CHOICES[:2])]
    plain, scored = (
        evaluate(
            questions,
            at(student_folder),
            out=tmp_path / str(on),
            config=EvaluationConfig(max_new_tokens=4, likelihood=on),
        )
        for on in (False, True)
    )
    assert "likelihoods.parquet" not in plain.manifest["outputs"] and "likelihood_cloze" not in plain.counts
    assert "likelihood" not in plain.manifest["config"]["evaluation"]
    assert scored.manifest["config"]["evaluation"]["likelihood"] is True and scored.key != plain.key
    kept = read_table(scored.file("likelihoods.parquet"), Likelihood)
    assert kept == score_answers(questions, at(student_folder), label="x", reporter=Silent())
    counted = summarize_likelihoods(kept, questions)
    assert {name: scored.counts[f"likelihood_{name}"] for name in ("cloze", "cloze_raw", "letter")} == counted
    same = "predictions.parquet"  # what it writes is the same
    assert scored.manifest["outputs"][same] == plain.manifest["outputs"][same]
