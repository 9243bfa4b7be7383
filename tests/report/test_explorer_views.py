"""The path explorer as a reader uses it: every key and every control, in a real browser, from a file."""

from pathlib import Path

import explorer_pages as pages
import pytest
from explorer_reader import Reader

from browser import Browser

SECTIONS = "[...document.querySelectorAll('#explorer > section:not([hidden])')].map(each => each.id)"


@pytest.fixture
def page(reader: Browser, small: Path) -> Reader:
    """The page of a small run, just opened."""
    opened = Reader(reader)
    opened.open(small)
    return opened


def test_nothing_is_asked_for_and_nothing_is_complained_of(reader: Browser, small: Path) -> None:
    seen = Reader(reader).open(small)
    assert seen.asked == [small.as_uri()]
    assert seen.complaints == [] and seen.opened == []
    assert reader.evaluate("document.title") == "toy: paths"


def test_the_list_and_the_tree_of_a_question(page: Reader) -> None:
    assert page.texts(".list .row-text") == [each["question"] for each in pages.TRAIN]
    assert page.text("#questions .tally") == "3 of 3 questions · 5 of 12 paths kept"
    assert page.texts(".row-facts")[0].startswith("q-ice2/4 keptselected, disagrees")
    assert page.text(".tree .asked") == "Does ice like birds?"
    assert page.text(".tree .gold") == "yes"
    assert page.text(".why") == (
        "Selected: branch 0, sample 1, with the lowest rep-2 (0.05) of 2 kept paths; the next has 0.1 "
        "(branch 0, sample 0)."
    )
    assert page.texts(".branch h3") == ["Branch 0 Ice60.7 %2 of 2 kept", "Branch 1 Path36.8 %0 of 2 kept"]
    assert page.texts(".leaf .chip") == ["kept", "selected", "too short", "too repetitive"]
    # The selected path is open, the others are not.
    assert page.texts(".leaf-body .text") == ["Ice is cold. So the answer is no."]
    assert "30 tokens · rep-2 0.05 · perplexity 9" in page.texts(".leaf-body .facts")[0]
    assert "answers no: not the gold answer" in page.texts(".leaf-body .facts")[0]


def test_a_path_opens_and_says_all_that_drops_it(page: Reader) -> None:
    page.press("j")
    assert page.text(".tree .asked") == "Where is the sea?"
    assert page.text(".why") == "No path is selected: all 4 are dropped, most as “perplexity too low”."
    assert page.texts(".choices li") == ["A up ", "B down gold"]
    page.click_text(".opener", "too short")
    assert page.texts(".leaf-body .note") == [
        "Dropped by 3 rules: too short (min_tokens = 25), too repetitive (max_rep_2 = 0.2), "
        "perplexity too low (min_perplexity = 5)."
    ]
    page.click_text(".opener", "too short")
    assert page.texts(".leaf-body") == []


def test_prompt_context_and_trained_example_are_there(page: Reader) -> None:
    page.click_text("summary", "Prompt")
    page.click_text("summary", "Trained example")
    assert page.texts("details .text") == [
        "Question 0: do birds like ice?\nAnswer:",
        "Ice is cold. So the answer is yes.",
    ]
    assert page.text(".conclusion") == " So the answer is yes."
    page.press("j")
    page.click_text("summary", "Context: passage")
    assert page.texts("details[open] .text") == ["The sea is down."]
    assert "The run trained on no path of this question." in page.texts(".tree .note")


def test_tokens_are_shaded_and_tell_their_numbers(page: Reader, reader: Browser) -> None:
    page.press("j", "j")
    spans = page.texts(".tokens span")
    assert spans[:4] == ["  The", " \u05e6\u05e4\u05d5\u05e8", " likes", " snow"]
    shades = reader.evaluate("[...document.querySelectorAll('.tokens span')].slice(0, 8).map(each => each.className)")
    # Tokens have log-probabilities of 0, -(4 / 12) squared, -(8 / 12) squared, .. nats.
    assert shades == ["shade0", "shade1", "shade1", "shade2", "shade3", "shade3", "shade4", "shade5"]
    reader.evaluate("document.querySelector('.tokens').focus()")
    page.press("ArrowRight", "ArrowRight")
    assert page.text(".told") == "“ \u05e6\u05e4\u05d5\u05e8”, token 2: log-probability -0.11, probability 89.5 %"
    page.press("End", "ArrowRight", "ArrowLeft", "Home", "ArrowLeft")
    assert page.text(".told") == "“  The”, token 1: log-probability 0.00, probability 100 %"
    x, y = reader.middle(".tokens span:nth-child(3)")
    reader.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    page.settle()
    assert page.text(".told").startswith("“ likes”, token 3")
    page.click(page.labelled("Token borders"))
    assert reader.evaluate("getComputedStyle(document.querySelector('.tokens span')).boxShadow") != "none"
    page.click(page.labelled("Shade tokens"))
    assert page.texts(".tokens span") == []
    assert page.texts(".leaf-body .text")[0].startswith("  The \u05e6\u05e4\u05d5\u05e8 likes snow very much")


def test_every_key(page: Reader, reader: Browser) -> None:
    asked = [each["question"] for each in pages.TRAIN]
    page.press("j", "j", "j")
    assert page.text(".asked") == asked[2]
    page.press("k")
    assert page.text(".asked") == asked[1]
    page.press("k", "k", "]")
    assert reader.evaluate("document.activeElement.textContent").startswith("Branch 0")
    page.press("]", "]")
    assert reader.evaluate("document.activeElement.textContent").startswith("Branch 1")
    page.press("[")
    assert reader.evaluate("document.activeElement.textContent").startswith("Branch 0")
    page.press("s")
    assert page.texts(".leaf .chip") == ["selected"]
    page.press("s")
    assert len(page.texts(".leaf")) == 4
    for reason, sizes in (("imitates", 1), ("only lists", 1), ("too short", 2), ("too rep", 1), ("perplexity", 1)):
        page.press("r")
        assert reason in reader.evaluate("document.getElementById('said').textContent")
        assert len(page.texts("#questions .row")) == sizes
    page.press("r")
    assert len(page.texts("#questions .row")) == 3
    for key, name in (("2", "rules"), ("3", "plane"), ("4", "compare"), ("1", "questions")):
        page.press(key)
        assert reader.evaluate(SECTIONS) == [name]
    page.press("3", "/")
    assert reader.evaluate("document.activeElement.type") == "search"
    page.press("j", "?")
    assert reader.evaluate("document.activeElement.value") == "j?"
    page.press("Escape", "?")
    assert reader.evaluate("document.getElementById('help').open")
    keys = [*"jk[]sr/1234?"]
    assert sorted(page.texts("#help kbd")) == sorted(keys)
    page.press("j", "Escape")
    assert not reader.evaluate("document.getElementById('help').open")
    page.click_text("#views button", "Keys")
    page.click("#close")
    assert not reader.evaluate("document.getElementById('help').open")


def test_keys_with_ctrl_are_the_browsers(page: Reader) -> None:
    page.browser.press("j", modifiers=2)
    page.settle()
    assert page.text(".asked") == "Does ice like birds?"


def test_arrows_walk_through_a_list(page: Reader, reader: Browser) -> None:
    reader.evaluate("document.querySelector('#questions .list').focus()")
    for key, place in (("ArrowDown", 1), ("End", 2), ("ArrowDown", 2), ("PageUp", 0), ("PageDown", 2), ("Home", 0)):
        page.press(key)
        assert page.text(".asked") == pages.TRAIN[place]["question"]
        active = reader.evaluate(
            "document.getElementById(document.activeElement.getAttribute('aria-activedescendant')).ariaPosInSet"
        )
        assert active == str(place + 1)
    page.click("#questions .row:nth-child(3)")
    assert page.text(".asked") == pages.TRAIN[2]["question"]


def test_filters_and_order(page: Reader) -> None:
    asked = [each["question"] for each in pages.TRAIN]
    for kind, places in (
        ("kept", [0, 2]),
        ("dropped", [1]),
        ("selected", [0, 2]),
        ("agreeing", [2]),
        ("disagreeing", [0]),
        ("unanswered", []),
    ):
        page.pick("Show", kind)
        assert page.texts("#questions .row-text") == [asked[place] for place in places]
    page.pick("Show", "all")
    page.pick("With a path", pages.REASONS.index("perplexity"))
    assert page.texts("#questions .row-text") == [asked[1]]
    assert page.texts(".leaf .chip") == ["perplexity too low", "perplexity too low"]
    page.pick("With a path", "")
    for order, places in (("most", [2, 0, 1]), ("fewest", [1, 0, 2]), ("agreeing", [1, 0, 2]), ("asked", [0, 1, 2])):
        page.pick("Order", order)
        assert page.texts("#questions .row-text") == [asked[place] for place in places]
    page.click(page.labelled("Selected paths only"))
    page.press("k")
    assert page.texts(".leaf .chip") == ["selected"]


def test_search_finds_words_of_paths_and_of_questions(page: Reader, reader: Browser) -> None:
    page.press("/")
    reader.write("ICE IS cold")
    page.press("Enter")
    reader.until("document.querySelector('.progress').textContent.includes('Found in')")
    assert page.texts("#questions .row-text") == ["Does ice like birds?"]
    assert page.text("#questions .progress span") == "Found in 1 path."
    assert page.texts(".leaf .chip") == ["kept", "selected", "found", "too short", "too repetitive"]
    reader.evaluate("document.querySelector('[type=search]').select()")
    reader.write("the sea")
    reader.until("document.querySelector('.progress').textContent.includes('Found in 0')")
    page.settle()
    assert page.texts("#questions .row-text") == ["Where is the sea?"]
    reader.evaluate("document.querySelector('[type=search]').select()")
    reader.write("nowhere at all")
    reader.until("document.querySelectorAll('#questions .row').length === 0")
    reader.evaluate("document.querySelector('[type=search]').select()")
    reader.press("Delete")
    reader.until("document.querySelectorAll('#questions .row').length === 3")


def test_a_search_can_be_stopped(page: Reader, reader: Browser) -> None:
    reader.evaluate("sertExplorer.data.packedTexts = () => new Promise(() => {})")
    reader.evaluate("document.querySelector('[type=search]').value = 'ice'")
    reader.evaluate("sertExplorer.app.views.questions.look()")
    assert page.text("#questions .progress span").startswith(" 0 %, found in 0 paths")
    page.click_text("#questions .progress button", "Stop")
    assert page.text("#questions .progress span") == "Search stopped."
    assert len(page.texts("#questions .row")) == 3


def test_an_address_shows_the_same_again(page: Reader, small: Path) -> None:
    page.press("2")
    page.slide("too short: fewest", 12)
    page.pick("Select", "mean_logprob")
    page.press("1")
    page.pick("Order", "most")
    page.press("j", "s")
    address = page.address
    assert address == "#q=q-snow&order=most&only=selected&rules.min_tokens=12&selection.order=%22mean_logprob%22"
    before = (page.texts("#questions .row-text"), page.texts(".leaf .chip"), page.text(".why"), page.text(".asked"))
    page.open(small, address)
    after = (page.texts("#questions .row-text"), page.texts(".leaf .chip"), page.text(".why"), page.text(".asked"))
    assert after == before
    assert page.browser.evaluate("sertExplorer.app.model.settings.rules.min_tokens") == 12
    page.browser.evaluate("location.hash = '#q=q-snow&p=1.1'")
    page.settle()
    assert page.text(".asked") == "Do birds like snow?"
    assert page.browser.evaluate("document.querySelector('[data-row=\"11\"] .opener').ariaExpanded") == "true"


def test_an_address_of_nothing_known_shows_the_page_as_usual(page: Reader, small: Path) -> None:
    seen = page.open(
        small, "#view=x&q=%00&p=9.9&kind=zz&reason=&order=q&find=&x=1&brush=,,,&before=9&group=g&run=7&round=-3"
    )
    assert seen.complaints == []
    assert len(page.texts("#questions .row")) == 3
