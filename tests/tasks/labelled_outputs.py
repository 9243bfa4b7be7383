"""Outputs as small students write them, each with the answer that a careful reader gives it.

The labels follow the strict rule of `sert.tasks.answers` as a person applies it:

1. Where the text says `So the answer is`, only what stands right behind the last one counts; case and line breaks do
   not. Else an answer in other words does (`Therefore the answer is`, `Answer:`), and one that the text begins with
   (`No, because`); where these differ, none.
2. Blanks, colons, dashes, opening brackets, quotes of any kind and emphasis may come before the answer. Other words
   (`that`, `not`, `probably`, `the`, `option`) may not: none.
3. The answer is `yes` or `no` (or `true` or `false`), a letter of the question, the exact text of one choice, or a
   letter with its own choice's text. Behind it come the end, punctuation, a symbol or a reason, but no other words of
   the same phrase (`no one knows`): none.
4. Two different answers are ambiguous: joined (`B or C`, `yes, but no`), as a letter with another choice's text, as the
   opposite that closes the same sentence (`yes, and in winter no`), or as a bare second answer in the next one
   (`yes. No.`). A choice that is mentioned in the reason (`B, because A is small`) is no second answer.
5. What a student writes from a next `Question:` on answers another question and does not count, unless it repeats the
   question that was asked.
6. An answer that breaks off is none. One that is complete before the text breaks off counts.

Loose labels are the answer that a lenient reader would note down, with the phrase or without it; of two, the first.
"""

from typing import NamedTuple

from sert.records import Question

NONE = "none"
AMBIGUOUS = "ambiguous"

YES_NO_QUESTIONS = {
    "heron": "Can a heron stand in a metre of water?",
    "snow": "Would a snowman last a week in the Sahara?",
    "piano": "Could one person carry a grand piano upstairs?",
    "moon": "Is there a post office on the moon?",
    "bread": "Do bakers start work before sunrise?",
    "norway": "Does Norway have a king?",
    "noon": "Does the shadow of a pole vanish at noon?",
    "chess": "Can a bishop ever reach a square of the other colour?",
}

# Question, choices. Some hold each other, look like letters, numbers or answers, or are punctuated.
CHOICE_QUESTIONS = {
    "coat": ("Where would you hang a wet coat?", ("oven", "hook", "river", "lamp", "drawer")),
    "dark": ("Where are films developed?", ("dark", "dark room", "room", "bedroom", "red room")),
    "count": ("How many of them were left?", ("1", "10", "1.5", "1,000", "-1")),
    "say": ("What did the shy child say?", ("no", "yes", "maybe", "no answer", "A")),
    "grade": ("Which grade did she hope for?", ("B", "C", "D", "E", "A")),
    "place": ("Where did they meet?", ("neighbor's barn", "washington d.c.", "rock'n'roll hall", "barn", "St. Ives")),
    "accent": ("What did he photograph?", ("café", "Straße", "naïve art", "smörgåsbord", "ice-cream van")),
    "vitamin": ("What do carrots hold?", ("vitamin A", "vitamin B", "a vitamin", "vitamin", "B vitamins")),
    "evening": ("What does a tired child need?", ("sleep or rest", "sleep", "rest", "rest and play", "play")),
    "twice": ("Where do singers work?", ("opera", "stage", "opera", "cinema", "park")),
    "city": ("Where was the film shot?", ("Paris", "Paris, Texas", "Texas", "New York", "York")),
    "meta": ("Which of them is hot?", ("all of the above", "none of the above", "both", "the former", "soup")),
}


class Labelled(NamedTuple):
    """One output; `strict` and `loose` are an answer or None."""

    question: Question
    output: str
    strict: str | None
    ambiguous: bool
    loose: str | None


def make_question(key: str) -> Question:
    """Make the question of a key; its gold answer is of no importance to the reading."""
    if key in YES_NO_QUESTIONS:
        return Question(key, "demo", "test", YES_NO_QUESTIONS[key], (), "yes", "")
    stem, choices = CHOICE_QUESTIONS[key]
    return Question(key, "demo", "test", stem, choices, "A", "")


def label(row: tuple[str, ...]) -> Labelled:
    """Read a row: key, output, strict label, and the loose label where it differs."""
    key, output, strict, *rest = row
    loose = rest[0] if rest else strict
    named = [None if each in (NONE, AMBIGUOUS) else each for each in (strict, loose)]
    return Labelled(make_question(key), output, named[0], strict == AMBIGUOUS, named[1])
