import pytest
from grid_data import EXHIBITS, make_grid, make_hostile_grid
from page_elements import report_sections
from report_data import HOSTILE, UNBROKEN

from sert.report.texts import markdown_text, terminal_table

pytestmark = pytest.mark.usefixtures("no_figures")


def markdown(metrics):
    return markdown_text(metrics, report_sections(metrics))


def squeezed(text):
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_terminal_shows_results_comparisons_ablations_and_cautions():
    lines = squeezed(terminal_table(make_grid()))
    assert lines[0].startswith("Methods: Of 5 comparisons between methods, 3 are significant")
    assert "gpt2 on strategyqa: 687 test questions, seeds 0, 1, 2" in lines
    assert "SERT+RD 57.4 ± 0.9 395, 401, 388 / 687 52.8 to 62.1 56.4 ± 0.9 0.99 116.6 0.50" in lines
    assert "SERT+RD 56.4 ± 0.9 41.1 1.7 0.7 57.9 ± 1.0 53.2 to 62.5" in lines
    assert "Majority class: no 52.5" in lines
    assert "SERT+RD against RD +4.8 +2.2 to +7.4 0.0003 significant 4.2" in lines
    assert "gpt2 on strategyqa: filter" in lines
    assert "no filter 51.5 ± 0.8 -2.8 -5.4 to -0.2 0.0120 significant 11.0" in lines
    assert "Caution: Epoch chosen on the test set: “as compat”. Read it as too good." in lines
    assert lines[-1].startswith("Warning: gpt2 on strategyqa: 29 train questions")


@pytest.mark.parametrize("text", [HOSTILE, UNBROKEN, "[red]no markup[/red]"])
def test_the_terminal_gets_plain_text_of_at_most_100_columns(text):
    plain = terminal_table(make_hostile_grid(text)[0])
    assert max(len(line) for line in plain.splitlines()) <= 100
    assert all(character.isprintable() or character == "\n" for character in plain)
    assert text[:9] in plain


def test_markdown_holds_the_verdict_and_the_tables_of_every_section():
    lines = markdown(make_grid()).splitlines()
    assert [line for line in lines if line.startswith("## ")] == [
        *(
            "## Verdict",
            "## Results",
            "## Right, wrong, unread, cut",
            "## Answers by likelihood",
            "## Gain",
            "## Forgetting",
            "## Comparisons",
            "## Choice of the epoch",
        ),
        *(
            "## Beside the paper",
            "## Ablations",
            "## Latent reasoning",
            "## First tokens",
            "## Equal budgets",
            "## Filter",
        ),
        *("## Scores after each rule", "## Selection", "## Length and repetition", "## Learning curves", "## Judge"),
        "## Every seed",
    ]
    assert any(line.startswith("- **Significant** SERT+RD is right more often than RD (+4.8 points") for line in lines)
    assert "| 25x1 | 25 | 1 | 36,075 | 38.0 | 25.0 | 95.0 | 9.2 | 55.0 |" in lines


def test_a_section_without_rows_is_left_out():
    metrics = make_grid(("lab",)) | {name: [] for name in EXHIBITS}
    headings = [line for line in markdown(metrics).splitlines() if line.startswith("## ")]
    assert headings == [
        *("## Verdict", "## Results", "## Right, wrong, unread, cut", "## Choice of the epoch", "## Ablations"),
        "## Every seed",
    ]
    empty = metrics | {"summary": [], "rows": []}
    assert [line for line in markdown(empty).splitlines() if line.startswith("#")] == ["# paper grid", "## Verdict"]
    assert terminal_table(empty).startswith("Warning:")


def test_no_text_acts_as_markdown_or_html():
    text = markdown(make_hostile_grid()[0])
    assert "<" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\\|\\`x\\`\\|\\\\x1b\\[31m\\\\u202etxt.exe\\\\n\\# head" in text
    for line in text.splitlines():
        assert line == "" or line.startswith(("#", "|", "- **", "![")) or line[0].isalpha()
