import pytest

from sert.config.prompts import PromptTemplates
from sert.records import Question
from sert.tasks.answers import extract_loose, extract_strict, is_correct, normalize_gold, read, reasoning_of
from sert.tasks.prompts import student_prompt

FRUIT = ("bank", "library", "department store", "mall", "new york")


def make_question(answer, choices=()):
    prompt = student_prompt("Where?", choices, PromptTemplates())
    return Question("1", "demo", "train", "Where?", tuple(choices), answer, prompt)


YES_NO = make_question("yes")
CHOICE = make_question("B", FRUIT)
TEXT = make_question("New York")
NUMBER = make_question("1000")


@pytest.mark.parametrize(
    ("tail", "answer"),
    [
        (" yes.", "yes"),
        (" No", "no"),
        (": **No**.", "no"),
        ('\n"Yes".', "yes"),
        (" (no)", "no"),
        (" yes, because there is no sea.", "yes"),
        (" no because it is dry", "no"),
        (" yes\nQuestion: Is it? Answer: no", "yes"),
        (" no one knows.", None),
        (" yes or no.", None),
        (" yes/no", None),
        (" yes, no.", None),
        (" not yes.", None),
        (" nothing.", None),
        (" True", "yes"),
        (" false.", "no"),
        (" true or false", None),
        (" _no_", "no"),
        (" yes \u2705", "yes"),
        (" no - never", "no"),
        (" yes, but in winter no.", None),
        (" yes. No.", None),
        (" yes. No pole casts none.", "yes"),
        ("", None),
    ],
)
def test_strict_yes_no(tail, answer):
    assert extract_strict(f"Water is wet. So the answer is{tail}", YES_NO) == answer


@pytest.mark.parametrize(
    ("tail", "answer"),
    [
        (" B", "B"),
        (" (B).", "B"),
        (" B.", "B"),
        (" B) library", "B"),
        (" (B) library.", "B"),
        (" B library", "B"),
        (" (b)", "B"),
        (" b.", "B"),
        (" Department store.", "C"),
        (" new york", "E"),
        (" b", None),
        (" F.", None),
        (" the library.", None),
        (" a bank.", None),
        (" A place.", None),
        (" new york city.", None),
        (" B or C.", None),
        (" (B) and (C).", None),
        (" B/C", None),
        (" B, C.", None),
        (" library, bank.", None),
        (" (B) bank.", None),
        (" not B.", None),
        (" (B.)", "B"),
        (" B (library)", "B"),
        (" library (B)", "B"),
        (" department  store", "C"),
        (" (B) the bank", None),
        (" B. C.", None),
        (" B. C is far away.", "B"),
        (" B, or rather (C).", None),
        (" B, because C is far away.", "B"),
        (" e.g. a bank", None),
    ],
)
def test_strict_choice(tail, answer):
    assert extract_strict(f"Books are there. So the answer is{tail}", CHOICE) == answer


def test_strict_letter_and_other_text_are_two_answers():
    question = make_question("A", ("E. coli", "salt", "yeast", "mould", "dust"))
    assert extract_strict("So the answer is E. coli.", question) is None
    assert extract_strict("So the answer is E.", question) == "E"


def test_strict_letter_wins_over_a_text_of_one_letter():
    notes = make_question("C", ("C", "D", "E"))
    assert extract_strict("So the answer is C.", notes) == "C"


@pytest.mark.parametrize(
    ("tail", "answer"),
    [(" New York.", "New York"), (' "new   york"! It is big.', "new york"), ("\n\nParis\nRome", "Paris"), (" .", None)],
)
def test_strict_text(tail, answer):
    assert extract_strict(f"So the answer is{tail}", TEXT) == answer


@pytest.mark.parametrize(
    ("tail", "answer"),
    [
        (" $1,000.", "1,000"),
        (" -5", "-5"),
        (" - 5", "5"),
        (" 42 apples", "42"),
        (" 40 or 42.", None),
        (" forty. Or 3.", "40"),
    ],
)
def test_strict_number(tail, answer):
    assert extract_strict(f"So the answer is{tail}", NUMBER) == answer


def test_strict_reads_behind_the_last_phrase_in_any_case():
    assert extract_strict("So the answer is yes. SO THE ANSWER IS no.", YES_NO) == "no"
    assert extract_strict("So the answer is yes. So the answer is unclear.", YES_NO) is None


def test_a_line_may_break_in_the_phrase():
    assert extract_strict("So the\nanswer  is yes", YES_NO) == "yes"


def test_a_next_question_behind_the_conclusion_does_not_count():
    text = " It is. So the answer is yes.\nQuestion: Is it not? Answer: It is not. So the answer is no."
    assert extract_strict(text, YES_NO) == extract_loose(text, YES_NO) == "yes"
    assert reasoning_of(text, YES_NO) == " It is. "
    open_end = " So the answer is open.\nQuestion : Is it? So the answer is no."
    assert extract_strict(open_end, YES_NO) is extract_loose(open_end, YES_NO) is None


def test_the_question_that_was_asked_may_be_repeated_before_the_conclusion():
    text = "Question: Where? Answer: It is. So the answer is yes."
    assert extract_strict(text, YES_NO) == "yes"
    assert reasoning_of(text, YES_NO) == "Question: Where? Answer: It is. "
    assert extract_strict(text.replace("Where", "Why"), YES_NO) is None


def test_a_sign_is_part_of_a_choice():
    signed = make_question("A", ("5", "-5", "$5"))
    assert [extract_strict(f"So the answer is {each}.", signed) for each in ("5", "-5", "$5")] == ["A", "B", "C"]
    assert extract_strict("So the answer is (A) -5.", signed) is None
    assert extract_strict("So the answer is 5%.", signed) is None


def test_equal_texts_compare_equal_however_they_are_encoded():
    encoded = make_question("A", ("caf\u00e9", "stra\u00dfe", "friend's house"))
    written = ("cafe\u0301", "STRASSE", "friend\u2019s house")
    assert [extract_strict(f"So the answer is {each}.", encoded) for each in written] == ["A", "B", "C"]


def test_choices_that_differ_in_their_closing_stop_only_are_not_told_apart():
    stopped = make_question("A", ("car", "car.", "lorry."))
    assert extract_strict("So the answer is car.", stopped) is None
    assert extract_strict("So the answer is lorry", stopped) == "C"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (" Fish swim. The answer is no.", "no"),
        (" Fish swim. So, the answer is no.", "no"),
        (" Fish swim. Therefore, the answer to the question is **No**.", "no"),
        (" Fish swim. Therefore, no.", "no"),
        (" Fish swim.\n\n**Answer:** No", "no"),
        (" Fish swim. The final answer is $\\boxed{\\text{no}}$.", "no"),
        (" No, because fish have no voice.", "no"),
        ("\n\nNo. Fish have no voice.", "no"),
        (" No, they swim. The answer is: No, they swim.", "no"),
        (" Fish have no voice, and yes, they swim.", None),
        (" Noone knows.", None),
        (" No, they swim. The answer is yes.", None),
        (" The answer is yes. The answer is no.", None),
        (" The answer is yes. The answer is open.", None),
        (" The answer is open. The answer is yes.", "yes"),
        (" The answer is not yes.", None),
        (" The answer is no. So the answer is yes.", "yes"),
        (" The answer is no. So the answer is", None),
        ("The correct answer would be: **Yes**", "yes"),
        ("The answer is no at first sight. Yet the answer is yes.", "yes"),
        ("It is hard to say.", None),
        ("The answer is that nobody knows.", None),
        ("The answer is yes or no.", None),
    ],
)
def test_strict_in_other_words(text, answer):
    assert extract_strict(text, YES_NO) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The correct answer is (B) library.", "B"),
        ("The correct answer is:\n\n**(B) library**", "B"),
        ("Books are lent there. The best choice would be the one with books. Answer: B", "B"),
        ("Hence, the most likely answer is B. A bank has none.", "B"),
        ("(B) library. Books are lent there.", "B"),
        ("B", "B"),
        ("Library", "B"),
        ("\\boxed{B}", "B"),
        ("(A) bank is wrong, (B) library is right.", None),
        ("(A) bank\n(B) library\n(C) department store", None),
        ("A bank has no books.", None),
        ("The library has books.", None),
        ("The correct answer is (A) bank. The correct answer is (B) library.", None),
        ("The correct answer is (B) or (C).", None),
        ("Answer choices: (A) bank, (B) library.", None),
    ],
)
def test_strict_choice_in_other_words(text, answer):
    assert extract_strict(text, CHOICE) == answer


def test_a_concluding_sentence_is_no_reasoning():
    assert reasoning_of(" Fish swim. Therefore, the answer is no.", YES_NO) == " Fish swim. "
    assert reasoning_of(" Fish swim. **Answer:** No\n", YES_NO) == " Fish swim. **"
    for kept in (" The answer is no, because fish swim.", " The answer is no. Fish swim.", " The answer is open."):
        assert reasoning_of(kept, YES_NO) == kept


def test_only_the_trained_phrase_concludes_as_trained():
    assert read("Fish swim. So the answer is no.", YES_NO).by_phrase
    assert not read("Fish swim. The answer is no.", YES_NO).by_phrase
    assert not read("Fish swim. So the answer is open.", YES_NO).by_phrase


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes, no, yes", "yes"),
        ("Nobody knows, but NO.", "no"),
        ("No-one noted yesterday.", None),
        ("There is no doubt. So the answer is surely yes", "yes"),
        ("There is no doubt. So the answer is open", "no"),
        ("There is no doubt. So the answer is yes. So the answer is", "yes"),
        ("So the answer is not yes", None),
    ],
)
def test_loose_yes_no(text, answer):
    assert extract_loose(text, YES_NO) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("I would say (C), not B.", "C"),
        ("It is d) I guess", "D"),
        ("E. That is it", "E"),
        ("B", "B"),
        ("A dog goes to the mall.", "D"),
        ("A German dog goes to the mall.", "D"),
        ("A or B", "A"),
        ("The Library or the bank", "B"),
        ("New Yorkers like banks.", None),
        ("F", None),
        ("U.S.A.F. and B-movies", None),
        ("(A) is wrong. So the answer is surely (C)", "C"),
    ],
)
def test_loose_choice(text, answer):
    assert extract_loose(text, CHOICE) == answer


def test_loose_pronoun_is_no_letter():
    ten = make_question("I", [f"thing {number}" for number in range(10)])
    assert extract_loose("I think J", ten) == "J"
    assert extract_loose("The answer: I", ten) == "I"


def test_loose_prefers_the_longer_of_two_texts_at_one_place():
    question = make_question("A", ("dark", "dark room"))
    assert extract_loose("In a dark room", question) == "B"


def test_loose_text():
    assert extract_loose("\n New York! \nParis", TEXT) == "New York"
    assert extract_loose("First 3, then 1,000 in all", NUMBER) == "1,000"
    assert extract_loose("none", NUMBER) is None
    assert extract_loose("\n \n", TEXT) is None


@pytest.mark.parametrize("question", [YES_NO, CHOICE])
def test_loose_is_strict_where_strict_answers(question):
    text = f"no (A). So the answer is {question.answer}."
    assert extract_loose(text, question) == extract_strict(text, question) == question.answer


def test_reasoning_of():
    assert reasoning_of(" One. so the answer is two. So the answer is 3", NUMBER) == " One. so the answer is two. "
    assert reasoning_of("No phrase", NUMBER) == "No phrase"


def test_is_correct():
    assert is_correct("B", CHOICE)
    assert not is_correct("C", CHOICE)
    assert not is_correct("no", YES_NO)
    assert is_correct(" new  york.", TEXT)
    assert not is_correct("York", TEXT)


@pytest.mark.parametrize(
    ("given", "equal"), [("$1,000.0", True), ("01000", True), ("100", False), ("-1000", False), ("1000.5", False)]
)
def test_is_correct_compares_numbers(given, equal):
    assert is_correct(given, NUMBER) is equal


@pytest.mark.parametrize(
    ("raw", "choices", "answer"),
    [
        (True, (), "yes"),
        (False, (), "no"),
        ("True", (), "yes"),
        ("NO.", (), "no"),
        (" Oslo ", (), "Oslo"),
        ("", (), None),
        (" . ", (), None),
        (None, (), None),
        (1, (), None),
        ("B", FRUIT, "B"),
        ("(b)", FRUIT, "B"),
        ("C.", FRUIT, "C"),
        ("New York", FRUIT, "E"),
        ("F", FRUIT, None),
        ("(F)", FRUIT, None),
        ("church", FRUIT, None),
        (True, FRUIT, None),
        ("C", ("C", "D", "E"), None),
        ("(C)", ("C", "D", "E"), "C"),
        ("red", ("red", "red", "blue"), None),
        ("Turkey", ("Turkey", "turkey"), "A"),
    ],
)
def test_normalize_gold(raw, choices, answer):
    assert normalize_gold(raw, choices) == answer


JUNK = {
    "blanks": ("", " ", ""),
    "articles": ("", "A ", ""),
    "article, then blanks": ("A", " ", ""),
    "open brackets": ("", "(", ""),
    "digits": ("So the answer is ", "1", ""),
    "phrases": ("", "So the answer is ", ""),
    "phrase, then blanks": ("So the answer is", " ", "x"),
    "answer, then commas": ("So the answer is B", " ,", ""),
    "choices": ("", "new ", ""),
    "dashes": ("", "no-", ""),
    "words of the phrase, far apart": ("", "So           the           answer ", ""),
    "questions": ("So the answer is ", "question ", ""),
    "answer, then brackets": ("So the answer is B", ") (", ""),
    "answer, then joiners": ("So the answer is (B)", " or ", ""),
    "answer, then letters": ("So the answer is (B) ", "C ", "x"),
    "answer, then opposites": ("So the answer is no, ", "yes we ", "x"),
    "quotes": ("So the answer is ", '"', ""),
    "announcements": ("", "the answer is ", ""),
    "announcement, then blanks": ("The answer is", " ", "x"),
    "announcements of what": ("", "the answer to ", ""),
    "announcement of what, then quotes": ("The answer to ", '"a', ""),
    "boxes": ("", "\\boxed{", "7"),
    "answers before": ("", "7 is the answer, ", ""),
    "words before an answer": ("", "x ", "is the answer"),
    "conclusions": ("", "so yes ", ""),
    "sentences": ("", "So 1. ", "x"),
    "ends that are open": ("", "A:\n", ""),
    "calculations": ("", "So 3 = 4 pens so\n", ""),
    "a letter, then choices": ("(B) ", "bank ", ""),
    "roles": ("", "user\n", ""),
    "stops": ("", ". ", ""),
    "accents": ("So the answer is e", "\u0301\u0316", ""),
}


@pytest.mark.soak
@pytest.mark.parametrize("question", [YES_NO, CHOICE, TEXT, NUMBER], ids=["yes/no", "choice", "text", "number"])
@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
def test_a_megabyte_of_junk_is_read_like_a_line_of_it(junk, question, full):
    # A pattern that is not linear would not come back for hours; for minutes, from the tenth of it.
    start, unit, end = junk
    line, megabyte = (f"{start}{unit * (size // len(unit))}{end}" for size in (40, 1_000_000 if full else 100_000))
    assert (extract_strict(megabyte, question) is None) == (extract_strict(line, question) is None)
    assert (extract_loose(megabyte, question) is None) == (extract_loose(line, question) is None)
