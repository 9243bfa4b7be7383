"""Twelve planted reasonings, six plainly good and six plainly bad, that every judge has to tell apart.

Each of six questions has one of either kind. A bad one shows one fault, another for each question; two of them end in
the right answer all the same, and it must not save them.
"""

from typing import Literal, NamedTuple

from sert.config.prompts import PromptTemplates
from sert.records import Question
from sert.tasks.prompts import student_prompt

Kind = Literal["good", "bad"]


class CalibrationItem(NamedTuple):
    """A planted reasoning; `kind` is what its scores should show."""

    item_id: str
    question: Question
    reasoning: str
    kind: Kind


def _question(name: str, asked: str, *, choices: tuple[str, ...] = (), answer: str) -> Question:
    prompt = student_prompt(asked, choices, PromptTemplates())
    return Question(name, "calibration", "test", asked, choices, answer, prompt)


def _pair(question: Question, good: str, bad: str) -> tuple[CalibrationItem, CalibrationItem]:
    name = question.question_id
    return CalibrationItem(f"{name}-good", question, good, "good"), CalibrationItem(f"{name}-bad", question, bad, "bad")


CALIBRATION: tuple[CalibrationItem, ...] = (
    *_pair(
        _question("camel", "Could a camel stand upright inside a domestic refrigerator?", answer="no"),
        "A grown camel is about two metres tall at the hump and longer than that from head to tail. A refrigerator at "
        "home is at most about two metres tall outside, and its inside is smaller and well under a metre wide and "
        "deep. An animal that is taller and much longer than a box cannot stand upright in it. So the answer is no.",
        # unrelated
        "The guitar has six strings and the violin has four. Many concerts are held in the summer because the evenings "
        "are warm. Tickets can be bought at the door. My uncle prefers trains.",
    ),
    *_pair(
        _question("candle", "Would a lit candle go out in a sealed jar?", answer="yes"),
        "A candle burns by combining its wax with oxygen from the air around it. A sealed jar holds only a little air, "
        "and no new air can get in. As the flame burns, it uses up the oxygen in the jar until there is too little "
        "left to keep burning. Then the flame dies. So the answer is yes.",
        # contradicts itself
        "A flame needs no oxygen, so it uses up the oxygen in the jar. Because the jar is sealed, fresh air keeps "
        "coming in, and because there is no air the candle burns brighter. It goes out at once and it never goes out. "
        "So the answer is no, since it is yes.",
    ),
    *_pair(
        _question("penguin", "Might a wild penguin in Antarctica be eaten by a polar bear?", answer="no"),
        "To be eaten by a polar bear, a penguin has to live where polar bears live. Penguins of Antarctica live around "
        "the South Pole. Wild polar bears live only in the Arctic, around the North Pole, and neither animal crosses "
        "the tropics in between. The two never meet in the wild. So the answer is no.",
        # goes round in a circle, to the right answer
        "It cannot be eaten because it is not eaten. It is not eaten because it cannot be eaten. It cannot be eaten "
        "because it is not eaten. It is not eaten because it cannot be eaten. It cannot be eaten because it is not "
        "eaten. So the answer is no.",
    ),
    *_pair(
        _question(
            "bread",
            "What do you add to dough so that it rises before it is baked?",
            choices=("salt", "yeast", "butter", "water", "sugar"),
            answer="B",
        ),
        "Dough rises when gas forms inside it and is held as bubbles. Yeast is a living thing that feeds on the sugars "
        "in flour and gives off carbon dioxide, which is such a gas. Salt, butter, water and sugar change taste and "
        "texture, but none of them makes gas on its own. So the answer is B.",
        # empty words
        "This is a very interesting question and there is a lot to say about it. All things have their reasons, and "
        "one should look at it from every side. In the end it depends on many things, as is so often the case. It is "
        "what it is, and everybody knows how that goes.",
    ),
    *_pair(
        _question(
            "umbrella",
            "Where would you most likely leave a dripping umbrella when you visit a friend?",
            choices=("bed", "bookshelf", "oven", "hallway", "sofa"),
            answer="D",
        ),
        "A dripping umbrella makes whatever lies under it wet. A bed, a sofa and a bookshelf would be damaged by "
        "water, and an oven is for cooking. The hallway is right behind the door, its floor is easy to wipe, and "
        "people leave coats and shoes there. So the answer is D.",
        # lists the options
        "(A) bed, (B) bookshelf, (C) oven, (D) hallway, (E) sofa. (A) bed (B) bookshelf (C) oven (D) hallway (E) sofa. "
        "Answer choices: (A) bed, (B) bookshelf, (C) oven, (D) hallway, (E) sofa.",
    ),
    *_pair(
        _question(
            "ladder",
            "What does a painter need to reach the ceiling of a high room?",
            choices=("ladder", "carpet", "bucket", "curtain", "pillow"),
            answer="A",
        ),
        "The ceiling of a high room is farther up than a person's arm reaches, so the painter has to stand higher. A "
        "ladder is made to be climbed and carries a person safely. A carpet, a curtain and a pillow give no height, "
        "and a bucket gives only a little and tips over. So the answer is A.",
        # a bare answer, the right one
        "So the answer is A.",
    ),
)
