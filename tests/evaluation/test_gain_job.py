"""Gains of the texts of a stage: who scores what, that it is exact, and that a stop costs no more than a unit."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from listening import Listening, StopsAt
from sert.config.prompts import PromptTemplates
from sert.config.rules import RulesConfig
from sert.config.tree import (
    EvaluationConfig,
    ExecutionConfig,
    MiningConfig,
    StudentConfig,
    TaskConfig,
    TeacherConfig,
)
from sert.errors import DataError
from sert.evaluation import gains as gains_module
from sert.evaluation.gains import GainJob, gain_job, plan_blocks, score_gains
from sert.evaluation.prediction import evaluate
from sert.paths.filtering import filter_paths
from sert.paths.mining import MineJob, mine
from sert.records import Gain, Prediction, Question, Rationale
from sert.records import Path as MinedPath
from sert.store.artifacts import Artifact, commit
from sert.store.stage import Result, Stage, key_of
from sert.store.tables import read_table, write_table
from sert.student.load import Student, load_student
from sert.student.source import StudentSource
from sert.student.training.gain import Reasoned, gains
from sert.tasks.load import load_task
from sert.tasks.prompts import student_prompt
from sert.teacher.rationales import teach

CHOICES = ("rope", "a saw")
PROMPTS = PromptTemplates()
QUESTIONS = [
    Question(f"q{i}", "table", "train", f"{i}?", CHOICES, "AB"[i % 2], student_prompt(f"{i}?", CHOICES, PROMPTS))
    for i in range(5)
]
MINING = MiningConfig(branches=2, samples=2, max_new_tokens=10, keep_all=True)


def at(folder: Path) -> StudentConfig:
    return StudentConfig(path=str(folder), device="cpu", num_threads=1)


@pytest.fixture(scope="module")
def mined(student_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Four paths of each of five questions."""
    out = tmp_path_factory.mktemp("gain") / "mined"
    return mine(QUESTIONS, at(student_folder), out=out, config=MINING, rules=RulesConfig(), seed=1)


def kept(artifact: Artifact) -> list[Gain]:
    return read_table(artifact.file("gains.parquet"), Gain)


def same(found: list[Gain], expected: list[Gain]) -> None:
    """Compare gains, which are rounded otherwise where other texts share their passes."""
    assert [replace(each, nats=None) for each in found] == [replace(each, nats=None) for each in expected]
    assert [each.nats for each in found] == pytest.approx([each.nats for each in expected], abs=1e-4)


# ---- what is scored


def test_every_mined_path_has_a_row_in_its_order(
    student: Student, student_folder: Path, mined: Artifact, tmp_path: Path
) -> None:
    scored = score_gains(mined, at(student_folder), out=tmp_path / "gains")
    paths = read_table(mined.file("paths.parquet"), MinedPath)
    questions = {each.question_id: each for each in QUESTIONS}
    reasoned = [
        Reasoned(questions[each.question_id], each.text, each.token_ids, each.branch, each.sample) for each in paths
    ]
    found = kept(scored)
    assert [(each.question_id, each.branch, each.sample) for each in found] == [each.key for each in paths]
    same(found, [one for each in reasoned for one in gains(student, [each], PROMPTS)])
    nats = [each.nats for each in found if each.nats is not None]
    assert len(nats) == 20 and len(set(nats)) > 10
    counts = scored.counts
    assert (counts["texts"], counts["scored"], counts["with_possible_answers"]) == (20, 20, 20)
    assert counts["mean_nats"] == pytest.approx(sum(nats) / 20)
    assert counts["right"] == sum(each.right is True for each in found)
    assert counts["right_without"] == sum(each.right_without is True for each in found)


def test_paths_that_were_stopped_early_have_a_row_and_no_gain(student_folder: Path, tmp_path: Path) -> None:
    rules = RulesConfig(min_tokens=2, max_rep_2=0.1, min_perplexity=0, direct_response=False)
    config = MINING.model_copy(update={"keep_all": False, "max_new_tokens": 40, "samples": 3})
    stopped = mine(QUESTIONS, at(student_folder), out=tmp_path / "mined", config=config, rules=rules, seed=1)
    paths = read_table(stopped.file("paths.parquet"), MinedPath)
    assert 0 < sum(each.stopped_early for each in paths) < len(paths)
    found = kept(score_gains(stopped, at(student_folder), out=tmp_path / "gains"))
    assert [each.nats is None for each in found] == [each.stopped_early for each in paths]
    assert all((each.right is None) == (each.nats is None) for each in found)


def test_outputs_are_scored_behind_the_prompt_that_asked_for_them(
    student: Student, student_folder: Path, tmp_path: Path
) -> None:
    asked = [replace(each, prompt=f"{each.prompt} Think.") for each in QUESTIONS[:2]]
    long = replace(QUESTIONS[2], prompt="x" * 190)  # the student has 192 positions, and a token is a byte
    evaluated = evaluate(
        [*asked, long], at(student_folder), out=tmp_path / "e", config=EvaluationConfig(max_new_tokens=8)
    )
    outputs = read_table(evaluated.file("predictions.parquet"), Prediction)
    found = kept(score_gains(evaluated, at(student_folder), out=tmp_path / "gains"))
    reasoned = [Reasoned(question, output.completion) for question, output in zip(asked, outputs, strict=False)]
    expected = gains(student, reasoned, PROMPTS)
    same(found, [*expected, Gain("q2", None, None, None, None, None)])


def test_rationales_are_scored_behind_the_students_prompt(tmp_path: Path) -> None:
    lab = StudentConfig(path="lab", device="cpu", num_threads=1)
    questions = load_task("t", TaskConfig(kind="lab_yes_no", limit=3)).split("train")
    taught = teach(questions, out=tmp_path / "taught", teacher=TeacherConfig(kind="lab"))
    texts = [each.text for each in read_table(taught.file("rationales.parquet"), Rationale)]
    found = kept(score_gains(taught, lab, out=tmp_path / "gains"))
    same(found, gains(load_student(lab), [Reasoned(*each) for each in zip(questions, texts, strict=True)], PROMPTS))
    assert len(found) == 3


def test_the_answer_is_the_words_where_prompts_show_no_letters(
    student: Student, student_folder: Path, tmp_path: Path
) -> None:
    bare = PromptTemplates(choices_as="none")
    asked = [replace(each, prompt=student_prompt(each.question, CHOICES, bare)) for each in QUESTIONS[:2]]
    config = EvaluationConfig(max_new_tokens=6)
    evaluated = evaluate(asked, at(student_folder), out=tmp_path / "e", config=config)
    outputs = read_table(evaluated.file("predictions.parquet"), Prediction)
    found = kept(score_gains(evaluated, at(student_folder), out=tmp_path / "gains"))
    reasoned = [Reasoned(*each) for each in zip(asked, [each.completion for each in outputs], strict=True)]
    same(found, gains(student, reasoned, bare))


def test_other_stages_have_no_texts_to_score(student_folder: Path, mined: Artifact, tmp_path: Path) -> None:
    filtered = filter_paths(mined, rules=RulesConfig(), out=tmp_path / "filtered")
    with pytest.raises(DataError, match=r"made by the step 'filter'.*`sert mine`, `sert evaluate` or `sert teach`"):
        score_gains(filtered, at(student_folder), out=tmp_path / "gains")


def test_a_damaged_folder_is_refused(student_folder: Path, mined: Artifact, tmp_path: Path) -> None:
    def lacking(draft: object) -> dict[str, int]:
        paths = read_table(mined.file("paths.parquet"), MinedPath)
        write_table(draft.folder / "paths.parquet", paths, MinedPath)  # type: ignore[attr-defined]
        write_table(draft.folder / "questions.parquet", QUESTIONS[:4], Question)  # type: ignore[attr-defined]
        return {}

    config = {"prompts": PROMPTS.model_dump(mode="json")}
    damaged = commit(tmp_path / "mined", lacking, stage="mine", config=config, inputs={}, seed=0)
    with pytest.raises(DataError, match="holds a text of question 'q4', which is not in its"):
        score_gains(damaged, at(student_folder), out=tmp_path / "gains")
    changed = commit(tmp_path / "changed", lacking, stage="mine", config={"prompts": 3}, inputs={}, seed=0)
    with pytest.raises(DataError, match="was changed: its prompts are none"):
        score_gains(changed, at(student_folder), out=tmp_path / "gains")


def test_another_student_than_the_one_that_wrote_is_warned_of(
    student_folder: Path, mined: Artifact, tmp_path: Path
) -> None:
    lab, said = StudentConfig(path="lab", device="cpu", num_threads=1), Listening()
    score_gains(mined, lab, out=tmp_path / "lab", reporter=said)
    assert said.said[0] == f"warning: gain: lab is not the student that wrote what is in {mined.folder}"
    own, said = at(student_folder).model_copy(update={"dtype": "int16"}), Listening()
    score_gains(mined, own, out=tmp_path / "own", reporter=said)
    (line,) = said.said
    assert line.startswith("gain: 20 of 20 paths scored, which change the log-probability of the gold answer by ")


# ---- the job


def test_a_gain_depends_on_the_texts_the_weights_and_how_answers_are_written(
    student_folder: Path, mined: Artifact
) -> None:
    source = StudentSource(at(student_folder))
    job = GainJob(Result.of(mined), source, PROMPTS)
    assert pickle.loads(pickle.dumps(job)) == job
    assert job.earlier_key() == key_of(job)
    coarse = StudentSource(at(student_folder).model_copy(update={"dtype": "int16"}))
    same_key = [
        replace(job, student=coarse),
        replace(job, prompts=PromptTemplates(label=" {answer}", teacher="{question}", rationale="{rationale}")),
        replace(job, execution=ExecutionConfig(workers=2), num_scored=7),
    ]
    other_key = [
        replace(job, student=StudentSource(StudentConfig(path="lab"))),
        replace(job, source=job.source._replace(key="other")),
        replace(job, prompts=PromptTemplates(path="{path} Hence {answer}.")),
        replace(job, prompts=PromptTemplates(choices_as="none")),
    ]
    assert {key_of(each) for each in same_key} == {key_of(job)}
    assert key_of(job) not in {key_of(each) for each in other_key}


def test_in_a_run_it_is_named_after_what_it_scores_and_tells_how_much_that_is(student_folder: Path) -> None:
    source = StudentSource(at(student_folder))
    stage = Stage.of(MineJob(tuple(QUESTIONS), source, MINING, step="mine-2"), task="t", out=Path("nowhere"))
    job = gain_job(stage, source, PROMPTS)
    assert (job.step, job.cost.scored, job.cost.decoded) == ("gain-mine-2", 5 * 4 * 10, 0)
    assert job.work == "how likely the gold answer is behind 20 paths, and without them"


# ---- in units


def test_units_are_whole_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gains_module, "UNIT_TEXTS", 3)
    units = plan_blocks("aabbbbcdd")
    assert [(unit.number, unit.rows) for unit in units] == [(0, (0, 1, 2, 3, 4, 5)), (1, (6, 7, 8))]
    assert [unit.rows for unit in plan_blocks("aaab")] == [(0, 1, 2), (3,)]
    assert plan_blocks("") == []


@pytest.mark.usefixtures("forked_workers")
def test_any_number_of_workers_scores_the_same(
    student_folder: Path, mined: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gains_module, "UNIT_TEXTS", 4)
    one, two = (
        score_gains(
            mined,
            at(student_folder),
            out=tmp_path / str(workers),
            execution=ExecutionConfig(workers=workers, keep_units=False),
        ).manifest
        for workers in (1, 2)
    )
    assert one["outputs"] == two["outputs"] and one["counts"] == two["counts"]


def test_it_goes_on_where_it_was_stopped(
    student_folder: Path, mined: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gains_module, "UNIT_TEXTS", 4)
    undisturbed = score_gains(mined, at(student_folder), out=tmp_path / "undisturbed").manifest
    with pytest.raises(KeyboardInterrupt):
        score_gains(mined, at(student_folder), out=tmp_path / "out", reporter=StopsAt(9))
    (work,) = tmp_path.glob(".out.*.work")
    assert len(list((work / "units").iterdir())) == 2
    going_on = StopsAt(20.5)  # what is finished counts as done
    done = score_gains(mined, at(student_folder), out=tmp_path / "out", reporter=going_on)
    assert "gain: 2 of 5 units were finished earlier" in going_on.said
    assert done.manifest["outputs"] == undisturbed["outputs"] and done.counts == undisturbed["counts"]
    assert done.manifest["surroundings"] == undisturbed["surroundings"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "undisturbed"]


def test_a_slow_student_is_told_of_once(
    student_folder: Path, mined: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gains_module, "UNIT_TEXTS", 4)
    monkeypatch.setattr("sert.student.training.scoring.known_refusal", lambda config, longest: "it says so")
    reporter = Listening()
    slow = score_gains(mined, at(student_folder), out=tmp_path / "slow", reporter=reporter)
    told = [line for line in reporter.said if "share no passes" in line]
    assert told == ["gain: warning: texts share no passes, which takes longer: it says so"]
    same(kept(slow), kept(score_gains(mined, at(student_folder), out=tmp_path / "plain")))


def test_a_folder_without_texts_has_no_gains(student_folder: Path, tmp_path: Path) -> None:
    def empty(draft: object) -> dict[str, int]:
        write_table(draft.folder / "paths.parquet", [], MinedPath)  # type: ignore[attr-defined]
        write_table(draft.folder / "questions.parquet", QUESTIONS, Question)  # type: ignore[attr-defined]
        return {}

    config = {"prompts": PROMPTS.model_dump(mode="json")}
    nothing = commit(tmp_path / "mined", empty, stage="mine", config=config, inputs={}, seed=0)
    scored = score_gains(nothing, at(student_folder), out=tmp_path / "gains")
    assert kept(scored) == []
    assert json.loads(json.dumps(scored.counts)) == {
        "texts": 0,
        "scored": 0,
        "mean_nats": None,
        "with_possible_answers": 0,
        "right": 0,
        "right_without": 0,
    }
