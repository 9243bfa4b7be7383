"""Decoding in units: who does them, how often the work is stopped, and what lies beside them changes nothing."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from listening import Listening, StopsAt
from sert.config.tree import EvaluationConfig, ExecutionConfig, MiningConfig, RulesConfig, StudentConfig
from sert.errors import OutOfMemoryError, StudentError
from sert.evaluation.prediction import evaluate
from sert.paths.mining import mine
from sert.records import Question
from sert.store.artifacts import Artifact, Draft
from sert.store.executors import ThisProcess
from sert.student.decoding.schedule import Decoding
from sert.student.decoding.units import DecodingJob, decode_in_units, prepared_once
from sert.student.load import Student, load_student
from sert.terminal.progress import Silent

QUESTIONS = [
    Question(f"q{i}", "table", "train", f"{i}?", (), "yes", f"Question: {'word ' * (i % 7)}{i}?\nAnswer:")
    for i in range(22)
]
pytestmark = pytest.mark.usefixtures("forked_workers")

# Four lanes a question and units of two questions at least: eleven units.
MINING = MiningConfig(branches=2, samples=2, max_new_tokens=12, max_lanes=8)
RULES = RulesConfig(min_tokens=2, max_rep_2=0.5, min_perplexity=0)


def student_at(folder: Path) -> StudentConfig:
    return StudentConfig(path=str(folder), device="cpu", num_threads=1)


def mined(student_folder: Path, out: Path, *, workers: int = 1, keep_all: bool = False, **settings: object) -> Artifact:
    return mine(
        QUESTIONS,
        student_at(student_folder),
        out=out,
        config=MINING.model_copy(update={"keep_all": keep_all}),
        rules=RULES,
        execution=ExecutionConfig(workers=workers, keep_units=False),
        seed=1,
        **settings,  # type: ignore[arg-type]
    )


def evaluated(student_folder: Path, out: Path, *, workers: int = 1, votes: int = 1, **settings: object) -> Artifact:
    return evaluate(
        QUESTIONS,
        student_at(student_folder),
        out=out,
        config=EvaluationConfig(max_new_tokens=8, max_lanes=16, votes=votes),
        execution=ExecutionConfig(workers=workers, keep_units=False),
        **settings,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(("keep_all", "workers"), [(False, (1, 2, 4)), (True, (1, 2))])
def test_any_number_of_workers_decodes_the_same(
    student_folder: Path, tmp_path: Path, keep_all: bool, workers: tuple[int, ...]
) -> None:
    first, *others = (
        mined(student_folder, tmp_path / f"mined-{each}", workers=each, keep_all=keep_all).manifest for each in workers
    )
    for other in others:
        assert other["outputs"] == first["outputs"]
        assert other["counts"] == first["counts"]


@pytest.mark.parametrize("votes", [1, 3])
def test_any_number_of_workers_predicts_the_same(student_folder: Path, tmp_path: Path, votes: int) -> None:
    one, two = (evaluated(student_folder, tmp_path / f"evaluated-{n}", workers=n, votes=votes) for n in (1, 2))
    assert one.manifest["outputs"] == two.manifest["outputs"]


def test_work_goes_on_with_other_workers_wherever_it_was_stopped(student_folder: Path, tmp_path: Path) -> None:
    undisturbed = mined(student_folder, tmp_path / "undisturbed").manifest
    said = []
    for workers, lanes in ((1, 20), (2, 45), (1, 70)):
        reporter = StopsAt(lanes)
        with pytest.raises(KeyboardInterrupt):
            mined(student_folder, tmp_path / "out", workers=workers, reporter=reporter)
        said += reporter.said
    done = mined(student_folder, tmp_path / "out", workers=4)
    assert all(line.startswith("mine: ") for line in said)
    assert sum("units were finished earlier" in line for line in said) == 2
    assert sum("driven by the fast engine" in line for line in said) == 3
    assert done.manifest["outputs"] == undisturbed["outputs"]
    assert done.counts == undisturbed["counts"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "undisturbed"]


def test_outputs_that_vote_are_not_decoded_again_after_a_stop(student_folder: Path, tmp_path: Path) -> None:
    undisturbed = evaluated(student_folder, tmp_path / "undisturbed", votes=3).manifest
    with pytest.raises(KeyboardInterrupt):
        evaluated(student_folder, tmp_path / "out", votes=3, reporter=StopsAt(40))
    going_on = StopsAt(math.inf)
    done = evaluated(student_folder, tmp_path / "out", votes=3, reporter=going_on)
    assert sum("units were finished earlier" in line for line in going_on.said) == 1
    assert done.manifest["outputs"] == undisturbed["outputs"]


def asking(prompts: dict[str, str]) -> tuple[Question, ...]:
    return tuple(replace(QUESTIONS[0], question_id=name, prompt=prompt) for name, prompt in prompts.items())


def test_prompts_that_are_too_long_are_left_out_and_told_before_anything_is_decoded(
    student_folder: Path, tmp_path: Path
) -> None:
    questions = asking({"a": "short", "b": "b" * 189, "c": "c" * 188, "d": "d" * 500})
    job = DecodingJob(student_at(student_folder), questions, Decoding(None, 1, 4, max_lanes=1))
    assert len(job.units()) == 4
    (tmp_path / "work").mkdir()
    draft, reporter = Draft(tmp_path, tmp_path / "work"), Listening()
    decoded = decode_in_units(job, draft, executor=ThisProcess(), label="x", reporter=reporter)
    assert [len(decoded.lanes(row)) for row in range(4)] == [1, 0, 1, 0]
    (told,) = [line for line in reporter.said if "too long" in line.lower()]
    assert told == reporter.said[0]
    assert told.startswith("x: warning: Too long for ")
    assert ": 2 of 4 questions, whose prompt and max_new_tokens = 4 have more tokens than its 192 positions: " in told
    assert ": 'b' (189 tokens), 'd' (500 tokens). Lower max_new_tokens (at 3 the shortest of them fits), or" in told
    assert told.endswith("Nothing is decoded of them.")


def test_if_all_prompts_are_too_long_nothing_is_done(student_folder: Path, tmp_path: Path) -> None:
    questions = asking({"a": "a" * 300, "b": "b" * 300})
    job = DecodingJob(student_at(student_folder), questions, Decoding(None, 1, 4, max_lanes=1))
    (tmp_path / "work").mkdir()
    with pytest.raises(StudentError, match=r"2 of 2 questions, .* 'b' \(300 tokens\). Shorten them, or"):
        decode_in_units(job, Draft(tmp_path, tmp_path / "work"), executor=ThisProcess(), label="x", reporter=Silent())
    assert list((tmp_path / "work").iterdir()) == []


def test_decodings_of_the_same_prompts_share_a_student_and_others_do_not(
    student_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[Path] = []

    def counting(config: StudentConfig, *, worker: int = 0) -> Student:
        loaded.append(Path(config.path))
        return load_student(config, worker=worker)

    monkeypatch.setattr("sert.student.decoding.units.load_student", counting)
    apart = [mined(student_folder, tmp_path / "apart"), evaluated(student_folder, tmp_path / "apart-once")]
    assert len(loaded) == 2
    with prepared_once():
        together = [mined(student_folder, tmp_path / "together", keep_all=True)]
        sampled = mined(student_folder, tmp_path / "sampled")
        assert len(loaded) == 3
        together += [evaluated(student_folder, tmp_path / "once")]  # whose outputs are shorter
        assert len(loaded) == 4
    assert sampled.manifest["outputs"] == apart[0].manifest["outputs"]
    assert together[1].manifest["outputs"] == apart[1].manifest["outputs"]
    mined(student_folder, tmp_path / "afterwards")
    assert len(loaded) == 5


def test_units_are_whole_waves(student_folder: Path) -> None:
    decoding = Decoding(branches=5, samples=5, max_new_tokens=4, max_lanes=400)
    job = DecodingJob(student_at(student_folder), (QUESTIONS[0],) * 1000, decoding)
    assert {len(unit.rows) for unit in job.units()[:-1]} == {112}  # seven waves of sixteen questions


def test_too_many_lanes_for_the_memory_are_told(
    student_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, **__: object) -> Iterator[object]:
        raise MemoryError
        yield

    monkeypatch.setattr("sert.student.decoding.engine.decode", exhausted)
    with pytest.raises(OutOfMemoryError, match=r"does not hold 8 lanes .* Lower mining"):
        mined(student_folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
