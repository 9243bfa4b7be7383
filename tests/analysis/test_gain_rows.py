"""Gains over questions, by hand."""

from dataclasses import replace

import pytest

from sert.analysis.epochs import SnapshotOutputs
from sert.analysis.gains import GainNumbers
from sert.analysis.task_results import MethodResults, MinedRound, TaskResults
from sert.config.grid import MAIN, Arm
from sert.config.rules import SelectionConfig
from sert.config.tree import Config
from sert.paths.rules import apply_rules
from sert.records import Gain, Path, Question, Rationale, Verdict
from sert.stats.clusters import clustered_mean
from sert.stats.holm import holm
from sert.stats.means import paired_bootstrap
from sert.tasks.load import TaskData
from shown_examples import graded

CONFIG = Config.model_validate(
    {
        "name": "n",
        "tasks": {"t": {"kind": "table", "data": "x.jsonl"}},
        "rules": {"min_tokens": 4, "min_perplexity": 0, "direct_response": False},
    }
)
ARM = Arm("s", 0, MAIN, None, CONFIG, "")
ASKED = {
    split: [Question(f"{split}{i}", "t", split, "Is it?", (), "yes", "Is it?") for i in range(3)]
    for split in ("train", "test")
}
# Question, branch, what it says, its tokens, whether it is selected, its gain, gold most probable behind and without.
PATHS = [
    (0, 0, " It is. So the answer is yes.", 9, True, 1.0, True, False),
    (0, 0, " It is. So the answer is no.", 9, False, 0.0, False, False),
    (0, 1, " Hm.", 2, False, -1.0, False, False),
    (1, 0, " It is. So the answer is yes.", 9, True, 0.5, True, True),
    (1, 1, " Hm, hm.", 3, False, -0.5, True, True),
    (2, 0, " Well.", 9, False, None, None, None),  # stopped early
]


def path_of(row: int) -> tuple[Path, Verdict, Gain]:
    place, branch, text, tokens, selected, nats, right, without = PATHS[row]
    question = ASKED["train"][place]
    ids, logprobs = tuple(range(tokens)), (-1.0,) * tokens
    path = Path(question.question_id, branch, row, 0, -1.0, ids, logprobs, text, "eos", tokens, 2.7, 0.0)
    verdict = replace(apply_rules(path, question, CONFIG.rules), selected=selected)
    return path, verdict, Gain(*path.key, nats, right, without)


def results(*, outputs: bool = False, rationales: bool = False) -> TaskResults:
    paths, verdicts, mined = zip(*map(path_of, range(len(PATHS))), strict=True)
    gains: dict[str, list[Gain]] = {"mine": [*mined]}
    predictions = [
        graded(question, completion, CONFIG)
        for question, completion in zip(ASKED["test"], (" yes", " no", " Hm."), strict=True)
    ]
    if outputs:
        of_outputs = zip(ASKED["test"], (0.0, 0.25, None), (True, False, None), strict=True)
        gains["evaluate-sert"] = [
            Gain(each.question_id, None, None, nats, right, right) for each, nats, right in of_outputs
        ]
    taught = []
    if rationales:
        said = zip(ASKED["train"], ("yes", "no", None), (2.0, 1.0, 3.0), strict=True)
        for each, answer, nats in said:
            correct = answer == each.answer
            taught.append(Rationale(each.question_id, "m", "p", "t", "", answer, correct, None, None, "file"))
            gains.setdefault("teach", []).append(Gain(each.question_id, None, None, nats, True, False))
    return TaskResults(
        "t",
        CONFIG,
        TaskData((*ASKED["train"], *ASKED["test"]), {}),
        {"sert": MethodResults([SnapshotOutputs(0, None, predictions)])},
        rounds=[MinedRound(paths, verdicts)],
        taught=taught,
        gains=gains,
    )


def tables(*each: TaskResults) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    numbers = GainNumbers()
    for result in each:
        numbers.add(ARM, result)
    found = numbers.tables()
    return found["gain"], found["gain_looks"]


def test_all_kept_and_selected_paths_are_summed_up_by_question() -> None:
    every, kept, selected = tables(results())[0]
    assert [(row["source"], row["part"]) for row in (every, kept, selected)] == [
        ("paths", "all"),
        ("paths", "kept"),
        ("paths", "selected"),
    ]
    # The path that was stopped has no gain and is not there; sums by question: 0 of three paths, 0 of two.
    assert (every["texts"], every["questions"], every["nats"], every["ci95"]) == (5, 2, 0.0, [0.0, 0.0])
    assert (kept["texts"], kept["nats"]) == (3, 0.5)
    assert kept["ci95"] == pytest.approx(list(clustered_mean([1.0, 0.5], [2, 1]).interval or ()))
    assert (selected["texts"], selected["nats"]) == (2, 0.75)
    shares = {name: (every[name]["hits"], every[name]["of"]) for name in ("right", "right_without", "agree")}  # type: ignore[index]
    assert shares == {"right": (3, 5), "right_without": (2, 5), "agree": (2, 3)}


def test_the_tests_are_of_questions_and_one_family() -> None:
    rows = tables(results())[0]
    # Means of the questions, against 0: 0 and 0; 0.5 and 0.5; 1 and 0.5. Gold behind and without: 1/3, 1 and 0, 1; ...
    expected = [
        paired_bootstrap([0.0, 0.0], [0.0] * 2, seed=0).p_value,
        paired_bootstrap([1 / 3, 1.0], [0.0, 1.0], seed=0).p_value,
        paired_bootstrap([0.5, 0.5], [0.0] * 2, seed=0).p_value,
        paired_bootstrap([0.5, 1.0], [0.0, 1.0], seed=0).p_value,
        paired_bootstrap([1.0, 0.5], [0.0] * 2, seed=0).p_value,
        paired_bootstrap([1.0, 1.0], [0.0, 1.0], seed=0).p_value,
    ]
    found = [row[name] for row in rows for name in ("p_value", "right_p_value")]
    assert found == expected == [1.0, 1.0, 0.5, 1.0, 0.5, 1.0]
    assert [row[name] for row in rows for name in ("p_holm", "right_p_holm")] == holm([float(p or 0) for p in expected])


def test_looks_part_the_paths_and_compare_them_within_questions() -> None:
    rows = {(row["kind"], row["name"]): row for row in tables(results())[1]}
    assert [*rows][:2] == [("selected", "selected"), ("kept", "kept")]
    assert {kind for kind, _ in rows} == {"selected", "kept", "rule", "branch", "num_tokens", "perplexity", "rep_2"}
    length = rows["rule", "length"]
    inside, outside, difference = length["inside"], length["outside"], length["difference"]
    assert (inside["texts"], inside["nats"], outside["texts"], outside["nats"]) == (3, 0.5, 2, -0.75)  # type: ignore[index]
    # Within questions: 0.5 - -1 and 0.5 - -0.5; nothing outside states an answer.
    assert difference["nats"]["difference"] == 1.25 and difference["agree"] is None  # type: ignore[index]
    assert length["ends"] is None and rows["num_tokens", "1"]["ends"] == [2.0, 3.0]


def test_what_was_selected_by_gain_is_not_tested_for_it() -> None:
    by_gain = CONFIG.model_copy(update={"selection": SelectionConfig(order="gain")})
    parts, looks = tables(replace(results(), config=by_gain))
    usual_parts, usual_looks = tables(results())
    assert (parts[2]["part"], parts[2]["nats"], parts[2]["p_value"], parts[2]["right_p_holm"]) == (
        *("selected_by_gain", 0.75),
        *(None, None),
    )
    assert (looks[0]["kind"], looks[0]["difference"]) == ("selected_by_gain", {"nats": None, "agree": None})
    assert looks[0]["inside"] == usual_looks[0]["inside"]
    assert [row["p_value"] for row in parts[:2]] == [row["p_value"] for row in usual_parts[:2]]


def test_paths_of_several_seeds_are_taken_together() -> None:
    one, two = (tables(*[results()] * number) for number in (1, 2))
    assert [row["texts"] for row in two[0]] == [2 * row["texts"] for row in one[0]]  # type: ignore[operator]
    assert [(row["nats"], row["p_value"]) for row in two[0]] == [(row["nats"], row["p_value"]) for row in one[0]]
    assert [row["difference"] for row in two[1]] == [row["difference"] for row in one[1]]


def test_outputs_and_rationales_have_their_rows() -> None:
    rows = {(row["source"], row["part"]): row for row in tables(results(outputs=True, rationales=True))[0]}
    outputs, reasoned = rows["sert", "all"], rows["sert", "reasoned"]
    assert (outputs["texts"], outputs["nats"]) == (2, 0.125)  # one was too long
    assert (outputs["agree"]["hits"], outputs["agree"]["of"], reasoned["texts"]) == (1, 2, 0)  # type: ignore[index]
    assert (reasoned["nats"], reasoned["ci95"], reasoned["p_holm"]) == (None, None, None)
    taught, right = rows["rationales", "all"], rows["rationales", "right"]
    assert (taught["texts"], taught["nats"], right["texts"], right["nats"]) == (3, 2.0, 1, 2.0)
    assert (taught["agree"]["hits"], taught["agree"]["of"]) == (1, 2)  # type: ignore[index]


def test_without_scores_there_are_no_rows() -> None:
    assert tables(replace(results(), gains={})) == ([], [])
    nothing = [replace(gain, nats=None, right=None, right_without=None) for gain in results().gains["mine"]]
    assert tables(replace(results(), gains={"mine": nothing})) == ([], [])
