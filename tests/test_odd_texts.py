"""Odd texts in every role and every format: kept exactly, or refused with the row's place; never sent to a terminal."""

import csv
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tomli_w

from hostile_support import is_whole, odd_texts, unprintable
from sert.config.load import load_config
from sert.config.prompts import PromptTemplates
from sert.config.tree import EvaluationConfig, RulesConfig, TaskConfig
from sert.errors import ConfigError, SertError
from sert.evaluation.grading import grade
from sert.paths.rules import apply_rules, perplexity, rep_n
from sert.records import Example, Prediction, Question, Rationale
from sert.records import Path as MinedPath
from sert.store.tables import read_table, write_table
from sert.student.training.examples import read_examples
from sert.tasks.load import LONGEST_TEXT, load_task
from sert.tasks.prompts import label_example, path_example, rationale_example
from sert.teacher.recorded import read_recorded
from sert.terminal.text import printable

COLUMNS = {"question_id": "id", "question": "q", "choices": "c", "answer": "a"}
PLAIN = Question("q1", "t", "train", "Is ice cold?", (), "yes", "Question: Is ice cold?\nAnswer:")


@pytest.fixture(scope="module")
def texts(full: bool) -> list[str]:
    return odd_texts(500 if full else 60)


def attempt(read: Callable[[], Any]) -> Any:
    """Read something, or return why it is refused."""
    try:
        return read()
    except SertError as error:
        return str(error)


# ---- question files


def row_of(role: str, text: str) -> dict[str, Any]:
    row = {"id": "one", "q": "What is cold?", "c": ["ice", "fire"], "a": "(A)"}
    if role == "choice":
        return row | {"c": [text, "something else"]}
    if role == "answer":
        return {"id": "one", "q": "What is it?", "a": text}
    return row | {role: text}


def write_jsonl(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def write_csv(file: Path, rows: list[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows({key: json.dumps(v) if isinstance(v, list) else v for key, v in row.items()} for row in rows)


def write_parquet(file: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), file)


WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], None]] = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet,
}


def load(file: Path, role: str) -> Question | str:
    """Load the one question of a file, or return why it is refused."""
    columns = {key: name for key, name in COLUMNS.items() if role != "answer" or key != "choices"}
    config = TaskConfig.model_validate({"kind": "table", "data": file, "columns": columns})
    return attempt(lambda: load_task("t", config).questions[0])


def text_in(question: Question, role: str) -> str:
    held = {"id": question.question_id, "q": question.question, "answer": question.answer}
    return question.choices[0] if role == "choice" else held[role]


@pytest.mark.soak
@pytest.mark.parametrize("role", ["id", "q", "choice", "answer"])
def test_each_is_kept_exactly_or_refused_with_its_place(role: str, texts: list[str], tmp_path: Path) -> None:
    kept = []
    for text in texts:
        loaded = {}
        for ending, write in WRITERS.items():
            if is_whole(text) or ending == "jsonl":
                file = tmp_path / f"q.{ending}"
                write(file, [row_of(role, text)])
                loaded[ending] = load(file, role)
        refusals = [each for each in loaded.values() if isinstance(each, str)]
        assert all("q." in each and len(each) < 1200 and not unprintable(printable(each)) for each in refusals)
        assert all("line " in each or "row 1" in each for each in refusals), refusals
        assert len(refusals) in (0, len(loaded)), (text[:80], loaded)  # all formats say the same
        if not refusals:
            first, *others = loaded.values()
            assert isinstance(first, Question) and all(other == first for other in others)
            truth = {"true": "yes"} if role == "answer" else {}
            assert text_in(first, role) == truth.get(text.strip(), text.strip())
            kept.append(first)
        else:
            too_odd = not is_whole(text) or not text.strip() or len(text.strip()) > LONGEST_TEXT
            assert too_odd or role == "answer", (text[:80], refusals)
    assert len(kept) > len(texts) / 2
    write_table(tmp_path / "kept.parquet", kept, Question)
    assert read_table(tmp_path / "kept.parquet", Question) == kept
    (tmp_path / "kept.jsonl").write_text("".join(json.dumps(asdict(each)) + "\n" for each in kept))
    again = [json.loads(line) for line in (tmp_path / "kept.jsonl").read_text().splitlines()]
    assert [Question(**row | {name: tuple(row[name]) for name in ("choices", "context")}) for row in again] == kept


# ---- what a teacher wrote, and examples of one's own


@pytest.mark.soak
def test_rationales_are_kept_exactly_or_refused_with_their_place(texts: list[str], tmp_path: Path) -> None:
    rationales: list[Rationale] = []
    for text in texts:
        jsonl, whole = tmp_path / "r.jsonl", tmp_path / "r.json"
        jsonl.write_text(json.dumps({"question_id": "q1", "text": text, "answer": "yes", "model": text}) + "\n")
        completion = {"completion_index": 0, "question": PLAIN.question, "reasoning_completion": text}
        whole.write_text(json.dumps({"metadata": {"base_model": text}, "data": {text: [completion]}}))
        for file, place in ((jsonl, "line 1"), (whole, "metadata")):
            rationale = attempt(lambda file=file: read_recorded(file, [PLAIN]).rationales[0])
            if isinstance(rationale, str):
                assert place in rationale and not is_whole(text)
                continue
            assert rationale.text == text.strip()
            rationales.append(rationale)
    write_table(tmp_path / "r.parquet", rationales, Rationale)
    assert read_table(tmp_path / "r.parquet", Rationale) == rationales


@pytest.mark.soak
def test_examples_are_kept_exactly_or_refused_with_their_place(texts: list[str], tmp_path: Path) -> None:
    file = tmp_path / "e.jsonl"
    kept: list[Example] = []
    for role in ("prompt", "completion", "question_id", "source"):
        for text in texts:
            file.write_text(json.dumps({"prompt": "p", "completion": "c"} | {role: text}) + "\n")
            example = attempt(lambda: read_examples(file)[0])
            if isinstance(example, str):
                assert "line 1: " in example and (not is_whole(text) or (role == "completion" and not text))
                continue
            assert getattr(example, role) == text
            kept.append(example)
    write_table(tmp_path / "examples.parquet", kept, Example)
    assert read_examples(tmp_path) == kept


# ---- what a student wrote


@pytest.mark.soak
def test_paths_and_outputs_are_judged_and_kept_exactly(texts: list[str], tmp_path: Path) -> None:
    prompts = PromptTemplates()
    choice = Question("q2", "t", "train", "What?", ("{answer}", "<b>"), "A", "Question: What?\nAnswer:")
    paths, predictions, examples = [], [], []
    for text in filter(is_whole, texts):
        for question in (PLAIN, choice):
            ids = tuple(text.encode()[:300])
            logprobs = tuple(-1.0 for _ in ids)
            path = MinedPath(
                question.question_id, 0, 0, 0, -1.0, ids, logprobs, text, "eos", len(ids), perplexity(logprobs),
                rep_n(ids, 2),
            )  # fmt: skip
            apply_rules(path, question, RulesConfig(unit="words"))
            paths.append(path)
            predictions.append(
                grade(
                    replace(question, prompt=text), completion=text, finish="eos", token_ids=ids,
                    reasoning_tokens=len(ids), rules=RulesConfig(), evaluation=EvaluationConfig(),
                )
            )  # fmt: skip
            examples += [path_example(question, text, prompts), rationale_example(question, text, prompts)]
    for name, records, record_type in (
        ("p", paths, MinedPath),
        ("o", predictions, Prediction),
        ("e", examples, Example),
    ):
        write_table(tmp_path / name, records, record_type)
        assert read_table(tmp_path / name, record_type) == records


# ---- templates


INJECTIONS = """
{question} {choices} {answer} {path} {rationale} {0} {} {{question}} {{{question}}} {question!r} {question:>9}
{question.__class__} {question[0]} {self} {__class__} {_} {question question} }{ {{7*7}} {{_7*7_}} {%_for_x_in_y_%}
{%_raw_%} {#_x_#} {{_config_}} {{_''.__class__.__mro___}} {%include_'/etc/passwd'%} %s %(question)s %% $question
${question} ${7*7} #{7*7} <%=_7*7_%> <?php_echo_1_?> [[question]] [[${7*7}]] @(7*7) *{7*7} ~{7*7} \\1 \\g<0>
\\g<question> `id` $(id) {QUESTION} {quest\u200bion} \uff5bquestion\uff5d {\u202equestion}
""".split()


def test_nothing_in_a_row_or_a_template_is_run_or_replaced_twice(tmp_path: Path) -> None:
    assert len(set(INJECTIONS)) == 50
    values = {"{question}": "STEM", "{choices}": "C", "{answer}": "yes", "{path}": " P", "{rationale}": "R"}
    for payload in INJECTIONS:
        write_jsonl(tmp_path / "q.jsonl", [row_of("q", payload)])
        question = load(tmp_path / "q.jsonl", "q")
        assert isinstance(question, Question)
        assert question.prompt == f"Question: {payload} Answer choices: (A) ice, (B) fire.\nAnswer:"
        defaults = PromptTemplates()
        assert path_example(PLAIN, payload, defaults).completion == f" {payload} So the answer is yes."
        assert rationale_example(PLAIN, payload, defaults).completion == f" {payload} So the answer is yes."
        templates = PromptTemplates(
            path=payload + " {path} {answer}", rationale="{rationale} {answer} " + payload, label=payload + "{answer}"
        )
        for made, known, behind in (
            (path_example(PLAIN, "P", templates).completion, ("{path}", "{answer}"), "{path} {answer}"),
            (rationale_example(PLAIN, "R", templates).completion, ("{rationale}", "{answer}"), ""),
            (label_example(PLAIN, templates).completion, ("{answer}",), ""),
        ):
            expected = payload
            for name in known:
                expected = expected.replace(name, values[name])
            assert expected in made, (payload, made, behind)


@pytest.mark.soak
def test_templates_and_names_come_back_from_a_config_file(texts: list[str], tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    for text in texts:
        tree = {
            "name": "x",
            "student": {"path": text or "-"},
            "tasks": {"t": {"kind": "table", "hub": text, "prompts": {"student": text + "{question}"}}},
        }
        if not is_whole(text):
            with pytest.raises(UnicodeEncodeError):
                tomli_w.dumps(tree).encode()
            file.write_text('name = "x"\n[student]\npath = "\\ud800"\n')
            with pytest.raises(ConfigError, match="line 3"):
                load_config(file)
            continue
        file.write_bytes(tomli_w.dumps(tree).encode())
        if len(text) > 100_000:
            with pytest.raises(ConfigError, match="at most 131,072 are read"):
                load_config(file)
            continue
        config = load_config(file)
        assert config.tasks["t"].prompts.student == text + "{question}"
        assert (config.tasks["t"].hub, config.student.path) == (text, text or "-")
