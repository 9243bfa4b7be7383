"""The verifier: says of each step of a path whether it is true in the world, and whether the conclusion follows.

Claims are read wherever they stand: who keeps which animal, how an animal swims (climbs, ...), what it fears (eats,
...), and which choice says what. Sentences without a claim are neither true nor false.
"""

import re
from typing import NamedTuple

from sert.errors import DataError
from sert.lab.corpus import DETERMINERS, KEEPS
from sert.lab.world import ATTRIBUTES, WELL, World
from sert.records import Question
from sert.tasks.answers import read

_VERB_OF = {attribute.verb_s: verb for verb, attribute in ATTRIBUTES.items()}
_VERBS = "|".join([*ATTRIBUTES, *_VERB_OF])
_VALUES = "|".join(sorted({value for attribute in ATTRIBUTES.values() for value in attribute.values}))
_QUESTION = re.compile(
    rf"(?:Does|Is it true that|What does|Which of these does) the pet of (?P<person>\w+) (?P<verb>{_VERBS})(?: well)?\?"
)
_KEEPS = re.compile(rf"\b(\w+) (?:{'|'.join(KEEPS)}) a (\w+)\b|\b[Tt]he pet of (\w+) is a (\w+)\b")
_ATTRIBUTE = re.compile(rf"\b(?i:{'|'.join(DETERMINERS)}) (\w+) ({'|'.join(_VERB_OF)}) ({_VALUES})\b")
_CHOICE = re.compile(rf"\bchoice that says ({_VALUES}) is \(([A-J])\)")


class AskedPair(NamedTuple):
    """What a lab question asks about."""

    person: str
    verb: str


class Step(NamedTuple):
    """One claim of a path: its words, and whether it is true."""

    claim: str
    true: bool


class Verification(NamedTuple):
    """What the verifier says of a path.

    Attributes:
        steps: Every claim.
        complete: Both hops of the question are stated: the animal of the person, and what is true of it.
        conclusion: The answer that the path states, None when it states none.
        follows: Whether the conclusion follows from the path's own claims; None when there is no conclusion.
        true: Both hops are stated, every claim is true, and a conclusion, if there is one, follows.
    """

    steps: tuple[Step, ...]
    complete: bool
    conclusion: str | None
    follows: bool | None
    true: bool

    @property
    def score(self) -> float:
        """Grade the path from 0 to 10: the share of what a whole path needs.

        Each claim is to be true, both hops are to be stated, and a conclusion is to follow. A path that is `true` gets
        10, a bare answer 0.
        """
        needed = [step.true for step in self.steps] + [self.complete]
        if self.follows is not None:
            needed.append(self.follows)
        return 10 * sum(needed) / len(needed)


def parse_question(question: Question) -> AskedPair:
    """Read person and verb back from a lab question.

    Raises:
        DataError: If it is not a question of the lab.
    """
    match = _QUESTION.fullmatch(question.question)
    if match is None:
        raise DataError(f"{question.question!r} is not a question of the lab; only the lab's own can be verified.")
    return AskedPair(match["person"], _VERB_OF.get(match["verb"], match["verb"]))


def verify(world: World, question: Question, text: str) -> Verification:
    """Check a path or rationale against the world, claim by claim."""
    asked = parse_question(question)
    found = read(text, question)
    reasoning, conclusion = found.reasoning, found.answer
    keeps = [((m[1] or m[3]), (m[2] or m[4]), m[0]) for m in _KEEPS.finditer(reasoning)]
    claims = [(m[1], _VERB_OF[m[2]], m[3], m[0]) for m in _ATTRIBUTE.finditer(reasoning)]
    steps = [Step(words, world.animal_of.get(person) == animal) for person, animal, words in keeps]
    steps += [Step(words, world.value_of.get((animal, verb)) == value) for animal, verb, value, words in claims]
    steps += [Step(m[0], _answer_of(question, m[1]) == m[2]) for m in _CHOICE.finditer(reasoning)]
    animals = {animal for person, animal, _ in keeps if person == asked.person}
    stated = [value for animal, verb, value, _ in claims if verb == asked.verb and animal in animals]
    follows = None if conclusion is None else bool(stated) and conclusion == _answer_of(question, stated[-1])
    true = bool(stated) and all(step.true for step in steps) and follows is not False
    return Verification(tuple(steps), bool(stated), conclusion, follows, true)


def _answer_of(question: Question, value: str) -> str | None:
    if not question.choices:
        return "yes" if value == WELL else "no"
    return question.letters[question.choices.index(value)] if value in question.choices else None
