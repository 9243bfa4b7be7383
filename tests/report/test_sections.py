from functools import cache

import pytest
from grid_data import EXHIBITS, make_grid
from page_elements import report_sections

from sert.report.texts import markdown_text, terminal_table

ALWAYS = ["results", "standings", "seeds"]
ONE_PAIR = "gpt2-on-strategyqa"
# What a section of the metrics adds to the report: an anchor, figures, tables shown and folded.
ADDED = {
    "comparisons": ("comparisons", [f"comparisons-{ONE_PAIR}"], 2, 0),
    "means": ("comparisons", [], 1, 0),
    "funnel": ("funnel", [f"funnel-{ONE_PAIR}"], 0, 1),
    "selection": ("selection", [], 1, 0),
    "bands": ("latent", [f"bands-{ONE_PAIR}-the-judge"], 0, 1),
    "filtering": (
        "filtering",
        [f"filtering-{ONE_PAIR}-{by}" for by in ("the-verifier", "the-judge-coherence", "the-judge-logical-con")],
        0,
        1,
    ),
    "first_tokens": ("first-tokens", [f"first-tokens-{ONE_PAIR}"], 0, 1),
    "first_token_bins": ("first-tokens", [f"first-token-bins-{ONE_PAIR}"], 0, 1),
    "by_length": ("outputs", [f"by-length-{ONE_PAIR}"], 0, 1),
    "by_repetition": ("outputs", [f"by-repetition-{ONE_PAIR}"], 0, 1),
    "steps": ("curves", [f"steps-{ONE_PAIR}"], 0, 1),
    "amounts": ("curves", [f"amounts-{ONE_PAIR}"], 0, 1),
    "budget": ("budget", [f"budget-{ONE_PAIR}"], 1, 0),
    "judged": ("judged", ["judged-strategyqa-grader"], 0, 2),
    "likelihood": ("likelihood", [], 1, 0),
    "gain": ("gain", [], 1, 0),
    "gain_looks": ("gain", [], 0, 1),
    "forgetting": ("forgetting", [], 2, 0),
    "standings": ("standings", [f"standings-{ONE_PAIR}", f"sampled-{ONE_PAIR}"], 2, 2),
}


def without_exhibits():
    metrics = make_grid() | {name: [] for name in EXHIBITS}
    metrics["summary"] = [row for row in metrics["summary"] if row["epoch_choice"] in (None, "dev")][:1]
    return metrics


@pytest.mark.parametrize("section", EXHIBITS)
def test_each_exhibit_is_there_if_and_only_if_it_has_rows(section):
    bare = without_exhibits()
    assert [each.anchor for each in report_sections(bare)] == [*ALWAYS[:2], "paper", *ALWAYS[2:]]
    rows = make_grid()[section]
    anchor, names, shown, folded = ADDED[section]
    (added,) = [each for each in report_sections(bare | {section: rows}) if each.anchor == anchor]
    assert [drawing.name for drawing in added.figures] == names
    assert (len(added.tables), len(added.folded)) == (shown, folded)


def test_ablations_are_shown_by_group_with_their_differences():
    metrics = make_grid() | {name: [] for name in EXHIBITS if name != "comparisons"}
    (ablations,) = [section for section in report_sections(metrics) if section.anchor == "ablations"]
    assert [titled.title.split(": ")[1] for titled in ablations.tables] == ["filter", "paths", "harness"]
    assert [drawing.name for drawing in ablations.figures] == [f"ablations-{ONE_PAIR}"]


def test_the_tests_behind_the_p_values_are_named():
    metrics = make_grid() | {name: [] for name in EXHIBITS if name != "comparisons"}
    (comparisons,) = [section for section in report_sections(metrics) if section.anchor == "comparisons"]
    assert comparisons.notes[1].startswith("Among the questions that both answered: where both outputs state an answer")
    assert comparisons.notes[2:] == ["Test: exact sign flips over questions, answers averaged over seeds."]


def test_a_judge_that_planted_texts_expose_is_said_to_be_one():
    metrics = without_exhibits() | {"judged": make_grid()["judged"]}
    metrics["judged"][1]["calibration"]["separates"] = False
    (judged,) = [section for section in report_sections(metrics) if section.anchor == "judged"]
    assert judged.notes[1:] == [
        "The judge tells the planted good texts from the bad ones by every criterion.",
        "This judge does not tell planted good texts from bad ones; its scores say little.",
    ]


SHOWN_AS_DASHES = {
    "comparisons": ("difference", "ci95", "p_value", "p_holm", "by_seed", "ci95_seeds", "detectable", "both_answered"),
    "means": ("difference", "ci95", "p_value", "p_holm"),
    "funnel": ("share",),
    "selection": ("selected_agree",),
    "bands": ("share", "questions", "samples"),
    "filtering": ("share", "paths", "mean_score"),
    "first_tokens": ("mean_probability", "kept_share"),
    "first_token_bins": ("kept_share",),
    "by_length": ("accuracy", "ci95"),
    "steps": ("mean",),
    "amounts": ("accuracy",),
    "budget": ("kept_share", "questions_kept_share", "reasoned_share"),
    "likelihood": ("difference", "ci95", "p_holm", "interval", "accuracy"),
    "gain": ("nats", "ci95", "p_holm", "right_p_holm"),
    "forgetting": ("correct_after", "interval_after", "ci95", "p_holm", "nats_p_holm"),
}
LEFT_OUT = {
    "comparisons": ("sd",),
    "funnel": ("true_share",),
    "selection": ("selected_true_share", "mined_true_share"),
    "first_tokens": ("true_share",),
    "first_token_bins": ("high",),
    "by_length": ("high",),
    "steps": ("sd",),
    "budget": ("true_share",),
    "forgetting": ("choices", "texts"),
}


@cache
def written_without(section, *keys):
    """Write a report in which nothing of a section has these numbers, and draw its figures."""
    metrics = without_exhibits()
    rows = (row for row in make_grid()[section] if row.get("criterion") is None)
    metrics[section] = [row | dict.fromkeys(keys) for row in rows]
    sections = report_sections(metrics)
    for drawing in (drawing for each in sections for drawing in each.figures if each.anchor != "results"):
        drawing.figure.draw_without_rendering()
    return f"{markdown_text(metrics, sections)}{terminal_table(metrics)}"


@pytest.mark.parametrize(("section", "key"), [(name, key) for name, keys in SHOWN_AS_DASHES.items() for key in keys])
def test_what_was_not_measured_is_a_dash(section, key):
    keys = (key, "p_holm") if key == "difference" else (key,)
    text = written_without(section, *keys)
    assert text.count("–") > written_without(section).count("–")  # noqa: RUF001
    assert "None" not in text


@pytest.mark.parametrize(("section", "key"), [(name, key) for name, keys in LEFT_OUT.items() for key in keys])
def test_what_need_not_be_measured_is_left_out(section, key):
    assert "None" not in written_without(section, key)
