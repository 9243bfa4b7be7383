"""The page of a prospect and its verdict in words: of numbers that were worked out by hand elsewhere."""

import json
import re
from itertools import count

import pytest
from page_elements import assert_asks_for_nothing
from report_data import HOSTILE

from prospect_data import make_path, make_questions, numbers_of, whole_prospect
from sert.config.rules import USUAL, RulesConfig
from sert.records import Likelihood
from sert.report.prospect.findings import prospect_findings, span
from sert.report.prospect.page import StandingPaths, prospect_text, write_prospect
from shown_examples import shown_path
from sketches import sketch


@pytest.fixture(autouse=True)
def no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sert.report.prospect.page.images", sketch)


def prospect(
    right: int, wrong: int, unread: int = 0, *, questions: int = 40, reason: str | None = None, likelihoods=None
):
    """As many right, wrong and unread paths of each question; half of each standing is dropped for its length."""
    numbers, paths = count(), []
    for place in range(questions):
        for standing in ["right"] * right + ["wrong"] * wrong + ["unread"] * unread:
            for dropped in (reason, "length"):
                tokens = 10 if dropped == "length" else 30
                path = make_path(f"q{place}", standing, reason=dropped, num_tokens=tokens, sample=next(numbers))
                paths.append(path)
    asked = make_questions(questions, answers="ABCD")
    return whole_prospect(numbers_of(asked, paths, greedy="wrong", likelihoods=likelihoods))


def verdict(numbers):
    return prospect_findings(numbers)[0]


def test_nothing_to_mine_is_said_with_its_interval_and_chance() -> None:
    label, text = verdict(prospect(1, 3))
    assert label == "Nothing to mine"
    assert text.startswith(
        "On these 40 questions kept paths that state an answer are right 25.0 % (18.8 to 32.5 %) of the time, "
    )
    assert "guessing 25.0 % and the most frequent answer 25.0 %: nothing to mine that the rules, branches or" in text


def test_much_and_something_to_mine() -> None:
    assert verdict(prospect(4, 0)).label == "Much to mine"
    assert "and the rules find it" in verdict(prospect(4, 0)).text
    lost = prospect(4, 0, reason="perplexity")
    assert "no kept path states an answer" in verdict(lost).text
    assert "not by the rules as they are set" in verdict(lost).text
    label, text = verdict(prospect(2, 2))
    assert label == "Something to mine" and "nothing that was looked at tells" in text


def test_what_cannot_be_read_is_no_wrong_answer() -> None:
    label, text = verdict(prospect(0, 0, 4))
    assert label == "Nothing to mine" and text.startswith("0 of 320 paths state an answer that can be read")


def test_too_few_answers_say_what_to_look_at() -> None:
    label, text = verdict(prospect(1, 3, questions=12))
    assert label == "Too few to tell" and "12 questions of 12" in text and "--limit" in text


def test_questions_without_choices_have_nothing_to_guess_from() -> None:
    numbers = prospect(1, 3)
    numbers["chance"] = {"guessing": None, "majority": {"answer": "7", "share": 0.02}, "best": 0.02}
    said = {each.label: each.text for each in prospect_findings(numbers)}["Chance"]
    assert said.startswith(
        "There is nothing to guess from; always answering '7', the most frequent answer, is right 2.0 %"
    )


def by_likelihood(right: int, *, of: int = 40) -> list[Likelihood]:
    """So many questions whose gold choice is the most probable one, by its words."""
    taken = ["ABCD"[(place + (place >= right)) % 4] for place in range(of)]
    return [
        Likelihood(f"q{place}", "cloze", letter, 0.0 if letter == taken[place] else -9.0, 1, 1)
        for place in range(of)
        for letter in "ABCD"
    ]


def likely(numbers) -> str:
    return {each.label: each.text for each in prospect_findings(numbers)}["By likelihood"]


def test_who_knows_more_than_it_writes_is_told_so_with_what_may_help() -> None:
    numbers = prospect(1, 3, likelihoods=by_likelihood(20))
    said = likely(numbers)
    # Wilson's interval of 20 of 40 with Student's quantile, 39 of 40 being the size that the spread leaves.
    assert said.startswith(
        "Right: most probable words, a character 50.0 % (34.6 to 65.4 %); most probable words, their sum 50.0 % "
        "(34.6 to 65.4 %); as written 0.0 % (0.0 to 9.3 %); chance 25.0 %. It knows more than it writes, by "
        "+50.0 points"
    )
    assert "it is shown no options, and so can hardly write one as it stands; show them (tasks.<name>.prompts." in said
    assert verdict(numbers).text.endswith(
        "But by likelihood 50.0 % are right, written 0.0 %: it knows more than it writes, see below."
    )
    assert "it knows more" not in verdict(prospect(4, 0, likelihoods=by_likelihood(20))).text  # there is much to mine


@pytest.mark.parametrize(
    ("shown", "cut", "answered", "advice"),
    [
        ("none", 0.0, 1.0, 'show them (tasks.<name>.prompts.choices_as = "listed")'),
        ("lettered", 0.0, 1.0, "what it writes leads it astray; look at the examples"),
        ("listed", 0.6, 0.3, "most outputs are cut before they state an answer; raise mining.max_new_tokens"),
        ("listed", 0.1, 0.5, "most outputs state no answer that can be read; look at the examples"),
        (None, 0.0, 0.9, "what it writes leads it astray; look at the examples"),
    ],
)
def test_what_may_help_goes_by_how_it_was_asked_and_by_what_outputs_lack(
    shown: str | None, cut: float, answered: float, advice: str
) -> None:
    numbers = prospect(1, 3, likelihoods=by_likelihood(40))
    numbers["questions"]["choices_as"] = shown
    numbers["decodings"][-1]["cut"]["share"], numbers["decodings"][-1]["answered"]["share"] = cut, answered
    assert advice in likely(numbers)


def test_who_does_not_go_by_the_letters_is_to_be_asked_without_them() -> None:
    numbers = prospect(1, 3, likelihoods=by_likelihood(40))
    letters = {**numbers["likelihood"][1], "measure": "letter", "above_chance": False}
    numbers["likelihood"].append(letters)
    assert 'ask without letters or options (tasks.<name>.prompts.choices_as = "listed", "none")' in likely(numbers)
    letters["above_chance"] = True
    assert "without letters" not in likely(numbers)


def test_who_knows_no_more_is_told_that_or_why_it_is_not_known() -> None:
    said = likely(prospect(1, 3, likelihoods=by_likelihood(10)))
    assert said.endswith(
        "Neither is above chance: as it is asked, nothing shows that it can do this task; before you give it up, ask "
        'with tasks.<name>.prompts.choices_as = "listed".'
    )
    few = likely(prospect(1, 3, questions=12, likelihoods=by_likelihood(3, of=12)))
    assert few.endswith("chance 25.0 %. These are too few questions to tell more.")
    numbers = prospect(1, 3, likelihoods=by_likelihood(10))
    numbers["likelihood"][0]["above_chance"] = True
    assert likely(numbers).endswith("By likelihood it is not above chance, but what it writes is: writing helps it.")
    for level, words in (
        ("alike", "not above what it writes, as far as can be told."),
        ("written", "writing helps it."),
    ):
        numbers["verdict"]["knows"]["level"] = level
        assert words in likely(numbers)
    numbers["likelihood"], numbers["verdict"]["knows"] = [], None
    assert likely(numbers).startswith("Not scored: answers that are numbers")
    assert "By likelihood" not in [each.label for each in prospect_findings(prospect(1, 3))]


def test_of_some_questions_with_a_closed_set_it_is_told_how_many() -> None:
    numbers = prospect(1, 3, likelihoods=by_likelihood(20))
    numbers["questions"]["asked"] = 50
    assert likely(numbers).startswith("Right (of 40 with a closed set of answers): most probable words, a character")


def test_what_it_knows_by_likelihood_has_a_section(tmp_path) -> None:
    write_prospect(tmp_path, prospect(1, 3, likelihoods=by_likelihood(20)), [])
    page = (tmp_path / "prospect.html").read_text(encoding="utf-8")
    anchors = re.findall(r'<h2 id="([\w-]+)"', page)
    assert anchors[:4] == ["verdict", "outputs", "likelihood", "pass"] and '<a href="#likelihood">' in page
    row = re.search(r'<tr><th scope="row">most probable words, a character</th>(.*?)</tr>', page)
    assert row is not None
    cells = re.findall(r"<td>(.*?)</td>", row[1])
    assert cells[:5] == ["50.0", "20/40", "34.6 to 65.4", "25.0", "+50.0"]


def test_every_kind_of_row_is_on_the_page_and_the_numbers_beside_it(tmp_path) -> None:
    numbers = prospect(2, 2, 1)
    shown = shown_path("t", "q1", question="Which?", text="So it is.")
    written = write_prospect(tmp_path, numbers, [StandingPaths("unread", [shown]), StandingPaths("cut", [])])
    page = (tmp_path / "prospect.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "prospect.json").read_text(encoding="utf-8")) == written
    assert written["findings"][0] == verdict(numbers)._asdict()
    anchors = ["verdict", "outputs", "pass", "looks", "rules", "thresholds", "examples", "settings"]
    assert re.findall(r'<h2 id="([\w-]+)"', page) == anchors
    for name in ("kept by all rules", "kept by direct response alone", "branch 0", "length 10 (quarter 1)"):
        assert f'<th scope="row">{name}</th>' in page
    assert "Ends, but states no answer that can be read" in page and "Cut at its longest" not in page
    assert sorted(file.name for file in (tmp_path / "figures").iterdir()) == [
        *("pass-at-k.png", "pass-at-k.svg", "standings.png", "standings.svg"),
    ]
    assert_asks_for_nothing(page)


def test_texts_of_models_and_data_do_nothing(tmp_path) -> None:
    numbers = prospect(1, 3)
    numbers |= {"task": HOSTILE, "student": HOSTILE, "warnings": [HOSTILE]}
    numbers["chance"]["majority"]["answer"] = HOSTILE
    shown = shown_path(HOSTILE, HOSTILE, question=HOSTILE, text=HOSTILE, reason=HOSTILE)
    written = write_prospect(tmp_path, numbers, [StandingPaths("wrong", [shown])])
    page = (tmp_path / "prospect.html").read_text(encoding="utf-8")
    assert_asks_for_nothing(page)
    assert HOSTILE not in page
    assert prospect_text(written).replace("\n", "").isprintable()


def test_the_terminal_gets_the_verdict_and_its_numbers(tmp_path) -> None:
    text = prospect_text(write_prospect(tmp_path, prospect(1, 3), []))
    assert text.startswith("t: 40 of 40 train questions, student tiny\n") and "\nraw sampling " in text
    assert "Nothing to mine: On these 40 questions" in text and "The full run: By the rate" in text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 second"), (89, "89 seconds"), (150, "2 minutes"), (7200, "2.0 hours")]
)
def test_spans(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_rules_are_told_of_where_they_are_on() -> None:
    paths = [
        make_path(f"q{place}", "right", sample=sample, whole_characters=9 if sample else None)
        for place in range(20)
        for sample in range(2)
    ]
    usual = numbers_of(make_questions(20), paths)
    assert [row["rule"] for row in usual["rules"]["by_rule"]] == list(USUAL)
    numbers = whole_prospect(numbers_of(make_questions(20), paths, rules=RulesConfig(unfinished="drop")))
    assert numbers["rules"]["by_rule"][-1] | {"dropped_only": 20, "value": "drop"} == numbers["rules"]["by_rule"][-1]
    said = {each.label: each.text for each in prospect_findings(numbers)}
    assert "is unfinished (rules.unfinished = drop): 20 paths." in said["The rules"]
