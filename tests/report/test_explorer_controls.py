"""The path explorer's rules, plane, comparison and grids: every control, and what it changes."""

import shlex
import tomllib
from pathlib import Path

import explorer_pages as pages
import pytest
from explorer_reader import Reader

from browser import Browser

PAPER = {
    **{"mined": "12", "imitation": "11", "option_repetition": "10", "direct_response": "10", "length": "8"},
    **{"repetition": "7", "perplexity": "5", "high_perplexity": "", "unfinished": "", "selected": "2"},
}


@pytest.fixture
def page(reader: Browser, small: Path) -> Reader:
    """The rules of a small run, just opened."""
    opened = Reader(reader)
    opened.open(small, "#view=rules")
    return opened


def sets_of(page: Reader) -> list[str]:
    words = shlex.split(page.texts("#rules .copy")[0])
    assert words[:3] == ["sert", "filter", "runs/toy/birds-mine-0"] and words[-2:] == ["--out", "filtered"]
    return words[4:-2:2]


def changed(page: Reader) -> list[str]:
    return page.texts("#rules .halves h3:not(.copyable h3)")


def test_the_funnel_of_the_run(page: Reader) -> None:
    assert page.funnel() == PAPER
    assert page.text("#rules .state") == "The rules of the run."
    assert changed(page) == [] and sets_of(page) == []
    assert page.text("[data-step=perplexity] .ends") == "2median 7.519.6 and more"


def test_a_slider_changes_all_at_once(page: Reader) -> None:
    page.slide("too short: fewest", 40)
    assert page.funnel() == PAPER | {"length": "5", "repetition": "4", "perplexity": "4"}
    assert page.text("#rules .state") == "The rules differ from those of the run."
    assert changed(page) == ["Fall out: 1 path"]
    assert page.texts("#rules .halves .row-facts")[0].startswith("q-icebranch 0, sample 1selected → too short")
    assert sets_of(page) == ["rules.min_tokens=40"]
    assert tomllib.loads(page.texts("#rules .copy")[1]) == {"rules": {"min_tokens": 40}}
    page.slide("too repetitive: highest rep-2", 0.3)
    page.slide("perplexity too low: lowest", 0)
    assert changed(page) == ["Come in: 1 path", "Fall out: 1 path"]
    assert sets_of(page) == ["rules.min_tokens=40", "rules.max_rep_2=0.3", "rules.min_perplexity=0"]
    page.pick("Of", "selected")
    assert changed(page) == ["Come in: 1 path", "Fall out: 1 path"]
    page.press("1")
    assert page.text("#questions .tally").endswith(" kept by other rules than the run's")
    page.press("2")
    page.click_text("#rules button", "Back to the run")
    assert page.funnel() == PAPER


def test_a_slider_of_perplexity_goes_by_ratios(page: Reader) -> None:
    page.slide("perplexity too high: highest", 500)
    limit = page.browser.evaluate("sertExplorer.app.model.settings.rules.max_perplexity")
    # Halfway on a scale of logarithms from 1 to the percentile 99.5, which is 19.56.
    assert limit == 4.42
    assert page.funnel()["high_perplexity"] == "0"


@pytest.mark.parametrize(
    ("label", "text", "said", "perplexity"),
    [
        ("perplexity too low: lowest", "4.5", ["rules.min_perplexity=4.5"], "6"),
        ("perplexity too low: lowest", "P25", ["rules.min_perplexity=p25"], "6"),
        ("perplexity too high: highest", "p50", ["rules.max_perplexity=p50"], "5"),
        ("too repetitive: highest rep-2", "0.12", ["rules.max_rep_2=0.12"], "4"),
        ("too short: fewest", "0", ["rules.min_tokens=0"], "6"),
        ("too short: fewest", "", ["rules.min_tokens=0"], "6"),
    ],
)
def test_a_limit_can_be_written(page: Reader, label: str, text: str, said: list[str], perplexity: str) -> None:
    page.fill(label, text)
    assert sets_of(page) == said
    assert page.funnel()["perplexity"] == perplexity


@pytest.mark.parametrize(
    ("label", "text", "words"),
    [
        ("too short: fewest", "-3", "Give a whole number, 0 or more."),
        ("too short: fewest", "many", "Give a whole number, 0 or more."),
        ("too repetitive: highest rep-2", "20", "Give a share from 0 to 1, such as 0.2."),
        ("perplexity too low: lowest", "p101", "Give a number of 0 or more, or a percentile"),
        ("perplexity too low: lowest", "-1", "Give a number of 0 or more, or a percentile"),
    ],
)
def test_what_is_not_allowed_is_said_and_changes_nothing(page: Reader, label: str, text: str, words: str) -> None:
    page.fill(label, text)
    assert page.text("#rules .wrong").startswith(words)
    assert page.browser.evaluate(f"document.querySelector('[type=text][aria-label=\"{label}\"]').ariaInvalid") == "true"
    assert page.funnel() == PAPER


def test_percentiles_are_refused_where_paths_are_missing(reader: Browser, tmp_path: Path) -> None:
    parts = pages.small_parts()
    parts.header["pools"][0]["percentiles"] = False
    parts.header["sampled"] = {"questions": 3}
    limits = {"rules": pages.defaults()["rules"] | {"min_perplexity": "p10"}, "limits": {"min_perplexity": 5.0}}
    parts.header["views"][0] |= limits
    page = Reader(reader)
    page.open(pages.write(tmp_path, parts), "#view=rules")
    assert page.funnel() == PAPER
    page.fill("perplexity too high: highest", "p50")
    assert page.text("#rules .wrong").startswith("Give a number of 0 or more. Percentiles cannot be told")
    assert (
        page.texts("#rules .note")[0] == "This file holds a sample of the questions; the command filters all of them."
    )


@pytest.mark.parametrize(
    ("rule", "setting", "kept"),
    [
        ("imitates the question format", "rules.imitation=false", "5"),
        ("only lists the options", "rules.option_repetition=false", "6"),
        ("answers without reasoning", "rules.direct_response=false", "5"),
        ("too short", "rules.min_tokens=0", "6"),
        ("too repetitive", "rules.max_rep_2=1", "6"),
        ("perplexity too low", "rules.min_perplexity=0", "7"),
    ],
)
def test_each_switch_there_and_back(page: Reader, rule: str, setting: str, kept: str) -> None:
    page.click_text("#rules .switch", rule)
    assert sets_of(page) == [setting]
    assert page.funnel()["perplexity"] == kept
    page.click_text("#rules .switch", rule)
    assert page.funnel() == PAPER and sets_of(page) == []


def test_switches_of_rules_that_are_off(page: Reader) -> None:
    page.click_text("#rules .switch", "breaks off")
    assert sets_of(page) == ["rules.unfinished=drop"]
    assert page.funnel()["unfinished"] == "4"
    page.pick("breaks off within a sentence", "trim")
    assert sets_of(page) == ["rules.unfinished=trim"]
    page.click_text("#rules .switch", "breaks off")
    page.click_text("#rules .switch", "perplexity too high")
    assert [each.partition("=")[0] for each in sets_of(page)] == ["rules.max_perplexity"]
    page.click_text("#rules .switch", "perplexity too high")
    assert page.funnel() == PAPER


def test_a_rule_that_the_run_did_not_ask_is_asked_once_it_is_set(reader: Browser, tmp_path: Path) -> None:
    parts = pages.small_parts()
    parts.header["views"][0]["selection"] = pages.defaults()["selection"] | {"rules": ["length", "perplexity"]}
    page = Reader(reader)
    page.open(pages.write(tmp_path, parts), "#view=rules")
    assert page.funnel()["repetition"] == "10"
    # The run's verdicts are those of all rules, which is told.
    assert page.texts("#rules .note")[0].startswith("Of 4 paths the run wrote down another verdict")
    page.slide("too repetitive: highest rep-2", 0.1)
    assert sets_of(page) == ["rules.max_rep_2=0.1", 'selection.rules=["length", "repetition", "perplexity"]']


def test_measures_and_selection(page: Reader) -> None:
    page.pick("Length and rep-2 in", "words")
    assert sets_of(page) == ["rules.unit=words"]
    assert page.funnel()["length"] == "1"
    page.pick("Length and rep-2 in", "tokens")
    page.pick("Perplexity of", "continuation")
    assert sets_of(page) == ["rules.perplexity_over=continuation"]
    page.click_text("#rules button", "The paper's rules")
    for order in ("mean_logprob", "random"):
        page.pick("Select", order)
        assert sets_of(page) == [f"selection.order={order}"]
    assert page.browser.evaluate("document.querySelector('[value=gain]').disabled")
    page.click_text("#rules button", "The paper's rules")
    page.click(page.labelled("Only paths with the gold answer"))
    assert sets_of(page) == ["selection.only_agreeing=true"]
    page.pick("Of", "selected")
    assert changed(page) == ["Come in: 1 path", "Fall out: 1 path"]


def test_a_changed_path_opens_in_its_tree(page: Reader, reader: Browser) -> None:
    page.slide("too repetitive: highest rep-2", 0.3)
    assert page.texts("#rules .halves .row-text") == [
        "Path 1.1 of question 0 says: birds like ice. So the answer is yes."
    ]
    page.click("#rules .halves .row")
    assert page.text(".asked") == "Does ice like birds?"
    assert page.texts(".leaf .chip")[-2:] == ["kept", "was: too repetitive"]
    assert reader.evaluate("document.querySelector('[data-row=\"3\"] .opener').ariaExpanded") == "true"


def test_command_and_toml_are_copied(page: Reader, reader: Browser) -> None:
    reader.evaluate("navigator.clipboard.writeText = text => { globalThis.copied = text; return Promise.resolve(); }")
    page.click_text("#rules button", "Copy command")
    assert reader.evaluate("copied") == page.texts("#rules .copy")[0]
    assert page.texts("#rules .copyable button")[0] == "Copied"
    reader.evaluate("navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
    page.click_text("#rules button", "Copy TOML")
    assert page.texts("#rules .copyable button")[1] == "Marked: press Ctrl+C"
    assert reader.evaluate("getSelection().toString()") == page.texts("#rules .copy")[1]


def test_paths_that_were_cut_short_are_told(reader: Browser, tmp_path: Path) -> None:
    parts = pages.Parts(pages.empty_header())
    pages.add_set(parts, pages.TRAIN)
    rows = [pages.path(0, 0, at, 30, 0, 9, finish=word) for at, word in enumerate(["eos", "outrun", "rejected"])]
    pages.add_pool(parts, rows, percentiles=False)
    pages.add_view(parts, [("", 1), ("outrun", 0), ("rejected", 0)])
    parts.header["arms"].append(pages.arm(rounds=[0]))
    page = Reader(reader)
    page.open(pages.write(tmp_path, parts), "#view=rules")
    assert page.texts("#rules .note")[0].startswith("2 paths were cut short while mining")
    assert {step: page.funnel()[step] for step in ("perplexity", "outrun", "rejected", "selected")} == {
        **{"perplexity": "3", "outrun": "2", "rejected": "1", "selected": "1"}
    }


def test_a_rectangle_in_the_plane(page: Reader, reader: Browser) -> None:
    page.press("3")
    page.pick("Across", "rep_2")
    assert page.text("#plane .tally") == "12 paths. Draw a rectangle to list the paths in it."
    assert reader.evaluate(
        """(canvas => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some(Boolean))(
          document.querySelector("canvas"))"""
    )
    left, top, width, height = reader.evaluate(
        """(() => { const { left, top, width, height } = document.querySelector(".pad").getBoundingClientRect();
        return [left, top, width, height]; })()"""
    )
    reader.drag((left + 0.5 * width, top + 1), (left + width + 9, top + height + 9))
    page.settle()
    # Rep-2 from 0 to 0.4956 (percentile 99.8): the right half holds 0.30 and, beyond the edge, 0.5.
    assert page.text("#plane .tally") == "2 of 12 paths in the rectangle"
    assert [each[:5] for each in page.texts("#plane .row-facts")] == ["q-ice", "q-sea"]
    page.click_text("#plane button", "Show their questions")
    assert page.texts("#questions .row-text") == ["Does ice like birds?", "Where is the sea?"]
    page.press("3")
    page.click_text("#plane button", "Clear")
    assert page.text("#plane .tally") == "12 paths. Draw a rectangle to list the paths in it."


def test_a_rectangle_by_numbers_and_in_the_address(page: Reader, small: Path) -> None:
    page.press("3")
    page.pick("Across", "rep_2")
    for side, words in (("x from", "0.02"), ("x to", "0.1"), ("y from", "8")):
        selector = page.labelled(side)
        page.browser.evaluate(f"document.querySelector({selector!r}).focus()")
        page.browser.write(words)
        page.press("Enter")
    assert page.text("#plane .tally") == "4 of 12 paths in the rectangle"
    page.pick("Show", "dropped")
    assert page.text("#plane .tally") == "0 of 12 paths in the rectangle"
    page.pick("Show", "selected")
    assert page.text("#plane .tally") == "2 of 12 paths in the rectangle"
    page.click("#plane .row:nth-child(2)")
    assert page.text(".asked") == "Do birds like snow?"
    address = page.address
    assert "brush=0.02%2C0.1%2C8%2C" in address
    page.open(small, address + "&view=plane")
    assert page.text("#plane .tally") == "2 of 12 paths in the rectangle"
    page.pick("Across", "first")
    page.pick("Up", "length")
    assert page.text("#plane .tally") == "12 paths. Draw a rectangle to list the paths in it."
    assert page.browser.evaluate("document.querySelector('canvas').ariaLabel") == (
        "All paths by probability of the first token (across) and length (up)"
    )


def test_before_and_after(page: Reader) -> None:
    page.press("4")
    assert page.texts("#compare .summary dd") == [
        "2 of 5 right, 40.0 % (95 %: 11.8 to 76.9)",
        "3 of 5 right, 60.0 % (95 %: 23.1 to 88.2)",
        "2 fixed, 1 broken; exact paired test (McNemar): p = 1.000",
        "yes 4 of 5, 80.0 %",
    ]
    groups = ["fixed 2/5 (40.0 %)", "broken 1/5 (20.0 %)", "both right 1/5 (20.0 %)", "both wrong 1/5 (20.0 %)"]
    assert page.texts("#compare .groups button") == groups
    assert page.texts("#compare .row-text") == ["Test question 1?", "Test question 2?"]
    assert page.texts(".card .text") == ["greedy 1", "trained 1"]
    page.press("j")
    assert page.texts(".card .text") == ["greedy 2", "trained 2"]
    assert page.texts(".card h3") == ["Zero-shot before", "SERT after"]
    page.press("k")
    for group, text in (("broken", "greedy 3"), ("both right", "greedy 0"), ("both wrong", "greedy 4")):
        page.click_text("#compare .groups button", group)
        assert page.texts(".card .text")[0] == text
    page.pick("After", 0)
    assert page.texts("#compare .groups button")[0] == "fixed 0/5 (0.0 %)"
    page.pick("Count", "correct_strict")
    assert page.texts(".card .right, .card .wrong")[0] == "✗ wrong"


def grid_parts() -> pages.Parts:
    """Two runs of one task; the first has two seeds, the second of them mined in two rounds."""
    parts = pages.small_parts()
    parts.header["runs"].append({"name": "other", "folder": ""})
    stricter = pages.defaults()["rules"] | {"min_tokens": 40}
    verdicts = [*pages.SMALL_VERDICTS]
    verdicts[0], verdicts[1] = ("", 1), ("length", 0)
    # The others of 30 tokens are too short as well.
    verdicts[4] = verdicts[5] = ("length", 0)
    second = pages.add_view(parts, verdicts, rules=stricter)
    again = pages.add_outputs(parts, pages.answers([1, 1, 1, 1, 1], "second"), of=1, method="sert")
    elsewhere = pages.add_outputs(parts, pages.answers([0] * 5, "elsewhere"), of=1, method="sert", run=1)
    parts.header["arms"].append(pages.arm(rounds=[0, second], methods={"zero_shot": 0, "sert": again}, seed=1))
    parts.header["arms"].append(pages.arm(methods={"sert": elsewhere}, run=1))
    return parts


def test_arms_of_a_grid_and_two_runs(reader: Browser, tmp_path: Path) -> None:
    page, file = Reader(reader), pages.write(tmp_path, grid_parts())
    page.open(file)
    assert page.texts("#questions .row-facts")[0].startswith("q-ice2/4")
    page.pick("Seed", 1)
    assert page.texts("#questions .row-facts")[0].startswith("q-ice1/4")
    page.pick("Round", 0)
    assert page.texts("#questions .row-facts")[0].startswith("q-ice2/4")
    assert "seed=1&round=0" in page.address
    page.press("4")
    reader.until("document.querySelectorAll('#compare .groups button').length === 4")
    assert page.texts("#compare .groups button")[1] == "broken 5/5 (100.0 %)"
    options = reader.evaluate("[...document.querySelector('#compare select').options].map(each => each.textContent)")
    assert options == [
        "Zero-shot · toy · seed 0",
        "SERT · toy · seed 0",
        "SERT · toy · seed 1",
        "SERT · other · seed 0",
    ]
    page.pick("Run", 1)
    assert page.texts("#arms .labelled span") == ["Run", "Seed"]
    page.press("1")
    assert page.text("#nothing").startswith("No paths were mined here")
    assert page.texts("#questions .row") == []
    page.press("4")
    assert page.texts("#compare .summary dd")[2] == "0 fixed, 3 broken; exact paired test (McNemar): p = 0.250"


def test_a_file_without_outputs_or_with_no_paths_says_so(reader: Browser, tmp_path: Path) -> None:
    parts = pages.Parts(pages.empty_header())
    pages.add_set(parts, pages.TRAIN)
    pages.add_pool(parts, [], percentiles=False)
    pages.add_view(parts, [])
    parts.header["arms"].append(pages.arm(rounds=[0]))
    page, file = Reader(reader), pages.write(tmp_path, parts)
    seen = page.open(file)
    assert page.text("#questions .tally") == "0 of 0 questions · 0 of 0 paths kept"
    assert page.text(".tree .empty").startswith("Choose a question")
    for key in "j k ] [ s r 2 3 4".split():
        page.press(key)
    assert page.text("#compare .empty") == "Nothing was tested here: there are no answers to compare."
    page.press("2")
    assert page.funnel()["selected"] == "0"
    assert page.settle().complaints == [] == seen.complaints


def test_one_question_with_one_empty_path(reader: Browser, tmp_path: Path) -> None:
    parts = pages.Parts(pages.empty_header())
    pages.add_set(parts, pages.TRAIN[:1])
    infinite = {"perplexity_continuation": float("inf"), "first_logprob": float("nan"), "flags": 0, "conclusion": None}
    pages.add_pool(parts, [pages.path(0, 0, 0, 0, 0.0, float("inf"), text="", **infinite)])
    pages.add_view(parts, [("length", 0)])
    parts.header["arms"].append(pages.arm(rounds=[0]))
    page = Reader(reader)
    page.open(pages.write(tmp_path, parts))
    assert page.text(".branch h3") == "Branch 0 (no token)unknown0 of 1 kept"
    page.click(".opener")
    assert "This path is empty: the student ended at once." in page.texts(".leaf-body .note")
    page.press("2")
    assert page.text("[data-step=perplexity] .ends") == "no finite number to show"
    page.press("3")
    seen = page.settle()
    assert "(1 path without a finite number are not drawn.)" in page.text("#plane .legend")
    assert seen.complaints == []


def test_what_the_lab_and_gains_tell(reader: Browser, tmp_path: Path) -> None:
    parts = pages.Parts(pages.empty_header())
    pages.add_set(parts, pages.TRAIN)
    rows = [row | {"gain": 0.5 * at} for at, row in enumerate(pages.small_paths())]
    rows[8]["flags"] |= 32
    rows[0]["gain"] = float("nan")
    pages.add_pool(parts, rows, gain=True, verified=True)
    pages.add_view(parts, pages.SMALL_VERDICTS, own=True)
    parts.header["arms"].append(pages.arm(rounds=[0]))
    page = Reader(reader)
    page.open(pages.write(tmp_path, parts))
    page.pick("Show", "verified")
    assert page.texts("#questions .row-text") == ["Do birds like snow?"]
    assert page.texts(".leaf-body .facts")[0].endswith("ended by eostrue in the labgain 4 nats")
    page.press("2")
    assert page.texts("#rules .note")[0].startswith("Nobody filtered these paths yet")
    page.pick("Select", "gain")
    assert sets_of(page) == ["selection.order=gain"]
    assert page.texts("#rules .note")[1].startswith("Add --student")
    page.pick("Of", "selected")
    assert changed(page) == ["Come in: 1 path", "Fall out: 1 path"]
    page.press("1")
    page.pick("Show", "changed")
    assert page.texts("#questions .row-text") == ["Do birds like snow?"]
    assert page.text(".why") == (
        "Selected: branch 1, sample 1, with the highest gain in nats (5.5) of 3 kept paths; the next has 4.5 "
        "(branch 0, sample 1)."
    )
    page.press("3")
    page.pick("Up", "gain")
    assert page.browser.evaluate("document.querySelector('canvas').ariaLabel").endswith("and gain, nats (up)")


def test_a_first_token_of_blanks_is_written_out(reader: Browser, tmp_path: Path) -> None:
    parts = pages.Parts(pages.empty_header())
    pages.add_set(parts, pages.TRAIN[:1])
    pages.add_pool(parts, [pages.path(0, 0, 0, 3, 0.1, 9.0, text="\n\tIce", first="\n\t Ice")])
    pages.add_view(parts, [("length", 0)])
    parts.header["arms"].append(pages.arm(rounds=[0]))
    page = Reader(reader)
    page.open(pages.write(tmp_path, parts))
    assert page.text(".branch h3 .token") == "\u21b5\u21e5\u2423Ice"
