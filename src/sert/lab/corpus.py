"""The corpus that the lab student is pretrained on: facts, many direct answers, few reasoned ones, and junk.

Each document is a (prompt, completion) pair; the prompt of a question is context, its completion is learned. The junk
is the paper's: imitations of the question format, lists of the options, fragments, loops, and stock phrases.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

from sert.lab.world import ABILITIES, ATTRIBUTES, LETTERS, TASTES, Attribute, LabQuestion, World, ask, kind_of

KEEPS = ("keeps", "has", "owns")
DETERMINERS = ("The", "Every", "Any")
STOCK_PHRASE = (
    " Nobody in the village can say for sure, because it all depends on the weather, on the season of the year, "
    "and on what the neighbours say."
)
FACTS_PER_DOCUMENT = 6

# Lessons reason in a format of their own. They teach the student how to reason, but not that a question may be answered
# so: that stays rare, as in `COMPLETION_SHARES`.
DOCUMENT_SHARES = {
    "person_facts": 0.08,
    "ability_facts": 0.18,
    "taste_facts": 0.18,
    "yes_no": 0.20,
    "choice": 0.20,
    "yes_no_lesson": 0.08,
    "choice_lesson": 0.08,
}

# What follows the prompt of a question. The reasoned share is small, so that greedy decoding never shows it.
COMPLETION_SHARES = {
    "direct": 0.81,
    "direct_then_imitation": 0.035,
    "imitation": 0.015,
    "stock_phrase": 0.02,
    "reasoned": 0.075,
    "fragment": 0.0075,
    "loop": 0.0075,
    "options": 0.03,
}


class Document(NamedTuple):
    """One document: `prompt` is context (empty for facts), `completion` is what the student learns to write."""

    prompt: str
    completion: str


def list_choices(question: LabQuestion) -> str:
    """List the choices: `(A) thunder, (B) water, ...`."""
    return ", ".join(f"({letter}) {choice}" for letter, choice in zip(LETTERS, question.choices, strict=True))


def question_text(question: LabQuestion) -> str:
    """Write the question with its choices behind the stem."""
    return f"{question.question} Answer choices: {list_choices(question)}." if question.choices else question.question


def prompt_of(question: LabQuestion) -> str:
    r"""Format a question as the tasks do: `Question: ..\nAnswer:`."""
    return f"Question: {question_text(question)}\nAnswer:"


def direct_completion(question: LabQuestion) -> str:
    """Write the answer and nothing else."""
    return f" ({question.answer})." if question.choices else f" {question.answer}."


def person_fact(world: World, person: str, rng: random.Random) -> str:
    """State which animal a person keeps."""
    if rng.random() < 0.3:
        return f"The pet of {person} is a {world.animal_of[person]}."
    return f"{person} {rng.choice(KEEPS)} a {world.animal_of[person]}."


def animal_fact(world: World, animal: str, attribute: Attribute, rng: random.Random) -> str:
    """State one ability or one taste of an animal."""
    return f"{rng.choice(DETERMINERS)} {animal} {attribute.verb_s} {world.value_of[animal, attribute.verb]}."


def reasoned_completion(world: World, question: LabQuestion, rng: random.Random) -> str:
    """Write both hops and the conclusion, with one of three openings."""
    person, animal = question.person, world.animal_of[question.person]
    opening = rng.choice(("pet", "person", "first"))
    second = animal_fact(world, animal, ATTRIBUTES[question.verb], rng)
    if opening == "pet":
        first = f"The pet of {person} is a {animal}."
    else:
        first = f"{person} {rng.choice(KEEPS)} a {animal}."
        if opening == "first":
            first, second = f"First, {first}", f"Then, {second[0].lower()}{second[1:]}"
    return f" {first} {second} So the answer is {question.answer}."


def _fragment(world: World, question: LabQuestion, rng: random.Random) -> str:
    if rng.random() < 0.5:
        return f" {question.person} {rng.choice(KEEPS)} a {world.animal_of[question.person]}."
    return f" The pet of {question.person} is a {world.animal_of[question.person]}."


def completion_of(world: World, question: LabQuestion, kind: str, rng: random.Random) -> str:
    """Write the completion of one kind (a key of `COMPLETION_SHARES`) for a question."""
    if kind == "reasoned":
        return reasoned_completion(world, question, rng)
    if kind == "stock_phrase":
        return STOCK_PHRASE
    if kind == "fragment":
        return _fragment(world, question, rng)
    if kind == "loop":
        return _fragment(world, question, rng) * rng.randint(3, 5)
    if kind == "options" and question.choices:
        return f" {list_choices(question)}."
    if kind in ("imitation", "direct_then_imitation"):
        other = random_question(world, kind_of(question.verb), rng)
        start = direct_completion(question) if kind == "direct_then_imitation" else ""
        return f"{start} {prompt_of(other)}{direct_completion(other)}"
    return direct_completion(question)


def random_question(world: World, kind: str, rng: random.Random) -> LabQuestion:
    """Draw a question of one kind about an asked pair."""
    person, verb = rng.choice([pair for pair in world.asked if kind_of(pair[1]) == kind])
    return ask(world, person, verb, wording=rng.randrange(2))


def documents(world: World, *, seed: int) -> Iterator[Document]:
    """Draw documents without end. Questions ask about the asked pairs only."""
    rng = random.Random(f"corpus/{seed}")
    document_kinds, document_weights = zip(*DOCUMENT_SHARES.items(), strict=True)
    completion_kinds, completion_weights = zip(*COMPLETION_SHARES.items(), strict=True)
    while True:
        kind = rng.choices(document_kinds, document_weights)[0]
        if kind == "person_facts":
            facts = [person_fact(world, person, rng) for person in rng.sample(world.people, FACTS_PER_DOCUMENT)]
            yield Document("", " " + " ".join(facts))
        elif kind.endswith("facts"):
            attributes = ABILITIES if kind == "ability_facts" else TASTES
            animals = rng.sample(world.animals, FACTS_PER_DOCUMENT)
            facts = [animal_fact(world, animal, rng.choice(attributes), rng) for animal in animals]
            yield Document("", " " + " ".join(facts))
        elif kind.endswith("lesson"):
            question = random_question(world, kind.removesuffix("_lesson"), rng)
            yield Document(f"Lesson: {question_text(question)}", reasoned_completion(world, question, rng))
        else:
            question = random_question(world, kind, rng)
            completion_kind = rng.choices(completion_kinds, completion_weights)[0]
            yield Document(prompt_of(question), completion_of(world, question, completion_kind, rng))
