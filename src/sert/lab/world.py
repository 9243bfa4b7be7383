"""The closed world of the lab: people keep animals, animals have attributes, and nothing else is true.

Every question needs two hops: from the person to the animal, from the animal to its attribute. Each person keeps a
kind of animal of their own, so a direct answer to a pair that was never asked cannot be composed without the hops.

    Does the pet of Mara swim well?  Mara keeps a fox. The fox swims badly.  ->  no
    What does the pet of Mara fear?  Mara keeps a fox. The fox fears snow.  ->  (D)
"""

import functools
import random
from dataclasses import dataclass
from typing import NamedTuple

PEOPLE = """
    Ada Aldo Anya Arne Bela Boris Cara Cyril Dana Dario Edda Emil Fay Felix Gina Gus Hana Hugo Ida Ivo Jana Jonas
    Kira Knut Lena Luca Mara Milo Nadia Nils Olga Otto Petra Pim Rita Ruben Sana Sven Tara Theo Uma Urs Vera Viggo
    Wanda Wim Xenia Yara Yusuf Zoe Abel Berta Clio Dirk Elsa Franz Greta Hans Ines Jorn
""".split()

ANIMALS = """
    badger bat bear beaver bison boar buffalo camel cat cobra condor cow coyote crab crane crow deer dingo dog
    donkey dove duck falcon ferret finch fox frog gecko goat goose hamster hare hawk heron horse hyena jackal
    jaguar koala lemur leopard lion lizard llama lynx magpie mole monkey moose mouse newt panda parrot pig pony
    puma rabbit raven salmon seal
""".split()


class Attribute(NamedTuple):
    """What can be asked of every animal: a verb in both its forms, and what can follow it."""

    verb: str
    verb_s: str
    values: tuple[str, ...]


WELL, BADLY = "well", "badly"

ABILITIES = (
    Attribute("swim", "swims", (WELL, BADLY)),
    Attribute("climb", "climbs", (WELL, BADLY)),
    Attribute("dig", "digs", (WELL, BADLY)),
    Attribute("sing", "sings", (WELL, BADLY)),
)

TASTES = (
    Attribute("fear", "fears", ("thunder", "water", "fire", "snow", "mirrors")),
    Attribute("eat", "eats", ("berries", "seeds", "roots", "honey", "moss")),
    Attribute("love", "loves", ("music", "silence", "sand", "mud", "wind")),
    Attribute("chase", "chases", ("leaves", "shadows", "bees", "balls", "ribbons")),
)

ATTRIBUTES = {attribute.verb: attribute for attribute in (*ABILITIES, *TASTES)}

LETTERS = "ABCDE"
WORLD_SEED = 0


@dataclass(frozen=True)
class World:
    """Who keeps what, what is true of it, and which (person, verb) pairs are never asked in the corpus.

    Attributes:
        animal_of: Person -> animal; no two people keep the same kind.
        value_of: (animal, verb) -> one of the verb's values.
        asked: Pairs (person, verb) whose questions occur in the corpus and in the train split.
        held_out: Pairs that occur in the test split only.
    """

    people: tuple[str, ...]
    animals: tuple[str, ...]
    animal_of: dict[str, str]
    value_of: dict[tuple[str, str], str]
    asked: tuple[tuple[str, str], ...]
    held_out: tuple[tuple[str, str], ...]


@functools.cache
def lab_world() -> World:
    """The world of the shipped student and of the lab's tasks."""
    return make_world(seed=WORLD_SEED)


def make_world(*, seed: int) -> World:
    """Draw a world. Values are balanced; half of each person's abilities and half of the tastes are held out."""
    rng = random.Random(f"world/{seed}")
    animals = rng.sample(ANIMALS, len(PEOPLE))
    animal_of = dict(zip(PEOPLE, animals, strict=True))
    value_of: dict[tuple[str, str], str] = {}
    for attribute in ATTRIBUTES.values():
        values = [attribute.values[i % len(attribute.values)] for i in range(len(animals))]
        rng.shuffle(values)
        value_of |= {(animal, attribute.verb): value for animal, value in zip(animals, values, strict=True)}
    asked, held_out = [], []
    for person in PEOPLE:
        for attributes in (ABILITIES, TASTES):
            verbs = [attribute.verb for attribute in rng.sample(attributes, len(attributes))]
            asked += [(person, verb) for verb in verbs[: len(verbs) // 2]]
            held_out += [(person, verb) for verb in verbs[len(verbs) // 2 :]]
    return World(tuple(PEOPLE), tuple(animals), animal_of, value_of, tuple(asked), tuple(held_out))


class LabQuestion(NamedTuple):
    """A question of the lab: its text, its choices (empty for yes/no) and its gold answer."""

    person: str
    verb: str
    question: str
    choices: tuple[str, ...]
    answer: str


WORDINGS = {
    "yes_no": ("Does the pet of {person} {verb} well?", "Is it true that the pet of {person} {verb_s} well?"),
    "choice": ("What does the pet of {person} {verb}?", "Which of these does the pet of {person} {verb}?"),
}


def kind_of(verb: str) -> str:
    """Tell how a pair is asked about: `yes_no` for abilities, `choice` for tastes."""
    return "yes_no" if ATTRIBUTES[verb] in ABILITIES else "choice"


def ask(world: World, person: str, verb: str, *, wording: int) -> LabQuestion:
    """Ask one pair in one of its two wordings. The choices of a taste always come in the same order."""
    attribute = ATTRIBUTES[verb]
    value = world.value_of[world.animal_of[person], verb]
    text = WORDINGS[kind_of(verb)][wording].format(person=person, verb=verb, verb_s=attribute.verb_s)
    if kind_of(verb) == "yes_no":
        return LabQuestion(person, verb, text, (), "yes" if value == WELL else "no")
    return LabQuestion(person, verb, text, attribute.values, LETTERS[attribute.values.index(value)])


def split_questions(world: World, *, kind: str, split: str) -> list[LabQuestion]:
    """List the questions of a kind (`yes_no`, `choice`), every pair in both wordings, in a fixed random order.

    The split `train` has the asked pairs, `test` the held-out ones.
    """
    pairs = {"train": world.asked, "test": world.held_out}[split]
    questions = [
        ask(world, person, verb, wording=wording)
        for person, verb in pairs
        if kind_of(verb) == kind
        for wording in range(len(WORDINGS[kind]))
    ]
    random.Random(f"order/{kind}/{split}").shuffle(questions)
    return questions
