"""One look at each path, by hand; and what a report shows of paths and outputs: the first ones."""

from collections import Counter
from dataclasses import replace

from sert.analysis.epochs import SnapshotOutputs
from sert.analysis.path_counts import SHOWN_PATHS, PathCounts, band_of, count_paths
from sert.analysis.results import SHOWN_PREDICTIONS, shown_predictions
from sert.analysis.task_results import MethodResults, MinedRound, TaskResults
from sert.analysis.warnings import warnings_of
from sert.config.tree import Config, RulesConfig
from sert.records import Path, Question, Verdict
from sert.tasks.load import TaskData
from shown_examples import shown_path, shown_prediction

QUESTIONS = {name: Question(name, "t", "train", "?", (), "yes", "?") for name in ("a", "b")}


def pairs(*, finish: str = "eos") -> list[tuple[Path, Verdict]]:
    """Three paths of `a`, the last one selected, and one of `b` that a rule dropped."""
    ends = [("a", "length", False), ("a", None, False), ("a", None, True), ("b", "length", False)]
    made = []
    for number, (name, reason, selected) in enumerate(ends):
        shown = shown_path("t", name, question="?", text=f"text {number}", reason=reason, selected=selected)
        path = replace(shown.path, sample=number, first_token_logprob=-1.0, finish=finish if number == 0 else "eos")
        made.append((path, replace(shown.verdict, sample=number, agrees=selected or None)))
    return made


def counted(
    paths: list[tuple[Path, Verdict]], *, verified: bool = True, rules: RulesConfig | None = None
) -> PathCounts:
    """Texts 2 and 3 are true, and score 10; the others score 5."""

    def verify(_: Question, text: str) -> tuple[bool, float]:
        return (True, 10.0) if text[-1] in "23" else (False, 5.0)

    verdicts = [verdict for _, verdict in paths]
    rules = rules or RulesConfig()
    verifier = verify if verified else None
    return count_paths((path for path, _ in paths), verdicts, questions=QUESTIONS, rules=rules, verifier=verifier)


def test_what_is_left_after_each_rule_is_counted_once() -> None:
    rows = {row["rule"]: row for row in counted(pairs()).funnel_rows()}
    assert [rows[rule]["remaining"] for rule in ("mined", "direct_response", "length", "selected")] == [4, 4, 2, 1]
    assert [rows[rule]["dropped"] for rule in ("mined", "length", "selected")] == [0, 2, 1]
    assert [rows[rule]["true"] for rule in ("mined", "length", "selected")] == [2, 1, 1]
    bands = {(row["after"], row["band"]): row["hits"] for row in counted(pairs()).filtering_rows()}
    assert (bands["mined", "4-6"], bands["mined", "8-10"], bands["selected", "8-10"]) == (2, 2, 1)


def test_rules_that_are_no_part_of_the_paper_are_steps_where_they_are_on() -> None:
    made = [(path, replace(verdict, reason=verdict.reason and "unfinished")) for path, verdict in pairs()]
    rows = list(counted(made, rules=RulesConfig(unfinished="drop")).funnel_rows())
    assert [(row["rule"], row["remaining"]) for row in rows][-3:] == [
        ("perplexity", 4),
        ("unfinished", 2),
        ("selected", 1),
    ]
    assert "unfinished" not in {row["rule"] for row in counted(pairs()).funnel_rows()}


def test_half_sentences_that_are_trained_on_are_warned_of() -> None:
    def warnings(**rules: str) -> list[str]:
        config = Config.model_validate({"name": "n", "tasks": {"t": {"kind": "lab_yes_no"}}, "rules": rules})
        made = [(path, replace(verdict, whole_characters=4)) for path, verdict in pairs()]
        rounds = [MinedRound([path for path, _ in made], [verdict for _, verdict in made])]
        data = TaskData((*QUESTIONS.values(),), {})
        return warnings_about("break off", TaskResults("t", config, data, {}, rounds))

    assert warnings() == [
        "t: 1 of 1 selected paths break off within a sentence at mining.max_new_tokens and are trained on so; "
        'rules.unfinished = "trim" cuts them back to their last whole one'
    ]
    assert warnings(unfinished="trim") == []


def warnings_about(word: str, result: TaskResults) -> list[str]:
    return [each for each in warnings_of(result) if word in each]


def mined(paths: list[tuple[Path, Verdict]]) -> TaskResults:
    config = Config.model_validate({"name": "n", "tasks": {"t": {"kind": "lab_yes_no"}}})
    rounds = [MinedRound([path for path, _ in paths], [verdict for _, verdict in paths])]
    return TaskResults("t", config, TaskData((*QUESTIONS.values(),), {}), {}, rounds)


def test_many_mined_paths_that_are_cut_are_warned_of_among_those_that_were_decoded_to_their_end() -> None:
    cut = pairs(finish="length")
    assert warnings_about("are cut at", mined(cut)) == [
        "t: outputs are cut at 128 tokens before they state an answer (25 % of the mined paths), and count as neither "
        "right nor wrong by the strict reading; raise mining.max_new_tokens, to 256 for instance"
    ]
    stopped = pairs(finish="rejected")[:1] * 9
    assert "(25 % of the mined paths)" in warnings_about("are cut at", mined([*cut, *stopped]))[0]
    assert warnings_about("are cut at", mined([*cut, *pairs() * 4])) == []  # one of twenty


def test_many_outputs_that_are_cut_are_warned_of_by_method() -> None:
    config = Config.model_validate({"name": "n", "tasks": {"t": {"kind": "lab_yes_no"}}})
    about = {"question": "?", "completion": "", "gold": "yes", "answer": None, "correct": False}
    methods = {}
    for method, cut in (("zero_shot", 2), ("sert", 3)):
        shown = [shown_prediction("t", f"t{number}", method=method, **about) for number in range(40)]  # type: ignore[arg-type]
        outputs = [
            replace(each.prediction, finish="length" if number < cut else "eos") for number, each in enumerate(shown)
        ]
        methods[method] = MethodResults([SnapshotOutputs(0, None, outputs)])
    result = TaskResults("t", config, TaskData((), {}), methods)
    # 5 % is not above 5 %; 7.5 % is.
    assert warnings_about("are cut at", result) == [
        "t: outputs are cut at 256 tokens before they state an answer (8 % of sert), and count as neither right nor "
        "wrong by the strict reading; raise evaluation.max_new_tokens, to 512 for instance"
    ]


def test_how_paths_stand_is_counted_by_what_became_of_them_by_rule_and_by_branch() -> None:
    rows = {(row["of"], row["name"]): row for row in counted(pairs(finish="length")).standings.rows()}
    hits = {
        group: tuple(row[name]["hits"] for name in ("right", "wrong", "unread", "cut")) for group, row in rows.items()
    }
    assert hits == {
        ("mined", "all"): (1, 0, 2, 1),
        ("mined", "dropped"): (0, 0, 1, 1),
        ("rule", "length"): (0, 0, 1, 1),
        ("branch", "0"): (1, 0, 2, 1),
        ("mined", "kept"): (1, 0, 1, 0),
        ("mined", "selected"): (1, 0, 0, 0),
    }
    assert {row["stopped"] for row in rows.values()} == {None}


def test_nobody_knows_how_a_path_stands_that_was_stopped() -> None:
    rows = {(row["of"], row["name"]): row for row in counted(pairs(finish="rejected")).standings.rows()}
    row = rows["mined", "all"]
    assert [row[name]["hits"] for name in ("right", "wrong", "unread", "cut", "stopped")] == [1, 0, 2, 0, 1]
    assert row["stopped"]["share"] == 0.25
    assert rows["mined", "kept"]["stopped"] is None


def test_selection_and_budget_are_counted_by_question() -> None:
    counts = counted(pairs())
    row = counts.selection_row()
    assert (row["questions"], row["with_selected"], row["selected_agree"], row["selected_true"]) == (2, 1, 1, 1)
    assert [row[f"selected_{name}"] for name in ("wrong", "unread", "cut")] == [0, 0, 0]
    both = [(path, replace(verdict, selected=verdict.reason is None)) for path, verdict in pairs()]
    several = counted(both).selection_row()
    assert (several["selected"], several["with_selected"]) == (2, 1)
    unread = [(path, replace(verdict, agrees=None)) for path, verdict in pairs()]
    assert counted(unread).selection_row()["selected_unread"] == 1
    assert (row["mined"], row["mined_true"]) == (4, 2)
    row = counts.budget_row()
    assert (row["paths"], row["kept"], row["questions_kept"], row["true"], row["questions_true"]) == (4, 2, 1, 2, 2)
    (branch,) = counts.branch_rows()
    assert (branch["paths"], branch["kept"], branch["true"]) == (4, 2, 2)
    assert [(row["low"], row["high"], row["kept"]) for row in counts.bin_rows()] == [(0.3, 1.0, 2)]


def test_what_nobody_knows_is_none() -> None:
    for counts in (counted(pairs(), verified=False), counted(pairs(finish="rejected"))):
        assert counts.selection_row()["mined_true"] is counts.budget_row()["true"] is None
        assert {row["true"] for row in counts.branch_rows()} == {None}
        assert list(counts.filtering_rows()) == []
    stopped = counted(pairs(finish="rejected"))
    assert stopped.budget_row()["reasoned"] is stopped.budget_row()["questions_reasoned"] is None
    true = {row["rule"]: row["true"] for row in stopped.funnel_rows()}
    assert (true["mined"], true["length"]) == (None, 1)  # what was stopped is dropped by then


def test_bands_hold_their_lower_end_and_the_last_one_ten() -> None:
    assert [band_of(score) for score in (0, 1.99, 2, 9.9, 10)] == ["0-2", "0-2", "2-4", "8-10", "8-10"]


def test_the_first_few_paths_of_each_end_are_shown() -> None:
    shown = counted(pairs() * 25).shown
    ends = Counter((look.verdict.selected, look.verdict.reason) for look in shown)
    assert ends == {(False, "length"): SHOWN_PATHS, (False, None): SHOWN_PATHS, (True, None): SHOWN_PATHS}
    assert SHOWN_PATHS == 20


def test_the_first_outputs_of_each_method_are_shown_right_ones_and_as_many_wrong_ones() -> None:
    config = Config.model_validate({"name": "x", "student": {"path": "lab"}, "tasks": {"t": {"kind": "lab_yes_no"}}})
    about = {"method": "sert", "question": "?", "completion": "", "gold": "yes", "answer": None}
    each = [shown_prediction("t", f"t{number}", correct=number >= 30, **about) for number in range(45)]  # type: ignore[arg-type]
    outputs = MethodResults([SnapshotOutputs(0, None, [shown.prediction for shown in each])])
    data = TaskData(tuple(shown.question for shown in each), {})
    names = [
        shown.question.question_id
        for shown in shown_predictions(TaskResults("t", config, data, {"sert": outputs}), student="")
    ]
    assert 2 * SHOWN_PREDICTIONS == 20
    assert names == [*(f"t{number}" for number in range(30, 40)), *(f"t{number}" for number in range(10))]
