import pytest
from grid_data import EXHIBITS, make_grid

from sert.report.parts import joined
from sert.report.rows import Pair, pairs_of
from sert.report.sections.ablations import ablated_standings, ablation_groups, ablation_table
from sert.report.sections.numbers import near_duplicate_table, number_table
from sert.report.sections.paths import path_sections
from sert.report.sections.results import choice_table, comparison_table, overview_table, result_table
from sert.report.sections.standings import standing_table
from sert.report.table import Table

PAIR = Pair("gpt2", "strategyqa")


def rows_of(table):
    return {row[0]: row[1:] for row in table.rows}


def test_methods_stand_with_their_spread_the_count_of_each_seed_and_the_lines_without_a_student():
    table = result_table(make_grid(), PAIR)
    assert table.header == (
        *("Method", "Acc %", "k by seed / n", "95 %, questions", "95 %, seeds", "Strict %", "Fmt", "Len", "Rep"),
        *("Reasoned %", "True paths %"),
    )
    rows = rows_of(table)
    assert rows["SERT"] == (
        # 371 of 687 less 3.7 points, and 380 more 3.7.
        *("54.7 ± 0.7", "371, 380, 377 / 687", "50.3 to 59.0", "53.4 to 56.1", "53.7 ± 0.7", "0.91", "145.3", "0.53"),
        *("97.0", "31.0"),
    )
    # One seed has no spread.
    assert rows["Zero-shot"][:5] == ("50.8", "349 / 687", "47.1 to 54.5", "–", "49.8")  # noqa: RUF001
    assert rows["Majority class: no"][0] == "52.5"
    assert rows["Chance"][0] == "50.0"
    assert rows["Smallest detectable difference (one seed, uncorrected), points"] == ("4.2", *[""] * 9)


def test_how_outputs_stand_is_told_of_each_seed():
    table = standing_table(make_grid(), PAIR)
    assert table.header == (
        *("Method", "Right %", "Wrong %", "Unread %", "Cut %", "Right of answered %", "k/n of answered, by seed"),
        "95 %, questions",
    )
    # 364, 373 and 370 of 687 are right, of 670 that state an answer.
    assert rows_of(table)["SERT"] == (
        *("53.7 ± 0.7", "43.8", "1.7", "0.7", "55.1 ± 0.7", "364/670, 373/670, 370/670", "50.6 to 59.4"),
    )
    assert rows_of(table)["Chance"] == ("50.0", "", "", "", "50.0", "", "")
    metrics = make_grid()
    metrics["summary"][2] |= {"correct_strict": [1, 2, 3, 4, 5], "answered": [9, 8, 7, 6, 5]}
    assert rows_of(standing_table(metrics, PAIR))["Finetune"][5] == "1 to 5 / 5 to 9"


def test_on_a_terminal_ablations_have_such_a_table_only_where_outputs_lack_answers():
    metrics = make_grid()
    assert ablated_standings(metrics, PAIR, group="filter").is_empty  # 2.5 % are unread or cut
    row = next(row for row in metrics["summary"] if row["variant"] == "no filter")
    row["cut"]["mean"] = 0.2
    table = ablated_standings(metrics, PAIR, group="filter")
    assert table.header[0] == "Variant" and table.header[4] == "Cut %"
    assert [(row[0], row[4]) for row in table.rows] == [
        ("main", "0.7"),
        ("no filter", "20.0"),
        ("only agreeing", "0.7"),
    ]


def test_students_stand_side_by_side_by_what_they_answered():
    table = overview_table(make_grid(("gpt2", "gpt2-medium")), "strategyqa", "right_of_answered")
    assert table.header == ("Right of answered %", "gpt2", "gpt2-medium")
    # 361, 355 and 367 of 670, and 11 more each.
    assert rows_of(table)["Finetune"] == ("53.9 ± 0.9", "55.5 ± 0.9")


def test_only_the_reported_epoch_is_in_the_results_and_one_that_is_too_good_is_flagged():
    metrics = make_grid()
    assert [row[0] for row in result_table(metrics, PAIR).rows[:5]] == [
        *("Zero-shot", "Finetune", "SERT", "RD", "SERT+RD"),
    ]
    for row in metrics["summary"]:
        row["primary"] = row["epoch_choice"] == "test-best"
    metrics["summary"][2]["harness"] = "compat"  # of no reported row
    names = [row[0] for row in result_table(metrics, PAIR).rows[:3]]
    assert names == ["Zero-shot", "Finetune (test-best: too good)", "SERT (test-best: too good)"]
    for row in metrics["summary"]:
        row["harness"] = "compat"
    assert result_table(metrics, PAIR).rows[1][0] == "Finetune (test-best, compat: too good)"


def test_many_seeds_are_written_as_their_range():
    metrics = make_grid()
    metrics["summary"][2]["correct"] = [360, 371, 349, 380, 366]
    metrics["comparisons"][0]["by_seed"] = [0.01, -0.02, 0.03, 0.0, 0.02]
    assert rows_of(result_table(metrics, PAIR))["Finetune"][1] == "349 to 380 / 687"
    assert comparison_table(metrics, PAIR).rows[0][2] == "−2.0 to +3.0"  # noqa: RUF001


def test_students_stand_side_by_side_where_there_are_several():
    assert overview_table(make_grid(), "strategyqa").is_empty
    table = overview_table(make_grid(("gpt2", "gpt2-medium")), "strategyqa")
    assert table.header == ("Acc %", "gpt2", "gpt2-medium")
    # 368, 362, 374 right, and 11 more each: 53.6 and 55.2 %.
    assert rows_of(table)["Finetune"] == ("53.6 ± 0.9", "55.2 ± 0.9")
    assert rows_of(table)["Majority class: no"] == ("52.5", "52.5")


def test_epochs_stand_side_by_side_with_what_choosing_on_the_test_set_would_add():
    table = choice_table(make_grid(), PAIR)
    assert table.header == (
        *("Method", "last epoch %", "chosen on dev %", "best on test % (too good)", "Test-best above reported, points"),
    )
    # 9 of 687 questions more are 1.3 points.
    assert rows_of(table)["SERT+RD"] == ("57.0 ± 0.9", "57.4 ± 0.9, reported", "58.8 ± 0.9", "+1.3")
    assert "Zero-shot" not in rows_of(table)
    metrics = make_grid()
    metrics["summary"] = [row for row in metrics["summary"] if row["epoch_choice"] in (None, "dev")]
    assert choice_table(metrics, PAIR).is_empty


def test_comparisons_between_methods_stand_with_their_seeds_and_what_could_be_found():
    table = comparison_table(make_grid(), PAIR)
    assert len(table.rows) == 5  # none of an ablation
    # SERT is right on 371, 380, 377 and zero-shot on 349 of 687: 22, 31 and 28 more, 27 on average.
    assert table.rows[0] == (
        *("SERT against Zero-shot", "+3.9", "+3.2, +4.5, +4.1", "+2.9 to +4.9", "+1.3 to +6.5"),
        *("0.0050", "0.0200", "significant", "4.2"),
    )
    assert table.rows[1][6:8] == ("0.61", "not significant")


def test_means_are_written_in_their_own_units():
    table = number_table(make_grid(), PAIR, "means")
    assert [row[1:4] for row in table.rows] == [
        ("Len, tokens", "−64.4", "−80.5 to −48.3"),  # noqa: RUF001
        ("Rep", "−0.035", "−0.044 to −0.026"),  # noqa: RUF001
        ("Coherence", "+0.52", "+0.39 to +0.65"),
    ]
    metrics = make_grid()
    metrics["means"][0] |= dict.fromkeys(("difference", "ci95", "p_value", "p_holm"))
    assert number_table(metrics, PAIR, "means").rows[0][2:7] == ("–",) * 5  # noqa: RUF001


def test_an_ablation_stands_under_the_main_student_of_its_method():
    metrics = make_grid()
    assert ablation_groups(metrics, PAIR) == ["filter", "paths", "harness"]
    table = ablation_table(metrics, PAIR, group="filter")
    columns = ("Variant", "Epoch", "Acc %", "k by seed / n", "To main, points", "95 % interval", "p, Holm", "At 0.05")
    assert table.header[:8] == columns
    # Variants are compared after the last epoch, where main is right on 3 questions less than at the reported one.
    assert [(row[0], *row[2:8]) for row in table.rows] == [
        ("main", "54.3 ± 0.7", "368, 377, 374 / 687", *["–"] * 4),  # noqa: RUF001
        # 352, 360, 349: 16, 17 and 25 fewer, 19.33 of 687 on average.
        ("no filter", "51.5 ± 0.8", "352, 360, 349 / 687", "−2.8", "−5.4 to −0.2", "0.0120", "significant"),  # noqa: RUF001
        ("only agreeing", "55.9 ± 0.8", "383, 379, 390 / 687", "+1.6", "−1.0 to +4.2", "0.61", "not significant"),  # noqa: RUF001
    ]
    assert {row[1] for row in table.rows} == {"last epoch"}
    assert table.header[9] == "True among selected %"
    assert [row[9] for row in table.rows] == ["31.0", "11.0", "58.0"]


def test_a_variant_without_a_last_epoch_stands_beside_the_main_student_at_its_own():
    metrics = make_grid()
    for row in metrics["summary"]:
        if row["group"] == "filter" and row["epoch_choice"] == "last":
            row |= {"epoch_choice": "dev"}
    names = [row[:3] for row in ablation_table(metrics, PAIR, group="filter").rows]
    assert names[0] == ("main", "chosen on dev", "54.7 ± 0.7")
    assert [name for name, *_ in names] == ["main", "no filter", "only agreeing"]


def test_outputs_that_voted_are_told():
    metrics = make_grid()
    for row in metrics["summary"]:
        row["votes"] = 5 if row["variant"] == "no filter" else 1
    names = [row[0] for row in ablation_table(metrics, PAIR, group="filter").rows]
    assert names == ["main", "no filter [5 votes]", "only agreeing"]


def test_a_variant_in_the_compat_harness_is_flagged():
    table = ablation_table(make_grid(), PAIR, group="harness")
    assert [row[:3] for row in table.rows] == [
        ("main", "last epoch", "54.3 ± 0.7"),
        ("as compat (compat)", "last epoch", "55.5 ± 0.7"),
        ("as compat (test-best, compat: too good)", "best on test", "57.6 ± 0.7"),
    ]


def test_variants_of_several_methods_are_told_apart():
    metrics = make_grid()
    like = next(row for row in metrics["summary"] if row["variant"] == "no filter")
    metrics["summary"].append(like | {"method": "sert+rd"})
    names = [row[0] for row in ablation_table(metrics, PAIR, group="filter").rows]
    assert names == ["main, SERT", "no filter, SERT", "only agreeing, SERT", "main, SERT+RD", "no filter, SERT+RD"]


def test_every_student_that_was_tested_is_listed():
    metrics = make_grid()
    table = number_table(metrics, PAIR, "rows")
    assert len(table.rows) == len(metrics["rows"]) == 1 + 4 * 3 * 3 + 3 * 2 * 3 + 2 * 3
    assert table.rows[4] == (
        *("Finetune", "0", "chosen on dev", "53.6", "368/687", "49.9 to 57.3", "52.5", "1.00", "0.0", "–"),  # noqa: RUF001
        # 361 of 670 answers are right, 12 of 687 outputs unread and 5 cut.
        *("0.0", "0.0", "52.5", "45.0", "1.7", "0.7", "53.9", "50.2 to 57.6"),
        *("1,443", "3,600", "1,800", "1"),
    )
    assert table.rows[-1][0] == "as compat: SERT (test-best, compat: too good)"


@pytest.mark.parametrize(
    ("section", "row"),
    [
        ("bands", ("branch 0", "0–2", "52.0", "100", "5", "the judge")),  # noqa: RUF001
        ("filtering", ("mined", "0–2", "62.0", "36,075", "2.50", "the verifier")),  # noqa: RUF001
        ("first_tokens", ("branch 0", "31.0", "7,215", "9.0", "4.0")),
        ("first_token_bins", ("0 to 0.01", "9,000", "36.0")),
        ("by_length", ("SERT", "0 to 20", "450", "60.0", "57.0 to 63.0", "51.0", "40.0", "6.0", "3.0")),
        ("by_repetition", ("SERT", "0 to 0.2", "450", "60.0", "57.0 to 63.0", "51.0", "40.0", "6.0", "3.0")),
        ("steps", ("Finetune", "180", "dev", "51.2 ± 1.2", "51.0", "40.0", "6.0", "3.0", "3")),
        ("amounts", ("RD", "100", "50.0 ± 1.2", "47.6 to 52.4", "51.0", "40.0", "6.0", "3.0")),
        ("budget", ("5x5", "5", "5", "36,075", "34.0", "22.0", "93.0", "8.3", "52.0")),
    ],
)
def test_numbers_behind_a_figure(section, row):
    metrics = make_grid()
    assert number_table(metrics, PAIR, section).rows[0] == row
    assert number_table(metrics | {section: []}, PAIR, section).is_empty


def test_what_the_rules_left_and_what_was_selected():
    metrics = make_grid()
    assert number_table(metrics, PAIR, "funnel").rows[3] == (
        "answers without reasoning",
        "20,777",
        "12,403",
        "34.4",
        "25.1",
    )
    assert number_table(metrics, PAIR, "selection").rows[0] == (
        *("main", "1,443", "1,380", "733", "587", "50", "10", "31.0", "8.3"),
    )


def test_limits_that_are_percentiles_stand_with_the_filter():
    metrics = make_grid()
    assert number_table(metrics, PAIR, "limits").is_empty
    about = {"student": "gpt2", "task": "strategyqa", "variant": "main", "group": None, "seed": 2}
    metrics["limits"] = [{**about, "setting": "min_perplexity", "percentage": 2.5, "value": 3.456}]
    assert number_table(metrics, PAIR, "limits").rows == [("main", "2", "rules.min_perplexity", "p2.5", "3.46")]
    (section,) = (section for section in path_sections(metrics, [PAIR]) if section.anchor == "funnel")
    assert [table.title for table in section.tables] == [PAIR.title]


def test_tables_of_students_are_joined_where_their_columns_are_the_same():
    first, second = Pair("a", "quiz"), Pair("b", "quiz")
    table, other = Table(("x", "y"), [("r", "1")]), Table(("x", "z"), [("r", "2")])
    (same,) = joined([first, second], {first: table, second: table}.get)
    assert same == ("quiz", Table(("x", "y"), [("a, r", "1"), ("b, r", "1")]), ())
    assert [each.title for each in joined([first, second], {first: table, second: other}.get)] == [
        "a on quiz",
        "b on quiz",
    ]
    assert [each.title for each in joined([first, second], {first: table, second: Table(("x", "y"), [])}.get)] == [
        "a on quiz"
    ]


def test_near_duplicates_are_shown():
    assert near_duplicate_table(make_grid()).is_empty
    row = {"task": "quiz", "question_id": "q7", "other_id": "t3", "split": "test", "similarity": 0.9166}
    assert near_duplicate_table(make_grid() | {"near_duplicates": [row]}) == Table(
        ("Task", "Question", "Nearly the same as", "Of split", "Similarity"),
        [("quiz", "q7", "t3", "test", "0.92")],
    )


def test_pairs_come_by_task_and_only_where_something_was_tested():
    metrics = make_grid(("gpt2", "other"), ("strategyqa", "quiz"))
    metrics["summary"] = [row for row in metrics["summary"] if (row["student"], row["task"]) != ("gpt2", "quiz")]
    assert pairs_of(metrics) == [("gpt2", "strategyqa"), ("other", "strategyqa"), ("other", "quiz")]


def test_sections_that_are_empty_or_absent_give_empty_tables():
    metrics = make_grid()
    for lacking in (metrics | {name: [] for name in EXHIBITS}, {k: v for k, v in metrics.items() if k not in EXHIBITS}):
        assert comparison_table(lacking, PAIR).is_empty
        assert number_table(lacking, PAIR, "funnel").is_empty
        assert "Smallest detectable difference (one seed, uncorrected), points" not in rows_of(
            result_table(lacking, PAIR)
        )
        assert ablation_table(lacking, PAIR, group="filter").rows[1][4] == "–"  # noqa: RUF001
