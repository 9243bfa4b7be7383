from grid_data import make_grid

from sert.report.sections.paper import NUM_TEST, STUDENTS, paper_counts, paper_table

BOTH = ("strategyqa", "commonsenseqa")


def test_our_number_stands_beside_the_papers_and_the_difference():
    table = paper_table(make_grid(), "strategyqa")
    assert table.header == (
        *("Student, method", "Acc %", "paper", "k/n of the paper", "diff., points"),
        *("Fmt", "paper", "diff.", "Len", "paper", "diff.", "Rep", "paper", "diff."),
    )
    assert table.rows[:4] == [
        # 368, 362 and 374 of 687 are 53.57, 52.69 and 54.44 %.
        ("gpt2, Finetune", "53.6 ± 0.9", "54.00", "371/687", "−0.4", "1.00", "–", "–", "0.00", "–", "–", "–", "–", "–"),  # noqa: RUF001
        (
            *("gpt2, SERT", "54.7 ± 0.7", "54.00", "371/687", "+0.7"),
            *("0.91", "0.91", "+0.00", "145.30", "145.33", "−0.03", "0.53", "0.53", "+0.00"),  # noqa: RUF001
        ),
        (
            *("gpt2, SERT+RD", "57.4 ± 0.9", "54.65", "none of 687", "+2.8"),
            *("0.99", "0.99", "+0.00", "116.60", "116.62", "−0.02", "0.50", "0.50", "+0.00"),  # noqa: RUF001
        ),
        (
            *("gpt2, RD", "52.6 ± 1.5", "52.69", "362/687", "−0.0"),  # noqa: RUF001
            *("0.92", "0.92", "+0.00", "116.20", "116.23", "−0.03", "0.52", "0.52", "+0.00"),  # noqa: RUF001
        ),
    ]
    assert [row[:4] for row in table.rows[4:]] == [
        ("GPT-3.5, zero-shot-CoT", "–", "53.45", "1224/2290"),  # noqa: RUF001
        ("Majority class: no", "", "52.55", "361/687"),
    ]


def test_only_the_papers_students_and_tasks_are_shown():
    assert paper_table(make_grid(("lab",)), "strategyqa").is_empty
    assert paper_table(make_grid(("gpt2",), ("quiz",)), "quiz").is_empty
    students = ("gpt2", "other", "gpt2-large")
    names = [row[0] for row in paper_table(make_grid(students, BOTH), "commonsenseqa").rows]
    assert names == [
        *("gpt2, Finetune", "gpt2, SERT", "gpt2, SERT+RD", "gpt2, RD"),
        *("gpt2-large, Finetune", "gpt2-large, SERT", "gpt2-large, SERT+RD", "gpt2-large, RD"),
        *("GPT-3.5, zero-shot-CoT", "Majority class: B"),
    ]


def test_a_method_that_the_grid_did_not_try_and_numbers_that_are_too_good_are_told():
    metrics = make_grid()
    metrics["summary"] = [row for row in metrics["summary"] if row["method"] != "rd"]
    for row in metrics["summary"]:
        row["primary"] = row["epoch_choice"] == "test-best"
    rows = paper_table(metrics, "strategyqa").rows
    assert rows[0][0] == "gpt2, Finetune (test-best: too good)"
    assert rows[3][:5] == ("gpt2, RD", "–", "52.69", "362/687", "–")  # noqa: RUF001


def test_the_papers_table_is_as_printed():
    assert NUM_TEST == {"strategyqa": 687, "commonsenseqa": 1221}
    accuracies = {pair: [row.accuracy for row in rows.values()] for pair, rows in STUDENTS.items()}
    assert accuracies == {
        ("gpt2", "strategyqa"): [54.00, 54.00, 54.65, 52.69],
        ("gpt2-medium", "strategyqa"): [50.22, 55.17, 56.34, 52.69],
        ("gpt2-large", "strategyqa"): [53.57, 55.75, 57.21, 50.22],
        ("gpt2", "commonsenseqa"): [20.80, 20.72, 21.95, 21.87],
        ("gpt2-medium", "commonsenseqa"): [19.82, 23.10, 25.72, 21.54],
        ("gpt2-large", "commonsenseqa"): [20.88, 22.63, 26.03, 22.93],
    }
    assert {tuple(rows) for rows in STUDENTS.values()} == {("finetune", "sert", "sert+rd", "rd")}
    assert STUDENTS["gpt2-medium", "commonsenseqa"]["rd"] == (21.54, 0.66, 257.40, 0.67)
    assert STUDENTS["gpt2-large", "strategyqa"]["sert"] == (55.75, 0.94, 63.06, 0.33)


def test_four_printed_accuracies_are_no_share_of_the_test_questions():
    impossible = {
        row.accuracy
        for (_, task), rows in STUDENTS.items()
        for row in rows.values()
        if paper_counts(task, row.accuracy).startswith("none")
    }
    assert impossible == {54.65, 56.34, 22.63, 26.03}
    assert paper_counts("commonsenseqa", 20.88) == "255/1221"
