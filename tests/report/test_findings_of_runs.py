import pytest
from report_data import make_metrics, summed

from sert.analysis.epochs import SnapshotOutputs
from sert.analysis.grid_numbers import GridNumbers
from sert.analysis.task_results import MethodResults, TaskResults
from sert.config.grid import MAIN, Arm
from sert.config.tree import Config
from sert.records import Prediction, Question
from sert.report.findings import overall_findings, pair_findings
from sert.report.rows import Pair, is_significant
from sert.report.sections.results import comparison_table
from sert.report.texts import terminal_table
from sert.tasks.load import TaskData

FIRST, SECOND = Pair("lab", "lab_yes_no"), Pair("lab", "quiz")


def sentences(metrics, label):
    return [finding.text for finding in pair_findings(metrics, FIRST) if finding.label == label]


def test_significant_differences_come_first_and_name_the_better_method():
    metrics = make_metrics()
    metrics["comparisons"].reverse()
    labels = [finding.label for finding in pair_findings(metrics, FIRST)]
    assert labels == ["Significant", "Significant", "Not significant", "Majority line", "Answered", "Reasoned"]
    assert sentences(metrics, "Significant") == [
        "RD is right more often than Finetune (+10.8 points, 95 % interval +4.4 to +17.0, Holm-corrected p = 0.0011).",
        "SERT is right more often than Zero-shot (+18.2 points, 95 % interval +12.0 to +24.3, "
        "Holm-corrected p < 0.0001).",
    ]
    assert sentences(metrics, "Not significant") == [
        "No difference between SERT+RD and SERT is shown (+1.8 points, "
        "95 % interval −3.0 to +6.5, Holm-corrected p = 0.52). "  # noqa: RUF001
        "With one seed and before correction one of 12.5 points would be found four times of five."
    ]


def test_a_method_that_is_significantly_worse_is_said_to_be():
    metrics = make_metrics()
    metrics["comparisons"][0] |= {"difference": -0.02, "ci95": [-0.03, -0.01]}
    assert sentences(metrics, "Significant")[0] == (
        "SERT is right less often than Zero-shot (−2.0 points, 95 % interval −3.0 to −1.0, Holm-corrected p < 0.0001)."  # noqa: RUF001
    )


def test_nothing_is_said_of_a_method_that_was_not_trained():
    metrics = make_metrics()
    for row in metrics["comparisons"]:
        row["untrained"] = ["sert"] if "sert" in (row["a"], row["b"]) else []
    assert [text.split(" says nothing")[0] for text in sentences(metrics, "Not trained")] == [
        "SERT had no examples to train on, so SERT against Zero-shot",
        "SERT had no examples to train on, so SERT+RD against SERT",
    ]
    assert [text[:2] for text in sentences(metrics, "Significant")] == ["RD"]
    marks = [row for row in comparison_table(metrics, FIRST).rows if "not trained" in row]
    assert len(marks) == 2


def test_a_difference_of_form_is_said_to_be_one():
    metrics = make_metrics()
    metrics["comparisons"][0] |= {"only_form": True}
    metrics["comparisons"][0]["both_answered"] |= {"difference": 0.01, "ci95": [-0.05, 0.07], "p_holm": 0.6, "n": 231}
    assert sentences(metrics, "Only form") == [
        "SERT is right more often than Zero-shot (+18.2 points, 95 % interval +12.0 to +24.3, Holm-corrected p < "
        "0.0001), but that is a difference of form: among the 231 questions that both answered none is shown (+1.0 "
        "points, 95 % interval −5.0 to +7.0, Holm-corrected p = 0.60). "  # noqa: RUF001
        "Right, wrong, unread and cut, in percent: SERT 70.0, 25.0, 3.0, 2.0; Zero-shot 50.7, 29.2, 15.0, 5.0."
    ]
    assert "Only form: SERT is right more often" in terminal_table(metrics)
    metrics["comparisons"][0]["both_answered"] |= {"difference": -0.2, "p_holm": 0.001}
    (text,) = sentences(metrics, "Only form")
    assert "among the 231 questions that both answered it goes the other way (−20.0 points," in text  # noqa: RUF001
    metrics["comparisons"][0]["both_answered"] = None
    (text,) = sentences(metrics, "Only form")
    assert "difference of form: no question was answered by both. Right" in text
    (counted, *_) = overall_findings(metrics)
    assert "2 are significant after Holm's correction. Of these 1 is of form alone." in counted.text


def test_a_significant_difference_between_two_that_are_at_chance_is_said_to_be_one():
    metrics = make_metrics()
    for row in (metrics["comparisons"][0], metrics["comparisons"][2]):
        row["within_chance"] = True
    neither = (
        "Neither is above chance, over all or among its answers, by 95 % intervals: always answering “no” scores "
        "52.8 %, guessing 50.0 %."
    )
    (text,) = sentences(metrics, "At chance")
    assert text.startswith("SERT is right more often than Zero-shot (+18.2 points,") and text.endswith(f"). {neither}")
    assert sentences(metrics, "Not significant")[0].endswith(" Neither is above chance.")
    assert "In 1 of them neither side is above chance." in overall_findings(metrics)[0].text
    assert "At chance: SERT is right" in terminal_table(metrics)


def test_what_both_answered_is_told_where_it_is_not_all():
    metrics = make_metrics()
    for row in metrics["comparisons"]:
        row["both_answered"] |= {"share": 0.9, "n": 360}
    metrics["comparisons"][2]["both_answered"] |= {"difference": 0.1, "ci95": [0.05, 0.15], "p_holm": 0.01}
    assert sentences(metrics, "Significant")[0].endswith(
        "). Among the 360 questions that both answered it is +18.2 points, 95 % interval +12.0 to +24.3, "
        "Holm-corrected p < 0.0001."
    )
    assert sentences(metrics, "Not significant")[0].endswith(
        " Among the 360 questions that both answered it is +10.0 points, 95 % interval +5.0 to +15.0, "
        "Holm-corrected p = 0.0100; what is unread or cut hides it over all."
    )


def test_how_many_outputs_state_an_answer_is_said_with_how_often_they_are_right():
    metrics = make_metrics()
    assert sentences(metrics, "Answered") == [
        "Right where they state an answer: Zero-shot 63.4 % (80.0 % do, 15.0 % are unread and 5.0 % cut), Finetune "
        "54.8 % (all do), SERT 73.7 % (95.0 % do, 3.0 % are unread and 2.0 % cut), RD 65.5 % (all do) and SERT+RD "
        "72.5 % (all do). By the 95 % intervals of these answers, against always answering “no” (52.8 %), "
        "above it: Zero-shot, SERT, RD and SERT+RD; not distinguishable from it: Finetune."
    ]
    metrics["rows"] = [row for row in metrics["rows"] if row["method"] in ("rd", "finetune")]
    assert sentences(summed(metrics), "Answered") == ["Every output states an answer."]
    metrics["rows"][0] |= {"right": 0.0, "wrong": 0.0, "unread": 1.0, "right_of_answered": None}
    metrics["rows"][0]["right_of_answered_ci95"] = None
    (text,) = sentences(summed(metrics), "Answered")
    assert "Finetune – % (0.0 % do, 100.0 % are unread and 0.0 % cut) and RD 65.5 % (all do)." in text  # noqa: RUF001


def test_a_judge_that_does_not_tell_texts_apart_is_a_caution():
    metrics = make_metrics()
    metrics["judged"] = [{"task": "lab_yes_no", "judge": "teacher", "calibration": {"separates": False}}]
    one_seed = "There is one seed: how far another training would move a number is unknown."
    cautions = [finding.text for finding in overall_findings(metrics) if finding.label == "Caution"]
    assert cautions == [
        "The judge teacher does not tell planted good texts from bad ones; what it scores says little.",
        one_seed,
    ]
    metrics["judged"][0]["calibration"] = {"separates": True}
    assert [finding.text for finding in overall_findings(metrics) if finding.label == "Caution"] == [one_seed]


@pytest.mark.parametrize(("p_value", "significant"), [(0.0499, True), (0.05, False)])
def test_the_limit_of_significance(p_value, significant):
    assert is_significant({"p_holm": p_value, "p_value": 0.0}) is significant


def test_each_method_is_placed_against_the_majority_line():
    metrics = make_metrics()
    metrics["rows"][0]["ci95"] = [0.4, 0.5]
    assert sentences(metrics, "Majority line") == [
        "Always answering “no” scores 52.8 %. By their 95 % intervals, above it: SERT, RD and SERT+RD; "
        "not distinguishable from it: Finetune; below it: Zero-shot."
    ]


def test_reasoning_is_not_called_right_where_nothing_verifies_it():
    metrics = make_metrics()
    (text,) = sentences(metrics, "Reasoned")
    assert text.endswith(
        "every step is true: Zero-shot 0.5 %, Finetune 0.0 %, SERT 42.0 %, RD 33.0 % and SERT+RD 47.0 %."
    )
    quiz = pair_findings(metrics, SECOND)[-1].text
    assert quiz == (
        "Outputs that reason before they answer: Zero-shot 1.5 % and RD 100.0 %. "
        "That says that they have the form of reasoning, not that it is right."
    )


def test_an_epoch_that_was_chosen_on_the_test_set_is_flagged():
    metrics = make_metrics()
    assert sentences(metrics, "Caution") == []
    metrics["rows"][2]["epoch_choice"] = "test-best"
    assert sentences(summed(metrics), "Caution") == ["Epoch chosen on the test set: SERT. Read it as too good."]


def test_the_compat_harness_is_flagged():
    metrics = make_metrics()
    for row in metrics["rows"][:2]:
        row["harness"] = "compat"
    metrics["rows"][2]["harness"] = "clean"
    assert sentences(summed(metrics), "Caution") == [
        "Tested as the earlier harness does, faults included: Zero-shot and Finetune. "
        "The numbers show what these faults do, not how good the students are."
    ]


def test_a_task_without_results_has_no_findings():
    metrics = make_metrics() | {"rows": [], "summary": [], "comparisons": []}
    assert pair_findings(metrics, FIRST) == []


def test_the_direction_agrees_with_how_comparisons_are_measured():
    """SERT is right on all eight questions, zero-shot on none: the report must not say the opposite."""
    questions = [Question(f"q{i}", "demo", "test", "?", (), ("yes", "no")[i % 2], "?") for i in range(8)]

    def predict(correct):
        return [
            Prediction(each.question_id, "?", answer, "eos", 1, answer, answer, correct, correct, True, 0.0, 0, False)
            for each in questions
            for answer in [each.answer if correct else {"yes": "no", "no": "yes"}[each.answer]]
        ]

    config = Config.model_validate({"name": "x", "student": {"path": "lab"}, "tasks": {"demo": {"kind": "lab_yes_no"}}})
    outputs = {"zero_shot": predict(False), "sert": predict(True)}
    methods = {name: MethodResults([SnapshotOutputs(0, None, each)]) for name, each in outputs.items()}
    numbers = GridNumbers()
    numbers.add(Arm("lab", 0, MAIN, None, config), TaskResults("demo", config, TaskData(tuple(questions), {}), methods))
    metrics = {"seeds": [0], **numbers.tables()}
    assert [row["difference"] for row in metrics["comparisons"]] == [1.0]
    (text, *_) = [each.text for each in pair_findings(metrics, Pair("lab", "demo")) if each.label == "Significant"]
    assert text.startswith("SERT is right more often than Zero-shot (+100.0 points")
