import json
import math
from contextlib import contextmanager
from dataclasses import replace

import pytest
from path_records import make_path

from sert.config.prompts import PromptTemplates
from sert.config.tree import RulesConfig, SelectionConfig
from sert.errors import DataError
from sert.paths.filtering import FunnelRow, ImplausibleRule, Tally, filter_paths, implausible_rules
from sert.paths.limits import found_limits
from sert.paths.selection import select
from sert.records import Example, Path, PathKey, Question, Verdict
from sert.store import tables
from sert.store.artifacts import commit
from sert.store.tables import read_table, write_table


def make_verdict(question_id="q1", branch=0, sample=0, *, reason=None, rep_2=0.0):
    return Verdict(
        question_id=question_id,
        branch=branch,
        sample=sample,
        reason=reason,
        num_tokens=30,
        rep_2=rep_2,
        perplexity=8.0,
        imitation=False,
        option_repetition=False,
        direct_response=False,
        conclusion=None,
        agrees=None,
        selected=False,
    )


def selected_keys(verdicts):
    return [(each.question_id, each.branch, each.sample) for each in select(verdicts) if each.selected]


# ---- select


def test_the_order_can_be_the_highest_mean_log_probability():
    # The lower the perplexity, the higher the mean log-probability.
    verdicts = [
        replace(make_verdict(sample=0, rep_2=0.0), perplexity=9.0),
        replace(make_verdict(sample=1, rep_2=0.2), perplexity=6.0),
    ]
    chosen = select(verdicts, SelectionConfig(order="mean_logprob"))
    assert [each.selected for each in chosen] == [False, True]
    assert [each.selected for each in select(verdicts)] == [True, False]


def test_a_random_order_is_a_function_of_the_seed_and_prefers_nobody():
    verdicts = [
        make_verdict(f"q{number}", sample=sample, rep_2=sample / 10) for number in range(400) for sample in range(2)
    ]
    picked = [each.sample for each in select(verdicts, SelectionConfig(order="random"), seed=3) if each.selected]
    assert picked == [
        each.sample for each in select(verdicts, SelectionConfig(order="random"), seed=3) if each.selected
    ]
    assert picked != [
        each.sample for each in select(verdicts, SelectionConfig(order="random"), seed=4) if each.selected
    ]
    assert 150 < sum(picked) < 250  # five standard deviations around 200


def test_only_paths_that_agree_with_gold_can_be_asked_for():
    verdicts = [
        replace(make_verdict(sample=sample), agrees=agrees) for sample, agrees in enumerate((None, False, True))
    ]
    chosen = select(verdicts, SelectionConfig(only_agreeing=True))
    assert [each.selected for each in chosen] == [False, False, True]
    assert not any(each.selected for each in select(verdicts[:2], SelectionConfig(only_agreeing=True)))


@pytest.mark.parametrize(
    ("agrees", "selected"),
    [
        ([True, False, None], [0, 1]),
        ([True, None, None], [0, 1]),
        ([True, True, True], []),
        ([False, False, None], []),
        ([None, None, None], []),
    ],
)
def test_only_questions_that_are_sometimes_right_can_be_asked_for(agrees, selected):
    """The third path is dropped, and counts all the same."""
    other = [replace(make_verdict("q2", sample=sample), agrees=sample == 0) for sample in range(2)]
    mine = [replace(make_verdict(sample=sample), agrees=each) for sample, each in enumerate(agrees)]
    mine[2] = replace(mine[2], reason="length")
    config = SelectionConfig(only_sometimes_right=True, max_per_question=2)
    chosen = [each.key for each in select([*mine, *other], config) if each.selected]
    assert chosen == [*(("q1", 0, sample) for sample in selected), ("q2", 0, 0), ("q2", 0, 1)]


def test_several_paths_of_a_question_can_be_selected_in_the_order_of_preference():
    verdicts = [make_verdict(sample=sample, rep_2=rep) for sample, rep in enumerate((0.1, 0.0, 0.15, 0.05))]
    for most, expected in ((1, [1]), (2, [1, 3]), (3, [0, 1, 3]), (9, [0, 1, 2, 3])):
        chosen = select(verdicts, SelectionConfig(max_per_question=most))
        assert [each.sample for each in chosen if each.selected] == expected
        assert [each.sample for each in chosen] == [0, 1, 2, 3]


def test_settings_of_the_selection_that_do_nothing_are_in_no_key():
    plain = SelectionConfig().model_dump()
    assert plain.keys() == {"rules", "order", "only_agreeing", "shuffled"}
    changed = SelectionConfig(only_sometimes_right=True, max_per_question=2).model_dump()
    assert changed == plain | {"only_sometimes_right": True, "max_per_question": 2}


def test_the_lowest_repetition_is_selected():
    assert selected_keys([make_verdict(sample=0, rep_2=0.1), make_verdict(sample=1, rep_2=0.05)]) == [("q1", 0, 1)]


def test_ties_go_to_the_lower_branch_then_the_lower_sample():
    keys = [(2, 0), (1, 3), (1, 2), (3, 0)]
    assert selected_keys([make_verdict(branch=branch, sample=sample) for branch, sample in keys]) == [("q1", 1, 2)]


def test_dropped_paths_are_never_selected():
    dropped = make_verdict(sample=0, reason="perplexity", rep_2=0.0)
    assert selected_keys([dropped, make_verdict(sample=1, rep_2=0.2)]) == [("q1", 0, 1)]
    assert selected_keys([dropped]) == []


def test_selection_keeps_order_and_everything_else():
    verdicts = [
        make_verdict("q2", 1),
        make_verdict("q1", 0),
        make_verdict("q2", 0),
        make_verdict("q1", 1, reason="length"),
    ]
    result = select(iter(verdicts))
    assert [(each.question_id, each.branch, each.selected) for each in result] == [
        ("q2", 1, False),
        ("q1", 0, True),
        ("q2", 0, True),
        ("q1", 1, False),
    ]
    assert result[3] == verdicts[3]


# ---- funnel


def test_funnel_counts_what_is_left_after_each_rule():
    reasons = ["imitation", "length", "length", "perplexity", None, None, None, None]
    verdicts = select([make_verdict(sample=number, reason=reason) for number, reason in enumerate(reasons)])
    assert Tally(verdicts).funnel() == [
        FunnelRow("mined", 8, 1.0, 0),
        FunnelRow("imitation", 7, 0.875, 1),
        FunnelRow("option_repetition", 7, 0.875, 0),
        FunnelRow("direct_response", 7, 0.875, 0),
        FunnelRow("length", 5, 0.625, 2),
        FunnelRow("repetition", 5, 0.625, 0),
        FunnelRow("perplexity", 4, 0.5, 1),
        FunnelRow("selected", 1, 0.125, 3),
    ]


def test_funnel_shows_rejected_paths_only_if_there_are_any():
    rows = Tally([make_verdict(reason="rejected"), make_verdict(sample=1)]).funnel()
    assert rows[-2:] == [FunnelRow("rejected", 1, 0.5, 1), FunnelRow("selected", 0, 0.0, 1)]


def test_funnel_of_nothing():
    assert {(row.remaining, row.share, row.dropped) for row in Tally([]).funnel()} == {(0, 0.0, 0)}


# ---- implausible rules


def found_implausible(verdicts, **settings):
    return implausible_rules(verdicts, RulesConfig(**settings), tally=Tally(verdicts))


def test_a_rule_that_drops_nearly_everything_is_named_with_examples():
    verdicts = [make_verdict(f"q{number}", reason="imitation") for number in range(10)]
    verdicts += [make_verdict(f"q{number}", 1, reason="length") for number in range(9)]
    verdicts += [make_verdict("q9", 1)]
    found = found_implausible(verdicts, max_dropped_share=0.8)
    # Ten paths reach the length rule, since imitation dropped ten of twenty.
    examples = [PathKey("q0", 1, 0), PathKey("q3", 1, 0), PathKey("q6", 1, 0)]
    assert found == [ImplausibleRule("length", 9, 10, examples)]
    assert found_implausible(verdicts, max_dropped_share=0.9) == []


def test_fewer_than_three_dropped_paths_are_all_shown():
    found = found_implausible([make_verdict(reason="length"), make_verdict(sample=1, reason="length")])
    assert [rule.examples for rule in found] == [[PathKey("q1", 0, 0), PathKey("q1", 0, 1)]]


def test_outrun_paths_reached_no_rule():
    verdicts = [make_verdict(reason="length"), *(make_verdict(sample=number, reason="outrun") for number in (1, 2, 3))]
    assert found_implausible(verdicts) == [ImplausibleRule("length", 1, 1, [PathKey("q1", 0, 0)])]


# ---- the stage

QUESTIONS = [
    Question("q1", "demo", "train", "Can a heron wade?", (), "yes", "Question: Can a heron wade?\nAnswer:"),
    Question("q2", "demo", "train", "Can a mole fly?", (), "no", "Question: Can a mole fly?\nAnswer:"),
]
GOOD = " A heron has long legs and stands in water. So the answer is yes."
WRONG = " A heron is a bird and birds only fly. So the answer is no."


def make_mined(folder, paths, *, stage="mine", prompts=None):
    def fill(draft):
        write_table(draft.folder / "paths.parquet", paths, Path)
        write_table(draft.folder / "questions.parquet", QUESTIONS, Question)
        return {"paths": len(paths)}

    config = {"prompts": (prompts or PromptTemplates()).model_dump(mode="json")}
    return commit(folder, fill, stage=stage, config=config, inputs={}, seed=5)


class Listener:
    def __init__(self):
        self.lines = []

    def say(self, line):
        self.lines.append(line)

    @contextmanager
    def track(self, label, total, unit):
        done = []
        yield lambda units, note="": done.append(units)
        assert sum(done) == total


PATHS = [
    make_path(question_id="q1", text=" yes."),
    make_path(question_id="q1", sample=1, text=WRONG, token_ids=(1, 2, 1, 2, *range(3, 30))),
    make_path(question_id="q1", branch=1, text=GOOD),
    make_path(question_id="q2", text=" no.\n\x1b[31m " + "x" * 200),
]


def test_filter_paths_writes_what_training_needs(tmp_path):
    mined = make_mined(tmp_path / "mined", PATHS)
    result = filter_paths(mined, rules=RulesConfig(), out=tmp_path / "filtered", reporter=Listener())
    assert result.manifest["stage"] == "filter"
    assert result.manifest["inputs"] == {"mine": mined.key}
    assert result.manifest["seed"] == 5
    assert sorted(result.manifest["outputs"]) == [
        "examples.parquet",
        "funnel.json",
        "questions.parquet",
        "verdicts.parquet",
    ]
    assert result.counts == {
        "paths": 4,
        "kept": 2,
        "selected": 1,
        "questions": 2,
        "questions_without_path": 1,
        "dropped": {
            "imitation": 0,
            "option_repetition": 0,
            "direct_response": 2,
            "length": 0,
            "repetition": 0,
            "perplexity": 0,
        },
        "selected_agree": 1,
        "selected_unfinished": 0,
    }
    verdicts = read_table(result.file("verdicts.parquet"), Verdict)
    assert [(each.question_id, each.branch, each.sample) for each in verdicts] == [
        (path.question_id, path.branch, path.sample) for path in PATHS
    ]
    assert [each.selected for each in verdicts] == [False, False, True, False]
    assert [each.agrees for each in verdicts] == [True, False, True, True]
    assert read_table(result.file("questions.parquet"), Question) == QUESTIONS
    rows = json.loads(result.file("funnel.json").read_text())
    assert rows[-1] == {"rule": "selected", "remaining": 1, "share": 0.25, "dropped": 1}


def test_selected_paths_become_examples_with_the_gold_answer(tmp_path):
    prompts = PromptTemplates(path="{path} Therefore: {answer}.")
    mined = make_mined(tmp_path / "mined", [make_path(question_id="q2", text=GOOD)], prompts=prompts)
    result = filter_paths(mined, rules=RulesConfig(), out=tmp_path / "filtered")
    assert read_table(result.file("examples.parquet"), Example) == [
        Example(
            "q2",
            QUESTIONS[1].prompt,
            " A heron has long legs and stands in water. Therefore: no.",
            source="path",
            path_ids=tuple(range(30)),
            conclusion=" Therefore: no.",
        )
    ]
    assert result.counts["selected_agree"] == 0


def test_each_of_several_selected_paths_is_an_example(tmp_path):
    texts = [" Herons eat fish in ponds.", " Herons stand in water all day.", " Herons wade on long legs."]
    paths = [make_path(question_id="q2", sample=number, text=text) for number, text in enumerate(texts)]
    paths.append(make_path(question_id="q1", text=" Ducks swim on the pond and dive."))
    mined, selection = make_mined(tmp_path / "mined", paths), SelectionConfig(max_per_question=2)
    result = filter_paths(mined, rules=RulesConfig(), selection=selection, out=tmp_path / "filtered")
    examples = read_table(result.file("examples.parquet"), Example)
    answers = {question.question_id: question.answer for question in QUESTIONS}
    expected = [("q2", texts[0]), ("q2", texts[1]), ("q1", paths[3].text)]
    assert [(each.question_id, each.completion) for each in examples] == [
        (name, f"{text} So the answer is {answers[name]}.") for name, text in expected
    ]
    assert (result.counts["selected"], result.counts["questions_without_path"]) == (3, 0)

    shuffled = selection.model_copy(update={"shuffled": True})
    result = filter_paths(mined, rules=RulesConfig(), selection=shuffled, out=tmp_path / "shuffled")
    examples = read_table(result.file("examples.parquet"), Example)
    assert [(each.question_id, each.completion) for each in examples] == [
        ("q2", f"{paths[3].text} So the answer is {answers['q2']}."),
        ("q1", f"{texts[0]} So the answer is {answers['q1']}."),
        ("q1", f"{texts[1]} So the answer is {answers['q1']}."),
    ]


def test_choosing_questions_by_their_answers_is_told(tmp_path):
    listener, selection = Listener(), SelectionConfig(only_sometimes_right=True)
    mined = make_mined(tmp_path / "mined", PATHS)
    result = filter_paths(mined, rules=RulesConfig(), selection=selection, out=tmp_path / "out", reporter=listener)
    assert listener.lines[0].startswith("filter: selection.only_sometimes_right looks at the gold answer")
    assert (result.counts["selected"], result.counts["questions_without_path"]) == (1, 1)


def test_an_implausible_rule_is_told_on_one_line_an_example(tmp_path):
    listener = Listener()
    paths = [make_path(question_id="q1", sample=number, text=f" yes\nyes {'x' * 200}") for number in range(4)]
    rules = RulesConfig(min_tokens=99)
    filter_paths(make_mined(tmp_path / "mined", paths), rules=rules, out=tmp_path / "out", reporter=listener)
    assert len(listener.lines) == 5
    assert listener.lines[-1] == (
        "warning: filter: no path is kept, there is nothing to train on; dropped: direct_response 4"
    )
    assert "direct_response (rules.direct_response = true) dropped 4 of the 4 paths" in listener.lines[0]
    assert listener.lines[1].startswith("  q1, branch 0, sample 0: yes yes xxx")
    assert all("\n" not in line and len(line) < 140 for line in listener.lines[1:])


def test_a_limit_of_perplexity_that_drops_nearly_all_is_mended_by_a_percentile(tmp_path):
    listener = Listener()
    paths = [make_path(question_id="q1", sample=number, logprobs=(-0.4,) * 30) for number in range(30)]
    mined = make_mined(tmp_path / "mined", paths)
    filter_paths(mined, rules=RulesConfig(min_tokens=1), out=tmp_path / "out", reporter=listener)
    assert "(rules.min_perplexity = 5.0) dropped 30 of the 30 paths" in listener.lines[0]
    assert 'rules.min_perplexity = "p25" drops the quarter of its own paths' in listener.lines[0]


def test_plausible_rules_say_nothing(tmp_path):
    listener = Listener()
    filter_paths(make_mined(tmp_path / "m", PATHS), rules=RulesConfig(), out=tmp_path / "out", reporter=listener)
    assert listener.lines == []


def test_only_mined_folders_can_be_filtered(tmp_path):
    other = make_mined(tmp_path / "other", PATHS, stage="teach")
    with pytest.raises(DataError, match=r"'teach'.*sert mine"):
        filter_paths(other, rules=RulesConfig(), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_path_of_an_unknown_question_is_refused(tmp_path):
    mined = make_mined(tmp_path / "mined", [make_path(question_id="q9", text=GOOD)])
    with pytest.raises(DataError, match="'q9'"):
        filter_paths(mined, rules=RulesConfig(), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_filtering_again_with_other_rules_needs_another_folder(tmp_path):
    mined = make_mined(tmp_path / "mined", PATHS)
    first = filter_paths(mined, rules=RulesConfig(), out=tmp_path / "out")
    assert filter_paths(mined, rules=RulesConfig(), out=tmp_path / "out").key == first.key
    with pytest.raises(DataError, match="already holds"):
        filter_paths(mined, rules=RulesConfig(min_tokens=3), out=tmp_path / "out")


def test_paths_of_a_question_that_lie_apart_are_refused(tmp_path):
    mined = make_mined(tmp_path / "mined", [PATHS[0], PATHS[3], PATHS[2]])
    with pytest.raises(DataError, match="more than one block of paths of question 'q1'"):
        filter_paths(mined, rules=RulesConfig(), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("read", [1, 2, 3])
def test_questions_are_filtered_alike_however_few_rows_are_read_at_a_time(read, tmp_path, monkeypatch):
    paths = [
        make_path(question_id=each, sample=number, text=text)
        for each in ("q1", "q2")
        for number, text in enumerate([GOOD] * 5)
    ]
    mined = make_mined(tmp_path / "mined", paths)
    whole = filter_paths(mined, rules=RulesConfig(), out=tmp_path / "whole")
    monkeypatch.setattr(tables, "ROWS_A_READ", read)
    few = filter_paths(mined, rules=RulesConfig(), out=tmp_path / "few")
    assert few.manifest["outputs"] == whole.manifest["outputs"]
    assert few.counts == whole.counts
    assert whole.counts["selected"] == 2


def test_only_the_rules_that_are_asked_drop_a_path(tmp_path):
    mined = make_mined(tmp_path / "mined", PATHS)
    nothing = filter_paths(
        mined, rules=RulesConfig(), selection=SelectionConfig(rules=()), out=tmp_path / "nothing", reporter=Listener()
    )
    assert nothing.counts["kept"] == 4
    assert nothing.counts["selected"] == 2
    one = filter_paths(
        mined,
        rules=RulesConfig(min_tokens=31),
        selection=SelectionConfig(rules=("repetition", "length")),
        out=tmp_path / "one",
        reporter=Listener(),
    )
    # Two of the four answer directly, too, and nobody asks for that.
    assert {rule: number for rule, number in one.counts["dropped"].items() if number} == {"length": 3}


def test_shuffled_paths_change_their_questions_and_keep_the_answers(tmp_path):
    paths = [
        make_path(question_id="q1", text=GOOD),
        make_path(question_id="q2", text=WRONG, token_ids=tuple(range(40))),
    ]
    selection = SelectionConfig(rules=(), shuffled=True)
    mined = make_mined(tmp_path / "mined", paths)
    result = filter_paths(mined, rules=RulesConfig(), selection=selection, out=tmp_path / "out")
    assert read_table(result.file("examples.parquet"), Example) == [
        Example(
            "q1",
            QUESTIONS[0].prompt,
            " A heron is a bird and birds only fly. So the answer is yes.",
            source="path",
            path_ids=tuple(range(40)),
            conclusion=" So the answer is yes.",
        ),
        Example(
            "q2",
            QUESTIONS[1].prompt,
            " A heron has long legs and stands in water. So the answer is no.",
            source="path",
            path_ids=tuple(range(30)),
            conclusion=" So the answer is no.",
        ),
    ]


def test_another_selection_of_paths_that_were_cut_short_is_warned_of(tmp_path):
    cut = replace(make_path(question_id="q1", sample=1, text=GOOD), finish="outrun")
    mined = make_mined(tmp_path / "mined", [make_path(question_id="q1", text=GOOD), cut])
    listener = Listener()
    filter_paths(mined, rules=RulesConfig(), out=tmp_path / "usual", reporter=listener)
    assert not any("cut short" in line for line in listener.lines)
    selection = SelectionConfig(order="random")
    filter_paths(mined, rules=RulesConfig(), selection=selection, out=tmp_path / "random", reporter=listener)
    assert any("1 paths were cut short while mining" in line for line in listener.lines)


# ---- limits that are percentiles


def of_perplexities(*values):
    """Paths of q1 with these perplexities, the lower the less repetitive."""
    return [
        make_path(question_id="q1", sample=number, text=GOOD, logprobs=(-math.log(value),) * 30)
        for number, value in enumerate(values)
    ]


def test_a_limit_can_be_a_percentile_of_all_paths(tmp_path):
    # Sorted 2, 4, 6, 8, 20: a quarter of the way is 4, three quarters is 8; the empty path and its rule do not count.
    paths = [*of_perplexities(20, 2, 8, 4, 6), make_path(question_id="q2", text="", token_ids=())]
    rules = RulesConfig(min_perplexity="p25", max_perplexity="p75")
    listener = Listener()
    mined = make_mined(tmp_path / "mined", paths)
    found = filter_paths(mined, rules=rules, out=tmp_path / "out", reporter=listener)
    verdicts = read_table(found.file("verdicts.parquet"), Verdict)
    assert [each.reason for each in verdicts] == [
        "high_perplexity",
        "perplexity",
        None,
        None,
        None,
        "direct_response",
    ]
    assert found.counts["limits"] == {"min_perplexity": pytest.approx(4), "max_perplexity": pytest.approx(8)}
    assert found.counts["dropped"]["high_perplexity"] == 1
    assert "unfinished" not in found.counts["dropped"]
    assert listener.lines[:2] == [
        "filter: rules.min_perplexity = p25 is 4 here",
        "filter: rules.max_perplexity = p75 is 8 here",
    ]
    assert found.manifest["config"]["rules"]["min_perplexity"] == "p25"
    funnel = json.loads(found.file("funnel.json").read_text())
    assert [row["rule"] for row in funnel][-3:] == ["perplexity", "high_perplexity", "selected"]


def test_between_two_paths_a_percentile_is_interpolated():
    paths = of_perplexities(2, 4, 10)
    # 37.5 % of the way from the first to the third path is three quarters of the way from the first to the second.
    assert found_limits(paths, RulesConfig(min_perplexity="p37.5")) == {"min_perplexity": pytest.approx(3.5)}
    assert found_limits(paths, RulesConfig(max_perplexity="p100")) == {"max_perplexity": pytest.approx(10)}
    assert found_limits(iter(()), RulesConfig()) == {}


def test_a_percentile_is_of_what_the_rule_measures():
    paths = [replace(path, logprobs=(-50.0, *path.logprobs[1:])) for path in of_perplexities(3, 3, 3)]
    rules = RulesConfig(min_perplexity="p50", perplexity_over="continuation")
    assert found_limits(paths, rules) == {"min_perplexity": pytest.approx(3)}


def test_a_percentile_of_paths_that_were_cut_short_is_refused(tmp_path):
    cut = replace(make_path(question_id="q1", sample=1, text=GOOD), finish="outrun")
    mined = make_mined(tmp_path / "mined", [make_path(question_id="q1", text=GOOD), cut])
    with pytest.raises(DataError, match=r'rules.max_perplexity = "p75".* 1 were cut short .*--keep-all'):
        filter_paths(mined, rules=RulesConfig(max_perplexity="p75"), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_percentile_of_nothing_is_refused():
    empty = make_path(question_id="q1", text="", token_ids=())
    with pytest.raises(DataError, match="no path has a finite perplexity"):
        found_limits([empty], RulesConfig(min_perplexity="p25"))


def test_limits_that_leave_nothing_between_them_are_warned_of(tmp_path):
    listener = Listener()
    rules = RulesConfig(min_perplexity="p75", max_perplexity=5.5)
    mined = make_mined(tmp_path / "mined", of_perplexities(2, 4, 6, 8))
    found = filter_paths(mined, rules=rules, out=tmp_path / "out", reporter=listener)
    assert found.counts["kept"] == 0
    assert listener.lines[1] == (
        "warning: filter: rules.min_perplexity = p75 is above rules.max_perplexity = 5.5 here, so that every path is "
        "dropped"
    )


# ---- paths that break off

HALF = " A heron has long legs. It stands in wa"


def unfinished(tmp_path, how, texts, **selection):
    listener = Listener()
    paths = [
        make_path(question_id="q1", sample=number, text=text, finish="length", token_ids=(*range(25, 25 + 30),))
        for number, text in enumerate(texts)
    ]
    folder = tmp_path / how
    found = filter_paths(
        make_mined(tmp_path / "mined", paths),
        rules=RulesConfig(unfinished=how),
        selection=SelectionConfig(**selection),
        out=folder,
        reporter=listener,
    )
    return found, read_table(found.file("examples.parquet"), Example), listener.lines


@pytest.mark.parametrize(
    ("how", "completion"),
    [
        ("keep", f"{HALF} So the answer is yes."),
        ("trim", " A heron has long legs. So the answer is yes."),
        ("drop", None),
    ],
)
def test_a_path_that_breaks_off_is_kept_trimmed_or_dropped(how, completion, tmp_path):
    found, examples, lines = unfinished(tmp_path, how, [HALF])
    assert [each.completion for each in examples] == ([] if completion is None else [completion])
    assert {each.path_ids for each in examples} <= {tuple(range(25, 55))}
    assert found.counts["selected_unfinished"] == len(examples)
    assert found.counts["dropped"].get("unfinished") == {"keep": None, "trim": 0, "drop": 1}[how]
    warned = [line for line in lines if "1 of the 1 selected paths break off within a sentence" in line]
    assert len(warned) == (how == "keep")


def test_a_path_without_a_whole_sentence_is_dropped_when_trimmed(tmp_path):
    found, examples, _ = unfinished(tmp_path, "trim", [" A heron that has got long", HALF])
    assert [each.completion for each in examples] == [" A heron has long legs. So the answer is yes."]
    assert found.counts["dropped"]["unfinished"] == 1


def test_nothing_is_trimmed_where_the_rule_is_not_asked(tmp_path):
    _, examples, lines = unfinished(tmp_path, "trim", [HALF], rules=("length",))
    assert [each.completion for each in examples] == [f"{HALF} So the answer is yes."]
    assert any("break off" in line for line in lines)
