"""A question of one's own: the students of a run answer as they do when they are tested, and nothing is kept."""

import json
import shutil
from pathlib import Path

import pytest
import tomli_w

from commands import sert
from sert.cli import cli
from sert.config.load import load_config
from sert.config.tree import Config
from sert.errors import ConfigError, DataError, SertError
from sert.lab import DEMO_CONFIG
from sert.records import Prediction, Question
from sert.runs.asking import OwnQuestion, ask_run, ask_student, type_of
from sert.runs.plan import read_plan
from sert.runs.run import run
from sert.store.artifacts import open_artifact
from sert.store.tables import read_table
from sert.terminal.progress import Silent

TASK = "lab-choice"
METHODS = ("zero_shot", "finetune", "sert", "rd")
SHORT = (
    f"methods={json.dumps(METHODS)}",
    'tasks={lab-choice={kind="lab_choice"}}',
    "training.max_steps=6",
    "mining.max_new_tokens=32",
    "evaluation.max_new_tokens=32",
    "evaluation.probe_samples=0",
    'rules.min_perplexity="p10"',
    "student.device=cpu",
)


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen = ("training.snapshots=2", "evaluation.epoch_choice=test-best")
    config = load_config(DEMO_CONFIG, overrides=[*SHORT, *chosen], limit=4)
    return run(config, out=tmp_path_factory.mktemp("runs") / "small").folder


@pytest.fixture(scope="module")
def test_questions(finished: Path) -> list[Question]:
    return read_table(evaluated(finished, "zero_shot") / "questions.parquet", Question)


def evaluated(run: Path, step: str) -> Path:
    return run / str(read_plan(run)[f"{TASK} evaluate-{step}"]["folder"])


def own(question: Question) -> OwnQuestion:
    return OwnQuestion(question.question, question.choices)


def test_each_student_of_a_run_answers_as_it_was_tested(finished: Path, test_questions: list[Question]) -> None:
    question = test_questions[2]
    found = {each.who: each for each in ask_run(own(question), finished)}
    assert list(found) == ["zero_shot", "finetune", "sert", "rd"]
    for method, answered in found.items():
        (tested,) = [each for each in reported(finished, method) if each.question_id == question.question_id]
        assert (answered.text, answered.num_tokens, answered.finish) == (
            tested.completion,
            tested.num_tokens,
            tested.finish,
        )
        assert (answered.answer, answered.strict) == (tested.answer_loose, tested.answer_strict is not None)
    asked = {method: answered.prompt for method, answered in found.items()}
    assert asked["sert"] == asked["zero_shot"] == question.prompt
    assert asked["rd"] != question.prompt and question.question in asked["rd"]


def test_what_is_set_is_asked_by_and_what_was_trained_stays(finished: Path) -> None:
    template = 'tasks.lab-choice.prompts.student="{question} Well?"'
    overrides = ("evaluation.max_new_tokens=3", template, "student.dtype=bfloat16")
    heard = Heard()
    asked = OwnQuestion("Who?", ("Mara", "Ivo"))
    (told,) = ask_run(asked, finished, methods=["sert"], overrides=overrides, reporter=heard)
    assert told.num_tokens <= 3 and told.prompt.endswith("(B) Ivo. Well?")
    assert any("bfloat16" in line for line in heard.said)


def reported(run: Path, method: str) -> list[Prediction]:
    """The predictions of the snapshot that the report takes: here the first of two, unless the second is better."""
    last = read_table(evaluated(run, method) / "predictions.parquet", Prediction)
    if method == "zero_shot":
        return last
    first = read_table(evaluated(run, f"{method}-1-of-2") / "predictions.parquet", Prediction)
    return max(first, last, key=lambda each: sum(one.correct_loose for one in each))


def test_the_snapshots_of_a_training_write_something_else(finished: Path) -> None:
    outputs = [
        [each.completion for each in read_table(evaluated(finished, step) / "predictions.parquet", Prediction)]
        for step in ("sert-1-of-2", "sert")
    ]
    assert outputs[0] != outputs[1]


def test_paths_are_judged_by_the_limits_of_the_run_and_none_by_a_gold_answer(
    finished: Path, test_questions: list[Question]
) -> None:
    by_gold = ("selection.only_agreeing=true", "rules.min_tokens=1")
    (answered,) = ask_run(own(test_questions[0]), finished, methods=["zero_shot"], paths=True, overrides=by_gold)
    limit = open_artifact(finished / str(read_plan(finished)[f"{TASK} filter"]["folder"])).counts["limits"]
    assert len(answered.paths) == len(answered.verdicts) == 25
    assert {path.finish for path in answered.paths} <= {"eos", "length"}
    below = {path.key for path in answered.paths if path.perplexity < limit["min_perplexity"]}
    dropped = {key for key, verdict in answered.verdicts.items() if verdict.reason == "perplexity"}
    assert dropped <= below and not any(answered.verdicts[key].reason is None for key in below)
    assert sum(verdict.selected for verdict in answered.verdicts.values()) == any(
        verdict.reason is None for verdict in answered.verdicts.values()
    )


def test_what_is_not_trained_yet_is_told_and_the_others_answer(finished: Path, tmp_path: Path) -> None:
    folder, heard = Path(shutil.copytree(finished, tmp_path / "run")), Heard()
    shutil.rmtree(folder / str(read_plan(folder)[f"{TASK} train-rd"]["folder"]))
    found = ask_run(OwnQuestion("Who?", ("Mara", "Ivo")), folder, methods=["zero_shot", "rd"], reporter=heard)
    assert [each.who for each in found] == ["zero_shot"]
    assert any(line.startswith("Not trained yet: rd.") for line in heard.said)
    with pytest.raises(DataError, match="nothing that was asked for is trained yet"):
        ask_run(OwnQuestion("Who?", ("Mara", "Ivo")), folder, methods=["rd"])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (OwnQuestion(" "), "need a text each"),
        (OwnQuestion("Who?", ("Mara", "")), "need a text each"),
        (OwnQuestion("Who?", ("Mara",)), "has 1 choice; 2 to 10"),
        (OwnQuestion("Who?"), "have choices; give each by --choice"),
        (OwnQuestion("Who?", ("Mara", "Ivo"), {"passage": "Mara."}), "name these columns: none; given: passage"),
        (OwnQuestion("Who?", ("Mara", "Ivo"), answer_type="text"), "'text' out: its choices say how its answers"),
    ],
)
def test_a_question_that_does_not_go_with_the_task_is_refused(finished: Path, asked: OwnQuestion, says: str) -> None:
    with pytest.raises((ConfigError, DataError), match=says):
        ask_run(asked, finished)


def test_what_a_run_does_not_have_is_refused(finished: Path, tmp_path: Path) -> None:
    asked = OwnQuestion("Who?", ("Mara", "Ivo"))
    with pytest.raises(ConfigError, match="has no method 'sert\\+rd'; it has: zero_shot, finetune, sert, rd"):
        ask_run(asked, finished, methods=["sert+rd"])
    with pytest.raises(ConfigError, match="has no task 'arc'; choose one by --task: lab-choice"):
        ask_run(asked, finished, task="arc")
    (tmp_path / "config.toml").write_bytes(DEMO_CONFIG.read_bytes())
    with pytest.raises(ConfigError, match="several tasks, and each asks in a form of its own; choose one by --task"):
        ask_run(asked, tmp_path)
    (tmp_path / "grid.toml").write_text(tomli_w.dumps({"name": "few", "students": {"lab": {}}, "seeds": [0]}))
    with pytest.raises(SertError, match="grid"):
        ask_run(asked, tmp_path)


def test_a_student_is_asked_with_the_templates_that_are_set() -> None:
    prompts = {"student": "{passage} {question}", "teacher": "{passage} {question}"}
    settings = {"name": "one", "student": {"path": "lab"}, "tasks": {"own": {"kind": "lab_yes_no", "prompts": prompts}}}
    config = Config.model_validate({**settings, "evaluation": {"max_new_tokens": 4}})
    told = ask_student(OwnQuestion("Does it swim?", columns={"passage": "A {question} cow."}), config)
    assert told.prompt == "A {question} cow. Does it swim?" and told.who == "lab" and told.num_tokens <= 4
    with pytest.raises(ConfigError, match="name these columns: --column passage=TEXT; given: none"):
        ask_student(OwnQuestion("Does it swim?"), config)


@pytest.mark.parametrize(
    ("question", "is_read_as"),
    [
        ("Would a pear sink in water?", "yes_no"),
        ("A cow swims badly. Does it swim?", "yes_no"),
        ("isn't it cold?", "yes_no"),
        ("Is the sun\nhot?", "yes_no"),
        ("Is the sun hot or cold?", "text"),
        ("Island or coast?", "text"),
        ("Cannes lies where?", "text"),
        ("Tim has 4 pens and buys 3 more. How many pens has Tim?", "number"),
        ("Does it swim? Say why.", "text"),
        ("Where does Mara live?", "text"),
        ("", "text"),
    ],
)
def test_the_words_of_a_question_say_how_its_answers_are_read(question: str, is_read_as: str) -> None:
    assert type_of(question) == is_read_as


def test_answers_of_a_student_are_read_as_the_type_says() -> None:
    config = Config.model_validate(
        {"name": "one", "student": {"path": "lab"}, "tasks": {"own": {"kind": "lab_yes_no"}}}
    )
    does = "Does the pet of Mara swim well?"
    by_words, as_number = (ask_student(OwnQuestion(does, answer_type=each), config) for each in (None, "number"))
    assert by_words.text == as_number.text and by_words.answer == "no" and as_number.answer is None


def test_the_command_keeps_nothing(finished: Path, tmp_path: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in finished.rglob("*")}
    asked = ["ask", finished, "Where does Mara live?", "--choice", "Riverton", "--choice", "Hillford"]
    done = sert(*asked, "--method", "zero_shot", "--method", "sert", cwd=tmp_path)
    assert [line.split(":")[0] for line in done.stdout.splitlines() if line[0] != " "] == ["Asked", "Zero-shot", "SERT"]
    assert done.stdout.startswith("Asked: Question: Where does Mara live? Answer choices: (A) Riverton, (B) Hillford.")
    assert before == {file: file.stat().st_mtime_ns for file in finished.rglob("*")}
    assert list(tmp_path.iterdir()) == []


def test_the_command_shows_the_paths_of_a_question_without_calling_any_right(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    limits = ["--set", "rules.min_tokens=12", "--set", "rules.min_perplexity=1.2"]
    lab = ["ask", "lab", "Does the pet of Mara swim well?", "--paths", "--max-new-tokens", "40", *limits]
    cli(lab, standalone_mode=False)
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if line.startswith("  ") and line[2] != " "]
    assert len(lines) == 25 and sum("  selected" in line for line in lines) == 1
    assert "right" not in out and "wrong" not in out
    cli([*lab, "--json"], standalone_mode=False)
    (told,) = json.loads(capsys.readouterr().out)
    assert told["who"] == "lab" and len(told["paths"]) == 25 and told["paths"][0]["token_ids"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--task", "arc"], "--task and --method are of a run, and lab is none"),
        (["--column", "passage"], "--column 'passage' must be NAME=TEXT"),
    ],
)
def test_the_command_refuses_what_does_not_go_together(arguments: list[str], says: str, tmp_path: Path) -> None:
    done = sert("ask", "lab", "Who?", *arguments, cwd=tmp_path)
    assert done.returncode == 3 and says in done.stderr
