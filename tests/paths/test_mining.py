import math
from pathlib import Path as FilePath

import pytest
import torch

from sert.config import MiningConfig, RulesConfig, StudentConfig
from sert.errors import DataError
from sert.paths.mining import mine
from sert.paths.selection import filter_paths
from sert.records import Example, Path, Question
from sert.store.tables import read_table
from sert.student.load import Student

MINING = MiningConfig(branches=3, samples=4, max_new_tokens=40, keep_all=True, max_lanes=24)
RULES = RulesConfig(min_tokens=5, min_perplexity=0, max_rep_2=0.15, direct_response=False)


@pytest.fixture
def folder(student_folder: FilePath) -> StudentConfig:
    return StudentConfig(path=str(student_folder), device="cpu")


def test_a_path_is_measured_as_a_plain_forward_measures_it(
    questions: list[Question], folder: StudentConfig, student: Student, tmp_path: FilePath
) -> None:
    mined = mine(questions, folder, out=tmp_path / "m", config=MINING)
    paths = read_table(mined.file("paths.parquet"), Path)
    assert mined.counts["paths"] == len(paths) == len(questions) * 12
    prompts = {question.question_id: question.prompt for question in questions}
    for path in paths:
        prompt = student.encode_prompt(prompts[path.question_id])
        with torch.no_grad():
            shares = student.model(torch.tensor([[*prompt, *path.token_ids]])).logits[0].log_softmax(-1)
        expected = [float(shares[len(prompt) - 1 + i, token]) for i, token in enumerate(path.token_ids)]
        assert path.logprobs == pytest.approx(expected, abs=1e-4)
        assert path.perplexity == pytest.approx(math.exp(-sum(expected) / len(expected)), rel=1e-4)
        assert (path.num_tokens, path.first_token_id) == (len(path.token_ids), path.token_ids[0])
        assert path.text == student.decode(path.token_ids)


def test_a_question_gets_the_same_paths_alone_and_among_others(
    questions: list[Question], folder: StudentConfig, tmp_path: FilePath
) -> None:
    together = read_table(mine(questions, folder, out=tmp_path / "all", config=MINING).file("paths.parquet"), Path)
    alone = read_table(mine(questions[2:3], folder, out=tmp_path / "one", config=MINING).file("paths.parquet"), Path)
    assert [p.token_ids for p in alone] == [p.token_ids for p in together if p.question_id == "q2"]


def test_stopping_early_selects_the_same_paths(
    questions: list[Question], folder: StudentConfig, tmp_path: FilePath
) -> None:
    examples = {}
    for keep_all in (True, False):
        config = MINING.model_copy(update={"keep_all": keep_all})
        mined = mine(questions, folder, out=tmp_path / f"mined-{keep_all}", config=config, rules=RULES)
        filtered = filter_paths(mined, rules=RULES, out=tmp_path / f"filtered-{keep_all}")
        examples[keep_all] = read_table(filtered.file("examples.parquet"), Example)
        for finish in ("rejected", "outrun"):
            assert (mined.counts["finish"].get(finish, 0) == 0) is keep_all
        stopped = sum(counts["paths"] for counts in mined.counts["stopped_early"].values())
        assert stopped == mined.counts["finish"].get("rejected", 0) + mined.counts["finish"].get("outrun", 0)
        assert filtered.counts["dropped"]["repetition"] > 0
    assert examples[True] == examples[False]
    assert len(examples[True]) > 0


def test_raw_sampling_draws_the_first_token_too(
    questions: list[Question], folder: StudentConfig, tmp_path: FilePath
) -> None:
    raw = mine(questions, folder, out=tmp_path / "raw", config=MINING.model_copy(update={"branches": 0, "samples": 12}))
    paths = read_table(raw.file("paths.parquet"), Path)
    assert {path.branch for path in paths} == {0}
    assert len({path.first_token_id for path in paths}) > 3


def test_no_questions_are_refused(folder: StudentConfig, tmp_path: FilePath) -> None:
    with pytest.raises(DataError, match="no questions"):
        mine([], folder, out=tmp_path / "m")
    assert list(tmp_path.iterdir()) == []
