"""A selection that goes by gains: which path it takes, what it needs, and that it says what it looks at."""

from dataclasses import replace
from pathlib import Path

import pytest
from path_records import make_path

from listening import Listening
from sert.config.rules import RulesConfig, SelectionConfig
from sert.config.tree import MiningConfig
from sert.errors import ConfigError, DataError
from sert.paths.filtering import FilterJob, filter_paths
from sert.paths.gains import LOOKS_AT_GOLD
from sert.paths.selection import select
from sert.records import Example, Gain, PathKey, Question, Verdict
from sert.records import Path as MinedPath
from sert.store.artifacts import Artifact, commit
from sert.store.stage import Result, key_of
from sert.store.tables import read_table, write_table

BY_GAIN = SelectionConfig(order="gain")
RULES = RulesConfig(min_tokens=0, min_perplexity=0, direct_response=False)
WORDS = " Herons have long legs, branch {} sample {}. So the answer is no."
QUESTIONS = [
    Question(name, "demo", "train", f"Can {name} wade?", (), "yes", f"Question: Can {name} wade?\nAnswer:")
    for name in ("q1", "q2")
]
# Paths of two questions: (question, branch, sample) -> what each gains.
NATS = {
    PathKey("q1", 0, 0): 0.5,
    PathKey("q1", 0, 1): None,
    PathKey("q1", 1, 0): 2.0,
    PathKey("q1", 1, 1): 2.0,
    PathKey("q2", 0, 0): -3.0,
    PathKey("q2", 1, 0): -1.0,
}


def verdict(key: PathKey, reason: str | None = None, rep_2: float = 0.0) -> Verdict:
    return Verdict(*key, reason, 30, rep_2, 8.0, False, False, False, None, None, False)


def selected(verdicts: list[Verdict]) -> list[PathKey]:
    return [each.key for each in select(verdicts, BY_GAIN, gains=NATS) if each.selected]


def test_the_largest_gain_is_selected_and_of_equals_the_lower_branch_then_sample() -> None:
    verdicts = [verdict(key, rep_2=0.1 * place) for place, key in enumerate(NATS)]
    assert selected(verdicts) == [("q1", 1, 0), ("q2", 1, 0)]
    assert selected(verdicts[::-1]) == [("q2", 1, 0), ("q1", 1, 0)]


def test_dropped_paths_are_not_selected_whatever_they_gain() -> None:
    best = PathKey("q1", 1, 0), PathKey("q1", 1, 1)
    assert selected([verdict(key, "length" if key in best else None) for key in NATS])[0] == ("q1", 0, 0)


def test_a_path_without_a_gain_comes_last() -> None:
    none, worse = PathKey("q1", 0, 1), PathKey("q2", 0, 0)
    assert selected([verdict(none)]) == [none]
    found = [replace(verdict(key), question_id="q1") for key in (none, worse)]
    by_name = {none: None, PathKey("q1", 0, 0): -3.0}
    assert [each.selected for each in select(found, BY_GAIN, gains=by_name)] == [False, True]


# ---- the filter


def folder_of(
    tmp_path: Path, name: str, stage: str, tables: dict[str, tuple[list[object], type]], **inputs: str
) -> Artifact:
    def fill(draft: object) -> dict[str, int]:
        for table, (records, kind) in tables.items():
            write_table(draft.folder / f"{table}.parquet", records, kind)  # type: ignore[attr-defined,type-var]
        return {}

    config = {"prompts": {}, "rules": RULES.model_dump(mode="json")}
    return commit(tmp_path / name, fill, stage=stage, config=config, inputs=inputs, seed=0)


@pytest.fixture
def mined(tmp_path: Path) -> Artifact:
    paths: list[object] = [
        make_path(
            WORDS.format(key.branch, key.sample), question_id=key.question_id, branch=key.branch, sample=key.sample
        )
        for key in NATS
    ]
    return folder_of(tmp_path, "mined", "mine", {"paths": (paths, MinedPath), "questions": ([*QUESTIONS], Question)})


def gains_of(tmp_path: Path, mined: Artifact, name: str = "gains", rows: int = len(NATS)) -> Artifact:
    found: list[object] = [Gain(*key, nats, None, None) for key, nats in [*NATS.items()][:rows]]
    return folder_of(tmp_path, name, "gain", {"gains": (found, Gain)}, mine=mined.key)


def test_the_filter_selects_by_the_gains_and_says_that_it_looks_at_gold(mined: Artifact, tmp_path: Path) -> None:
    said = Listening()
    gains = gains_of(tmp_path, mined)
    filtered = filter_paths(mined, rules=RULES, selection=BY_GAIN, gains=gains, out=tmp_path / "f", reporter=said)
    verdicts = read_table(filtered.file("verdicts.parquet"), Verdict)
    assert [each.key for each in verdicts if each.selected] == [("q1", 1, 0), ("q2", 1, 0)]
    first, _ = read_table(filtered.file("examples.parquet"), Example)
    assert "branch 1 sample 0. So the answer is yes." in first.completion
    assert f"filter: {LOOKS_AT_GOLD}" in said.said and "looks at the gold answer" in LOOKS_AT_GOLD
    assert filtered.manifest["inputs"] == {"mine": mined.key, "gain": gains.key}


def test_without_gains_it_says_what_it_needs(mined: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'selection.order = "gain" .*give that student \(--student\)'):
        filter_paths(mined, rules=RULES, selection=BY_GAIN, out=tmp_path / "f")


def test_gains_of_other_paths_are_refused(mined: Artifact, tmp_path: Path) -> None:
    other = folder_of(tmp_path, "other", "gain", {"gains": ([], Gain)}, mine="0" * 12)
    for wrong in (other, mined):
        with pytest.raises(DataError, match="does not hold the gains of the paths in"):
            filter_paths(mined, rules=RULES, selection=BY_GAIN, gains=wrong, out=tmp_path / "f")
    short = gains_of(tmp_path, mined, "short", rows=3)
    with pytest.raises(DataError, match="its rows are not those of the paths"):
        filter_paths(mined, rules=RULES, selection=BY_GAIN, gains=short, out=tmp_path / "f")


def test_gains_are_in_the_key_where_the_selection_goes_by_them_and_nowhere_else(mined: Artifact) -> None:
    one, two = (Result("gain", "gain-mine", mined.folder, key) for key in ("a" * 12, "b" * 12))
    usual = FilterJob(Result.of(mined), RULES, SelectionConfig())
    assert {key_of(replace(usual, gains=each)) for each in (one, two)} == {key_of(usual)}
    assert usual.inputs() == replace(usual, gains=one).inputs() == {"mine": Result.of(mined)}
    by_gain = replace(usual, selection=BY_GAIN)
    assert len({key_of(replace(by_gain, gains=each)) for each in (None, one, two)}) == 3
    assert replace(by_gain, gains=one).inputs() == {"mine": Result.of(mined), "gain-mine": one}


def test_every_path_is_decoded_to_its_end_where_one_is_selected_by_gain() -> None:
    assert MiningConfig().for_rules(RULES, BY_GAIN).keep_all
    assert not MiningConfig().for_rules(RULES, SelectionConfig()).keep_all
