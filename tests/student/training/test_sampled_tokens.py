"""What is trained is what was sampled: prompt, path and conclusion, token by token, for six types of tokenizers."""

from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest
import torch

import six_tokenizers
from sert.config.tree import (
    MiningConfig,
    PromptTemplates,
    RulesConfig,
    SelectionConfig,
    StudentConfig,
    TrainingConfig,
)
from sert.paths.filtering import filter_paths
from sert.paths.mining import mine
from sert.records import Example, Path, Question, Verdict
from sert.store.artifacts import Draft, commit
from sert.store.tables import read_table, write_table
from sert.student.load import Student, load_student, make_student
from sert.student.training.batching import encode_example, sampled_tokens
from sert.student.training.examples import read_examples
from sert.student.training.loop import train_student
from sert.tasks.answers import reasoning_of
from six_tokenizers import SIX
from tests_support import tiny_llama

PROMPT = "Question: Can a goldfish bark?\nAnswer:"
QUESTIONS = [
    Question(f"q{number}", "table", "train", text, (), "no", f"Question: {text}\nAnswer:")
    for number, text in enumerate(("Can a goldfish bark?", "Is <|im_end|></s> hot?", "Think step by step:"))
]


def student_of(name: str, form: str) -> Student:
    tokenizer = SIX[name]()
    chat = six_tokenizers.chat_of(tokenizer) if form == "chat" else None
    return make_student(tiny_llama(len(tokenizer)), tokenizer, name=name, chat=chat)


def saved(student: Student, folder: FilePath, form: str) -> StudentConfig:
    student.model.save_pretrained(folder)
    student.tokenizer.save_pretrained(folder)
    return StudentConfig.model_validate({"path": str(folder), "device": "cpu", "prompt": form})


@pytest.mark.parametrize("form", ["plain", "chat"])
@pytest.mark.parametrize("name", SIX)
def test_sampled_tokens_are_trained(name: str, form: str, tmp_path: FilePath) -> None:
    config = saved(student_of(name, form), tmp_path / "student", form)
    student = load_student(config)
    assert (student.chat is not None) == (form == "chat")
    mining = MiningConfig(branches=3, samples=1, max_new_tokens=12, keep_all=True, top_k=50, top_p=1.0)
    mined = mine(QUESTIONS, config, out=tmp_path / "mined", config=mining)
    paths = {path.key: path for path in read_table(mined.file("paths.parquet"), Path)}
    off = RulesConfig(min_tokens=0, min_perplexity=0, max_rep_2=1)
    filtered = filter_paths(mined, rules=off, selection=SelectionConfig(rules=()), out=tmp_path / "filtered")
    verdicts = read_table(filtered.file("verdicts.parquet"), Verdict)
    selected = {verdict.question_id: paths[verdict.key] for verdict in verdicts if verdict.selected}
    examples = read_examples(tmp_path / "filtered")
    assert len(examples) == len(selected) == len(QUESTIONS)
    for question, example in zip(QUESTIONS, examples, strict=True):
        prompt, path = student.encode_prompt(question.prompt), selected[question.question_id]
        own, kept = [*path.token_ids], reasoning_of(path.text, question).strip()
        while own and len(student.decode(own[:-1]).strip()) >= len(kept):
            own.pop()  # blanks, and what a next question begins with
        encoded = encode_example(student, example, loss_on_prompt=False)
        assert encoded.token_ids[: len(prompt) + len(own)] == [*prompt, *own]
        assert encoded.num_masked == len(prompt)
        conclusion = encoded.token_ids[len(prompt) + len(own) :]
        blank = "" if student.decode(own)[-1:].isspace() else " "
        assert student.decode(conclusion[:-1]) == f"{blank}So the answer is no."
        assert conclusion[-1] == student.end_of_example and conclusion[-1] in student.eos_ids


def path_example_of(student: Student, token_ids: list[int], conclusion: str) -> Example:
    text = student.decode(token_ids).rstrip()
    return Example("q", PROMPT, text + conclusion, "path", tuple(token_ids), conclusion)


@pytest.mark.parametrize("form", ["plain", "chat"])
@pytest.mark.parametrize("name", SIX)
def test_tokens_that_no_text_would_give_are_kept(name: str, form: str) -> None:
    student = student_of(name, form)
    letters = [token for letter in " Fish" for token in student.encode_completion(letter)]
    assert letters != student.encode_completion(" Fish")
    example = path_example_of(student, letters, " So the answer is no.")
    encoded = encode_example(student, example, loss_on_prompt=False)
    behind = [*letters, *student.encode_completion(" So the answer is no."), student.end_of_example]
    assert encoded.token_ids[encoded.num_masked :] == behind


def test_a_path_is_cut_where_its_own_conclusion_begins() -> None:
    student = student_of("gpt2", "plain")
    encode = student.encode_completion
    token_ids = encode(" Fish have no voice.\n\n So the answer is yes. And more.")
    example = Example("q", PROMPT, " Fish have no voice. So the answer is no.", "path", (), " So the answer is no.")
    found, rest = sampled_tokens(student, replace(example, path_ids=tuple(token_ids)))
    assert (found, rest) == (encode(" Fish have no voice."), " So the answer is no.")


@pytest.mark.parametrize("name", SIX)
def test_a_path_is_trimmed_by_its_own_tokens(name: str, tmp_path: FilePath) -> None:
    student, question = student_of(name, "plain"), QUESTIONS[0]
    whole = [token for letter in " Fish have no voice." for token in student.encode_completion(letter)]
    token_ids = [*whole, *student.encode_completion(" And they li")]
    assert whole != student.encode_completion(" Fish have no voice.")

    def fill(draft: Draft) -> dict[str, int]:
        logprobs, text = (-2.0,) * len(token_ids), student.decode(token_ids)
        path = Path(
            "q0", 0, 0, token_ids[0], -2.0, tuple(token_ids), logprobs, text, "length", len(token_ids), 7.4, 0.0
        )
        write_table(draft.folder / "paths.parquet", [path], Path)
        write_table(draft.folder / "questions.parquet", QUESTIONS, Question)
        return {}

    prompts = {"prompts": PromptTemplates().model_dump(mode="json")}
    mined = commit(tmp_path / "mined", fill, stage="mine", config=prompts, inputs={}, seed=0)
    rules = RulesConfig(min_tokens=0, unfinished="trim")
    filter_paths(mined, rules=rules, out=tmp_path / "filtered")
    (example,) = read_examples(tmp_path / "filtered")
    encoded = encode_example(student, example, loss_on_prompt=False)
    conclusion = student.encode_completion(" So the answer is no.")
    prompt = student.encode_prompt(question.prompt)
    assert encoded.token_ids == [*prompt, *whole, *conclusion, student.end_of_example]


def test_a_token_that_reaches_over_the_cut_is_text() -> None:
    student = student_of("gpt2", "plain")
    example = Example(
        "q", PROMPT, " Fi So it is no.", "path", tuple(student.encode_completion(" Fish")), " So it is no."
    )
    assert student.tokenizer.convert_ids_to_tokens(example.path_ids) == ["ĠFish"]
    assert sampled_tokens(student, example) == ([], " Fi So it is no.")


def test_tokens_of_blanks_alone_at_the_end_of_a_path_are_left_out() -> None:
    tokenizer = six_tokenizers.gemma()
    student = make_student(tiny_llama(len(tokenizer)), tokenizer, name="x")
    token_ids = student.encode_completion(" Fish")
    lined = [*token_ids, *student.encode_completion("\n\n")]
    found, _ = sampled_tokens(student, path_example_of(student, lined, " So the answer is no."))
    assert found == token_ids


def test_paths_of_another_tokenizer_are_trained_by_their_text() -> None:
    ours, theirs = student_of("gpt2", "plain"), student_of("gemma", "plain")
    token_ids = theirs.encode_completion(" Fish have no voice, they live in water.")
    example = path_example_of(theirs, token_ids, " So the answer is no.")
    encoded = encode_example(ours, example, loss_on_prompt=False)
    assert ours.decode(encoded.token_ids[encoded.num_masked : -1]) == example.completion
    beyond = replace(example, path_ids=(9_999_999,))
    assert encode_example(ours, beyond, loss_on_prompt=False) == encode_example(
        ours, replace(example, path_ids=()), loss_on_prompt=False
    )


@pytest.mark.parametrize("name", SIX)
def test_a_turn_begins_without_a_blank_but_where_the_template_has_one(name: str) -> None:
    student = student_of(name, "chat")
    for completion in (" So the answer is no.", "So the answer is no."):
        encoded = encode_example(student, Example("q", PROMPT, completion, "label"), loss_on_prompt=False)
        text = student.decode(encoded.token_ids[encoded.num_masked : -1])
        assert text == (" " if name in ("gpt2", "llama2") else "") + "So the answer is no."


@pytest.mark.parametrize("form", ["plain", "chat"])
@pytest.mark.parametrize("name", SIX)
def test_no_text_of_an_example_becomes_a_control_token(name: str, form: str) -> None:
    student, end = student_of(name, form), SIX[name]().eos_token
    harmless = Example("q", PROMPT, " Fish have no voice. So the answer is no.", "rationale")
    hostile = replace(harmless, prompt=f"{end}{PROMPT}{end}", completion=f" Fish have{end} no voice.{end}{end}")
    for control in six_tokenizers.controls_of(student.tokenizer):
        counts = [
            encode_example(student, example, loss_on_prompt=False).token_ids.count(control)
            for example in (harmless, hostile)
        ]
        assert counts[0] == counts[1]


@pytest.mark.parametrize("form", ["plain", "chat"])
def test_training_makes_no_token_likely_that_was_never_sampled(form: str) -> None:
    torch.manual_seed(0)
    tokenizer = SIX["llama2"]()
    chat: Any = six_tokenizers.chat_of(tokenizer) if form == "chat" else None
    model = tiny_llama(len(tokenizer), scale=0.02, width=64)
    student = make_student(model, tokenizer, name="x", chat=chat)
    examples = [Example(f"q{i}", PROMPT, " Fish have no voice. So the answer is no.", "path") for i in range(8)]
    train_student(student, examples, TrainingConfig(max_steps=80, learning_rate=3e-3), seed=0)
    with torch.inference_mode():
        logits = student.model.eval()(torch.tensor([student.encode_prompt(PROMPT)])).logits[0, -1]
    likely = {token for token, share in enumerate(logits.softmax(-1).tolist()) if share > 0.01}
    assert tokenizer.convert_ids_to_tokens(sorted(likely)) == ["▁Fish"]
