import pytest
from page_elements import report_sections
from report_data import HOSTILE, UNBROKEN, make_hostile, make_metrics, summed

from sert.report.rows import Pair
from sert.report.sections.numbers import number_table
from sert.report.sections.results import answered_table, choice_table, comparison_table, result_table
from sert.report.sections.standings import sampled_table, standing_table
from sert.report.texts import markdown_text, terminal_table

FIRST, SECOND = Pair("lab", "lab_yes_no"), Pair("lab", "quiz")


def markdown(metrics):
    return markdown_text(metrics, report_sections(metrics))


def test_result_table_rows():
    metrics = make_metrics()
    table = result_table(metrics, FIRST)
    assert table.header == (
        *("Method", "Acc %", "k/n", "95 % interval", "Strict %", "Fmt", "Len", "Rep", "Reasoned %", "True paths %"),
    )
    assert table.rows[1] == (
        *("Finetune", "54.8", "219/400", "49.8 to 59.6", "54.8", "1.00", "0.0", "–", "0.0", "0.0"),  # noqa: RUF001
    )
    assert [row[:2] for row in table.rows[-2:]] == [("Majority class: no", "52.8"), ("Chance", "50.0")]


def test_how_outputs_stand_is_a_table_of_its_own():
    table = standing_table(make_metrics(), FIRST)
    assert table.header == (
        *("Method", "Right %", "Wrong %", "Unread %", "Cut %", "Right of answered %", "k/n", "95 % interval"),
    )
    # 203 of 400 are right, 60 unread and 20 cut, so 117 are wrong and 203 of 320 answers right.
    assert table.rows[0] == ("Zero-shot", "50.7", "29.2", "15.0", "5.0", "63.4", "203/320", "58.4 to 68.4")
    assert table.rows[-2:] == [
        ("Majority class: no", "52.8", "", "", "", "52.8", "", ""),
        ("Chance", "50.0", "", "", "", "50.0", "", ""),
    ]


def test_how_sampled_paths_stand_by_what_became_of_them_and_by_rule():
    metrics = make_metrics()
    table = sampled_table(metrics, FIRST, "decoding", "mined")
    assert table.header == (
        *("Outputs of", "Outputs", "Right %", "Wrong %", "Unread %", "Cut %", "Stopped %", "Right %, 95 %"),
        *("Right of answered %", "k/n", "95 %"),
    )
    assert table.rows[0] == (
        *("greedy", "400", "50.7", "29.2", "15.0", "5.0", "–", "48.7 to 52.8", "63.4", "203/320", "61.4 to 65.4"),  # noqa: RUF001
    )
    assert [row[0] for row in table.rows[1:]] == ["branching", "mined", "mined, kept", "mined, dropped"]
    assert table.rows[2][1:7] == ("20,000", "40.0", "35.0", "15.0", "5.0", "5.0")
    by_rule = sampled_table(metrics, FIRST, "rule")
    assert "Stopped %" not in by_rule.header  # none was
    names = [row[0] for row in by_rule.rows]
    assert names == ["dropped: imitates the question format", "dropped: too short"]
    assert [row[0] for row in sampled_table(metrics, FIRST, "branch").rows] == ["branch 0"]
    assert sampled_table(metrics, FIRST, "budget").is_empty  # one budget is all that was mined
    assert sampled_table(metrics, SECOND, "mined").is_empty


def test_a_comparison_among_what_both_answered_says_whether_it_is_of_form_or_at_chance():
    metrics = make_metrics()
    first, second, third = metrics["comparisons"]
    first |= {"only_form": True, "within_chance": True, "both_answered": None}
    second["both_answered"] |= {"difference": 0.01, "ci95": [-0.05, 0.07], "p_holm": 0.6, "n": 231, "share": 0.5775}
    table = answered_table(metrics, FIRST)
    assert table.header == (
        *("Comparison", "Verdict", "Both answered %", "Questions", "Difference, points", "95 % interval", "p, Holm"),
        *("First: right / wrong / unread / cut %", "Second: the same"),
    )
    assert table.rows[0] == (
        *("SERT against Zero-shot", "only form, at chance", *["–"] * 5),  # noqa: RUF001
        *("70.0 / 25.0 / 3.0 / 2.0", "50.7 / 29.2 / 15.0 / 5.0"),
    )
    assert table.rows[1][1:7] == ("not shown here", "57.8", "231", "+1.0", "−5.0 to +7.0", "0.60")  # noqa: RUF001
    at_005 = [row[5] for row in comparison_table(metrics, FIRST).rows]
    assert at_005 == ["only form, at chance", "significant", "not significant"]
    third["both_answered"]["p_holm"] = 0.01
    assert answered_table(metrics, FIRST).rows[2][1] == "hidden over all"
    third["untrained"] = ["sert"]
    assert answered_table(metrics, FIRST).rows[2][1] == "not trained"


def test_the_ways_of_choosing_the_epoch_stand_side_by_side_where_there_are_several():
    metrics = make_metrics()
    assert choice_table(metrics, FIRST).is_empty
    (sert,) = [row for row in metrics["rows"] if (row["task"], row["method"]) == (metrics["tasks"][0]["task"], "sert")]
    for row in metrics["rows"]:
        row["step"] = 1500
    best = sert | {"epoch_choice": "test-best", "step": 1000, "accuracy": 0.755, "primary": False}
    metrics["rows"].append(best)
    metrics = summed(metrics)
    table = choice_table(metrics, FIRST)
    assert table.header[:3] == ("Method", "last epoch %", "best on test % (too good)")
    assert ("SERT", "71.0, reported", "75.5", "+4.5") in table.rows
    assert [row[0] for row in result_table(metrics, FIRST).rows].count("SERT") == 1
    seeds = number_table(metrics, FIRST, "rows")
    tested = [row[seeds.header.index("Step tested")] for row in seeds.rows if row[0].startswith("SERT")]
    assert tested == ["1,500", "1,500", "1,000"]  # SERT, SERT+RD, and SERT at the best epoch


def test_true_paths_are_a_column_only_where_they_were_measured():
    metrics = make_metrics()
    table = result_table(metrics, SECOND)
    assert "True paths %" not in table.header
    assert table.rows[-1][:2] == ("Chance", "–")  # noqa: RUF001


def test_markdown_holds_results_comparisons_and_funnel():
    lines = markdown(make_metrics()).splitlines()
    assert "| SERT | 71.0 | 284/400 | 66.4 to 75.2 | 70.0 | 0.96 | 38.4 | 0.31 | 98.5 | 42.0 |" in lines
    assert (
        "| SERT against Zero-shot | +18.2 | +12.0 to +24.3 | &lt; 0.0001 | &lt; 0.0001 | significant | 12.5 |"
    ) in lines
    assert "Test: exact McNemar, paired by question." in lines
    assert "| answers without reasoning | 11,930 | 6,310 | 31.6 | 25.1 |" in lines
    assert "Questions of lab\\_yes\\_no: 1,600 train, 0 dev and 400 test." in lines
    assert [line for line in lines if line.startswith(("# ", "## "))] == [
        "# demo",
        *("## Verdict", "## Results", "## Right, wrong, unread, cut", "## Comparisons", "## Latent reasoning"),
        *("## Filter", "## Selection", "## Judge"),
        "## Every seed",
    ]


def test_no_text_acts_as_markdown_or_html():
    text = markdown(make_hostile()[0])
    assert "<" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    escaped = (
        "&lt;script&gt;alert(1)&lt;/script&gt;&lt;/style&gt;\\|\\`x\\`\\|\\\\x1b\\[31m\\\\u202etxt.exe\\\\n"
        "\\# head \\$a\\_b\\$ \\[l\\](javascript:x) &amp;amp; {{ 7*7 }}"
    ).replace("*", "\\*")
    assert f"| {escaped} | 52.8 | 211/400 |" in text
    for line in text.splitlines():
        assert line == "" or line.startswith(("#", "|", "- **", "![")) or line[0].isalpha()


def test_the_result_table_marks_what_was_not_tested_by_one_greedy_output():
    metrics = make_metrics()
    metrics["rows"][0] |= {"harness": "compat", "votes": 1}
    metrics["rows"][1] |= {"harness": "clean", "votes": 5}
    metrics["rows"][2] |= {"harness": "clean", "votes": 1, "train_steps": 0}
    names = [row[0] for row in result_table(summed(metrics), FIRST).rows]
    assert names[:4] == ["Zero-shot (compat)", "Finetune [5 votes]", "SERT (not trained)", "RD"]


def test_every_row_of_a_markdown_table_has_as_many_cells_as_its_header():
    table = "| Method" + markdown(make_hostile()[0]).split("| Method")[1].split("\n\n")[0]
    assert {line.replace("\\|", "").count("|") for line in table.splitlines()} == {11}


def test_terminal_table_shows_numbers_and_lines():
    lines = [" ".join(line.split()) for line in terminal_table(make_metrics()).splitlines()]
    assert lines[0] == "lab_yes_no: 400 test questions, student lab, seed 0"
    assert "SERT 71.0 284/400 66.4 to 75.2 70.0 0.96 38.4 0.31 98.5 42.0" in lines
    assert "SERT 70.0 25.0 3.0 2.0 73.7 280/380 68.7 to 78.7" in lines
    assert lines.count("Majority class: no 52.8") == 1
    assert "Majority class: no 52.8 52.8" in lines
    assert "SERT+RD against SERT +1.8 -3.0 to +6.5 0.26 0.52 not significant" in lines
    assert "SERT+RD against SERT as over all 100.0 +1.8 -3.0 to +6.5 0.52" in lines
    assert lines[-1] == "Warning: lab_yes_no: 29 train questions have no surviving path and train nothing"


@pytest.mark.parametrize("text", [HOSTILE, UNBROKEN, "[red]no markup[/red]"])
def test_terminal_table_is_plain_and_at_most_100_columns_wide(text):
    plain = terminal_table(make_hostile(text)[0])
    assert max(len(line) for line in plain.splitlines()) <= 100
    assert all(character.isprintable() or character == "\n" for character in plain)
    assert "52.8  211/400  47.9 to 57.6" in plain
    assert text[:9] in plain


def test_a_run_without_results_is_still_written():
    empty = ("rows", "summary", "comparisons", "funnel", "latent", "selection", "judged")
    metrics = make_metrics() | {name: [] for name in empty}
    assert terminal_table(metrics).startswith("Warning:")
    assert "## Comparisons" not in markdown(metrics)


def test_a_judges_scores_stand_beside_how_many_replies_failed_and_how_far_to_trust_them():
    text = terminal_table(make_metrics())
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "SERT 6.25 ±0.20 6.25 ±0.20 6.25 ±0.20 6.25 ±0.20 396 4" in lines
    assert lines.index("Planted: bad 2.00 ±0.20 2.00 ±0.20 2.00 ±0.20 2.00 ±0.20 6 0") > 0
    assert "The judge tells the planted good texts from the bad ones by every criterion." in lines
    assert "Replies: 824, of which 8 gave no scores (no answer given 8)." in lines
    assert "| SERT | 6.25 ±0.20 | 6.25 ±0.20 | 6.25 ±0.20 | 6.25 ±0.20 | 396 | 4 |" in markdown(make_metrics())
