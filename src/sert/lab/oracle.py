"""The oracle teacher: true rationales for the lab's questions, in a longer style than the student's own.

We must find out which animal Mara keeps. Mara keeps a fox. Next we look at what the fox fears. The fox fears
snow. The choice that says snow is (D).
"""

from sert.lab.verifier import parse_question
from sert.lab.world import ATTRIBUTES, World
from sert.records import Question


def write_rationale(world: World, question: Question) -> str:
    """Write the oracle's reasoning for a lab question, without its conclusion."""
    asked = parse_question(question)
    animal = world.animal_of[asked.person]
    value, verb_s = world.value_of[animal, asked.verb], ATTRIBUTES[asked.verb].verb_s
    first = f"We must find out which animal {asked.person} keeps. {asked.person} keeps a {animal}."
    sought, third = "how", f"The question is whether it {verb_s} well."
    if question.choices:
        letter = question.letters[question.choices.index(value)]
        sought, third = "what", f"The choice that says {value} is ({letter})."
    return f"{first} Next we look at {sought} the {animal} {verb_s}. The {animal} {verb_s} {value}. {third}"
