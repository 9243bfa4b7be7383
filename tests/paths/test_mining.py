import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path as FilePath

import pytest
import torch

from sert.config.tree import MiningConfig, RulesConfig, StudentConfig, TaskConfig
from sert.errors import DataError
from sert.paths import filtering
from sert.paths import rules as path_rules
from sert.paths.filtering import filter_paths
from sert.paths.mining import mine
from sert.records import Example, Path, Question
from sert.store import tables
from sert.store.tables import read_table
from sert.student.decoding import engine, lanes
from sert.student.decoding.lanes import Lane
from sert.student.decoding.units import DecodingJob
from sert.student.load import Student
from sert.tasks.load import load_task
from tests_support import Census

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


@pytest.mark.soak
@pytest.mark.parametrize(
    "rules",
    [
        RULES,
        RulesConfig(min_tokens=0, min_perplexity=0, direct_response=False),
        RulesConfig(min_tokens=20, min_perplexity=5, max_rep_2=0.02, direct_response=False),
        RulesConfig(min_tokens=3, min_perplexity=0, unit="words", direct_response=False),
        RULES.model_copy(update={"max_perplexity": 45.0, "unfinished": "drop"}),
        RULES.model_copy(update={"unfinished": "trim"}),
        RULES.model_copy(update={"min_perplexity": "p25", "max_perplexity": "p75"}),
    ],
    ids=["some", "nearly all are kept", "few are kept", "words", "ours", "trimmed", "percentiles"],
)
@pytest.mark.parametrize("shape", [{"branches": 3, "samples": 4}, {"branches": 0, "samples": 12}], ids=["tree", "raw"])
def test_what_is_selected_depends_neither_on_stopping_nor_on_the_lanes_together(
    shape: dict[str, int],
    rules: RulesConfig,
    questions: list[Question],
    folder: StudentConfig,
    tmp_path: FilePath,
    full: bool,
) -> None:
    """In full with many more lanes than there are paths, too."""
    selected: dict[int, set[bytes]] = {}
    lanes_and_keeping = [(24, True), (1, False), (60, False), (4000, False)]
    for seed in range(3 if full else 1):
        for max_lanes, keep_all in lanes_and_keeping if full else lanes_and_keeping[:3]:
            out = tmp_path / f"{seed}-{max_lanes}"
            config = MINING.model_copy(update={**shape, "max_lanes": max_lanes, "keep_all": keep_all})
            mined = mine(questions, folder, out=out / "mined", config=config, rules=rules, seed=seed)
            kept = filter_paths(mined, rules=rules, out=out / "kept").file("examples.parquet")
            selected.setdefault(seed, set()).add(kept.read_bytes())
    assert {len(of_seed) for of_seed in selected.values()} == {1}


def test_on_the_lab_stopping_early_decodes_a_small_part_of_the_tokens(tmp_path: FilePath) -> None:
    asked = load_task("lab", TaskConfig(kind="lab_yes_no")).split("train")[:24]
    rules, lab = RulesConfig(min_tokens=12, min_perplexity=1.2), StudentConfig(path="lab", device="cpu")
    tokens, examples = {}, {}
    for keep_all in (True, False):
        config = MiningConfig(max_new_tokens=48, max_lanes=100, keep_all=keep_all)
        mined = mine(asked, lab, out=tmp_path / f"m{keep_all}", config=config, rules=rules)
        examples[keep_all] = filter_paths(mined, rules=rules, out=tmp_path / f"f{keep_all}").file("examples.parquet")
        tokens[keep_all] = mined.counts["tokens"]
        paths = read_table(mined.file("paths.parquet"), Path)
        assert [(path.branch, path.sample) for path in paths] == [(b, s) for b in range(5) for s in range(5)] * 24
        stopped = [path for path in paths if path.stopped_early]
        counts = mined.counts["stopped_early"].values()
        assert sum(count["paths"] for count in counts) == len(stopped)
        assert sum(count["tokens_saved_at_most"] for count in counts) == sum(48 - path.num_tokens for path in stopped)
        assert all(path.num_tokens > 0 and path.first_token_logprob is not None for path in stopped)
    assert examples[True].read_bytes() == examples[False].read_bytes()
    assert tokens[False] < tokens[True] / 3


def test_with_percentiles_no_path_is_stopped_and_the_same_are_selected(
    questions: list[Question], folder: StudentConfig, tmp_path: FilePath
) -> None:
    rules = RULES.model_copy(update={"min_perplexity": "p25", "max_perplexity": "p75"})
    examples, told = set(), list[str]()
    for name, changes in {"all": {"keep_all": True}, "usual": {"keep_all": False}, "apart": {"max_lanes": 1}}.items():
        config, watch = MINING.model_copy(update=changes), Watch(lambda _: None)
        watch.say = told.append  # type: ignore[method-assign]
        mined = mine(questions, folder, out=tmp_path / name, config=config, rules=rules, reporter=watch)
        assert set(mined.counts["finish"]) <= {"eos", "length"} and mined.counts["stopped_early"] == {}
        filtered = filter_paths(mined, rules=rules, out=tmp_path / f"{name}-filtered")
        dropped = filtered.counts["dropped"]
        assert dropped["perplexity"] > 0 and dropped["high_perplexity"] > 0 and filtered.counts["selected"] > 0
        examples.add(filtered.file("examples.parquet").read_bytes())
    assert len(examples) == 1
    said = 'mine: rules.min_perplexity = "p25" and rules.max_perplexity = "p75": no path is stopped early'
    assert sum(line.startswith(said) for line in told) == 3


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


class Watch:
    """A reporter that is called at every advance."""

    def __init__(self, look: Callable[[float], None]) -> None:
        self._look = look

    def say(self, line: str) -> None:
        pass

    @contextmanager
    def track(self, label: str, total: int, unit: str) -> Iterator[Callable[..., None]]:
        yield lambda units, note="": self._look(units)


def many(questions: list[Question], count: int) -> list[Question]:
    return [replace(questions[number % len(questions)], question_id=f"q{number}") for number in range(count)]


@pytest.mark.parametrize("keep_all", [True, False])
def test_more_questions_hold_no_more_paths(
    keep_all: bool,
    questions: list[Question],
    folder: StudentConfig,
    tmp_path: FilePath,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "ROWS_A_GROUP", 12)
    monkeypatch.setattr(tables, "ROWS_A_READ", 12)
    config = MINING.model_copy(update={"keep_all": keep_all, "max_new_tokens": 8})
    most: dict[int, int] = {}
    for count in (24, 72):
        census, out = Census(), tmp_path / str(count)
        with monkeypatch.context() as patch:
            for module in (engine, lanes):
                patch.setattr(module, "Lane", census.of(Lane))
            patch.setattr(path_rules, "Path", census.of(Path))
            patch.setattr(filtering, "Path", census.of(Path))
            mined = mine(many(questions, count), folder, out=out / "m", config=config, rules=RULES)
            filter_paths(mined, rules=RULES, out=out / "f")
        assert mined.counts["paths"] == count * 12
        most[count] = census.most
    assert 0 < most[72] <= 1.1 * most[24]


def test_a_mining_that_is_stopped_while_it_writes_its_paths_decodes_nothing_again(
    questions: list[Question], folder: StudentConfig, tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    class StopsWriting(Watch):
        def track(self, label: str, total: int, unit: str) -> AbstractContextManager[Callable[..., None]]:
            self._stops = label == "mine, write"
            return super().track(label, total, unit)

    def stop(units: float) -> None:
        if reporter._stops:
            raise KeyboardInterrupt

    reporter = StopsWriting(stop)
    with pytest.raises(KeyboardInterrupt):
        mine(questions, folder, out=tmp_path / "m", config=MINING, reporter=reporter)
    assert not (tmp_path / "m").exists()
    monkeypatch.setattr(DecodingJob, "start", lambda *_: pytest.fail("decodes again"))
    assert mine(questions, folder, out=tmp_path / "m", config=MINING).counts["questions"] == 4
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_a_question_that_is_too_long_has_no_paths_and_changes_none(
    questions: list[Question], folder: StudentConfig, tmp_path: FilePath
) -> None:
    long = replace(questions[0], question_id="long", prompt="x" * 160)
    with_long = mine([long, *questions], folder, out=tmp_path / "long", config=MINING)
    without = mine(questions, folder, out=tmp_path / "short", config=MINING)
    assert read_table(with_long.file("paths.parquet"), Path) == read_table(without.file("paths.parquet"), Path)
    assert (with_long.counts["questions"], with_long.counts["too_long"]) == (5, 1)
    assert (without.counts["questions"], without.counts["too_long"]) == (4, 0)
    filtered = filter_paths(with_long, rules=RULES, out=tmp_path / "filtered")
    assert filtered.counts["questions"] == 5
    assert filtered.counts["questions_without_path"] == 5 - filtered.counts["selected"]
