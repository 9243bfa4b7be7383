from grid_data import EXHIBITS, make_grid

from sert.report.findings import overall_findings, pair_findings
from sert.report.rows import Pair
from sert.report.sections.results import result_table

PAIR = Pair("gpt2", "strategyqa")
OTHER = "gpt2-medium"


def sentences(findings, label):
    return [finding.text for finding in findings if finding.label == label]


def test_one_pair_is_told_comparison_by_comparison():
    findings = pair_findings(make_grid(), PAIR)
    assert [finding.label for finding in findings] == [
        *["Significant"] * 3,
        *["Not significant"] * 2,
        "Majority line",
        "Answered",
        "Reasoned",
        "By likelihood",
        *["Forgetting"] * 3,
        *["Significant"] * 2,
        "Not significant",
        *["Caution"] * 3,
    ]
    assert sentences(findings, "Forgetting") == [
        "Finetune lost beyond chance on held-out texts: the right one of several endings was the most probable in "
        "56.0 % of 200, and is in 45.3 % (−10.5 points, 95 % interval −14.5 to −6.5); the perplexity of 150 "  # noqa: RUF001
        "plain texts was 14.25, and is 35.25.",
        "SERT+RD lost beyond chance on held-out texts: the right one of several endings was the most probable in "
        "56.0 % of 200, and is in 51.3 % (−4.5 points, 95 % interval −8.5 to −0.5); the perplexity of 150 "  # noqa: RUF001
        "plain texts was 14.25, and is 23.25.",
        "No loss on held-out texts is shown for SERT.",
    ]
    assert sentences(findings, "Significant")[1:4] == [
        # 395, 401, 388 against 362, 351, 372 of 687: 33, 50 and 16 more, 33 on average.
        "SERT+RD is right more often than RD (+4.8 points, 95 % interval +2.2 to +7.4, Holm-corrected p = 0.0003, "
        "by seed +4.8, +7.3, +2.3, with other seeds +3.8 to +5.8).",
        "SERT+RD is right more often than SERT (+2.7 points, 95 % interval +0.1 to +5.3, Holm-corrected p = 0.0430, "
        "by seed +3.5, +3.1, +1.6, with other seeds +1.7 to +3.7).",
        "“no filter, SERT” (filter) is right less often than the main student (−2.8 points, 95 % interval "  # noqa: RUF001
        "−5.4 to −0.2, Holm-corrected p = 0.0120, by seed −2.3, −2.5, −3.6, "  # noqa: RUF001
        "with other seeds −3.8 to −1.8).",  # noqa: RUF001
    ]
    assert sentences(findings, "Not significant") == [
        "No difference between SERT and Finetune is shown (+1.2 points, 95 % interval −1.4 to +3.8, "  # noqa: RUF001
        "Holm-corrected p = 0.61, by seed +0.4, +2.6, +0.4, with other seeds +0.2 to +2.2). "
        "With one seed and before correction one of 4.2 points would be found four times of five.",
        "No difference between RD and Finetune is shown (−0.9 points, 95 % interval −3.5 to +1.7, "  # noqa: RUF001
        "Holm-corrected p = 0.88, by seed −0.9, −1.6, −0.3, with other seeds −1.9 to +0.1). "  # noqa: RUF001
        "With one seed and before correction one of 4.2 points would be found four times of five.",
        "No difference to the main student is shown for “only agreeing, SERT” (filter). The smallest difference that "
        "would be found four times of five, with one seed and before correction: 4.2 points.",
    ]


def test_a_method_is_above_the_majority_line_only_if_every_seed_is():
    metrics = make_grid()
    (text,) = sentences(pair_findings(metrics, PAIR), "Majority line")
    assert text == (
        "Always answering “no” scores 52.5 %. By the 95 % intervals of every seed, above it: SERT+RD; "
        "not distinguishable from it: Zero-shot, Finetune, SERT and RD."
    )
    for row in metrics["rows"]:
        if row["method"] == "sert+rd" and row["seed"] == 2:
            row["ci95"] = [0.52, 0.6]
        if row["method"] == "zero_shot":
            row["ci95"] = [0.4, 0.5]
    (text,) = sentences(pair_findings(metrics, PAIR), "Majority line")
    assert text.endswith("not distinguishable from it: Finetune, SERT, RD and SERT+RD; below it: Zero-shot.")


def test_numbers_that_are_too_good_are_said_to_be():
    assert sentences(pair_findings(make_grid(), PAIR), "Caution") == [
        "Epoch chosen on the test set: “as compat”. Read it as too good.",
        "Tested as the earlier harness does, faults included: “as compat”. The numbers show what these faults "
        "do, not how good the students are.",
        "Choosing the epoch on the test set would report, in points: Finetune +1.3, SERT +1.3, RD +1.3 and "
        "SERT+RD +1.3. Such numbers are too good.",
    ]
    honest = make_grid()
    honest["summary"] = [row for row in honest["summary"] if row["epoch_choice"] != "test-best"]
    honest["summary"] = [row for row in honest["summary"] if row["harness"] == "clean"]
    assert sentences(pair_findings(honest, PAIR), "Caution") == []


def test_the_whole_grid_is_told_by_comparison_where_there_are_several_pairs():
    metrics = make_grid(("gpt2", OTHER))
    for row in metrics["comparisons"]:
        if row["student"] == OTHER and (row["a"], row["b"]) == ("sert+rd", "rd"):
            row |= {"p_holm": 0.3, "detectable": 0.051}
        if row["student"] == OTHER and (row["a"], row["b"]) == ("sert", "zero_shot"):
            row["difference"] = -0.031
    findings = overall_findings(metrics)
    assert [finding.label for finding in findings] == [
        "Methods",
        *("SERT against Zero-shot", "SERT against Finetune", "RD against Finetune"),
        *("SERT+RD against RD", "SERT+RD against SERT"),
        "Ablations",
        *("no filter against main, SERT", "shuffled paths against main, SERT"),
        *("Caution", "Caution"),
    ]
    assert sentences(findings, "Methods") == [
        "Of 10 comparisons between methods, 5 are significant after Holm's correction. "
        "The smallest difference that would be found four times of five, with one seed and before correction: "
        "4.2 to 5.1 points."
    ]
    assert sentences(findings, "SERT+RD against RD") == [
        "Better: gpt2 on strategyqa (+4.8). No difference shown: gpt2-medium on strategyqa (+4.8)."
    ]
    assert sentences(findings, "SERT against Zero-shot") == [
        "Better: gpt2 on strategyqa (+3.9). Worse: gpt2-medium on strategyqa (−3.1)."  # noqa: RUF001
    ]
    assert sentences(findings, "no filter against main, SERT") == [
        "Worse: gpt2 on strategyqa (−2.8) and gpt2-medium on strategyqa (−2.8)."  # noqa: RUF001
    ]
    assert sentences(findings, "Caution") == [
        "Read as too good: “as compat” (test-best, compat).",
        "Choosing epochs on the test set would report +1.3 points on average (+1.3 to +1.3); these are too good.",
    ]


def test_one_pair_is_counted_and_not_told_twice():
    findings = overall_findings(make_grid())
    assert [finding.label for finding in findings] == ["Methods", "Ablations"]
    assert findings[1].text == (
        "Of 3 comparisons of ablations, 2 are significant after Holm's correction. "
        "The smallest difference that would be found four times of five, with one seed and before correction: "
        "4.2 points."
    )
    metrics = make_grid()
    metrics["comparisons"] = metrics["comparisons"][:1]
    assert overall_findings(metrics)[0].text.startswith("Of 1 comparison between methods, 1 is significant")


def test_a_difference_that_other_seeds_might_undo_is_told_with_their_interval():
    metrics = make_grid(("gpt2", "gpt2-medium"))
    first = next(row for row in metrics["comparisons"] if (row["a"], row["b"]) == ("sert+rd", "rd"))
    first["ci95_seeds"] = [-0.011, 0.12]
    (said,) = sentences(overall_findings(metrics), "SERT+RD against RD")
    assert said.startswith("Better: gpt2 on strategyqa (+4.8; with other seeds −1.1 to +12.0)")  # noqa: RUF001


def test_nothing_is_said_of_students_that_had_no_examples():
    metrics = make_grid()
    for row in metrics["comparisons"]:
        row["untrained"] = ["sert"] if "sert" in (row["a"], row["b"]) and row["group"] is None else []
        if row["a"] == "no filter":
            row["untrained"] = ["no filter"]
    for row in metrics["summary"]:
        row["untrained"] = 2 if row["method"] == "sert" and row["variant"] == "main" else 0
    told = sentences(pair_findings(metrics, PAIR), "Not trained")
    assert len(told) == 4 and told[0].startswith("SERT had no examples to train on, so SERT against Zero-shot says")
    assert told[-1].startswith("“no filter, SERT” (filter) had no examples to train on")
    assert not any("SERT against" in text for text in sentences(pair_findings(metrics, PAIR), "Significant"))
    assert "3 say nothing, of students that had no examples to train on." in overall_findings(metrics)[0].text
    assert "SERT (not trained with 2 of 3 seeds)" in {row[0] for row in result_table(metrics, PAIR).rows}


def test_one_seed_is_told():
    metrics = make_grid() | {"seeds": [3]}
    assert sentences(overall_findings(metrics), "Caution") == [
        "There is one seed: how far another training would move a number is unknown."
    ]
    for row in metrics["comparisons"]:
        row["by_seed"] = row["by_seed"][:1]
    assert "by seed" not in sentences(pair_findings(metrics, PAIR), "Significant")[0]


def test_what_was_not_compared_is_not_told():
    metrics = make_grid() | {name: [] for name in EXHIBITS}
    assert overall_findings(metrics) == []
    labels = {finding.label for finding in pair_findings(metrics, PAIR)}
    assert labels == {"Majority line", "Answered", "Reasoned", "Caution"}
    assert pair_findings(metrics | {"summary": []}, PAIR) == []


def test_answers_by_likelihood_stand_beside_the_written_ones():
    assert sentences(pair_findings(make_grid(), PAIR), "By likelihood") == [
        "Zero-shot writes 50.8 % right answers; its most probable words are right in 58.5 % (+7.7 points, 95 % "
        "interval +3.7 to +11.7), its most probable letters 51.1 %. It does better where it has to choose than where "
        "it has to write."
    ]


def test_nothing_is_said_of_a_difference_within_chance_and_nothing_of_what_was_not_scored():
    metrics = make_grid()
    for row in metrics["likelihood"]:
        row["p_holm"] = None if row["p_holm"] is None else 0.2
    (found,) = sentences(pair_findings(metrics, PAIR), "By likelihood")
    assert found.endswith("51.1 %.")
    assert sentences(pair_findings(metrics | {"likelihood": []}, PAIR), "By likelihood") == []
