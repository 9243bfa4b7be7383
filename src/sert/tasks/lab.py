"""The lab's question sets: two-hop questions about a closed world of people and their pets.

An instance of `lab_yes_no`, and one of `lab_choice`:

    Does the pet of Mara swim well?
    What does the pet of Mara fear? Answer choices: (A) thunder, (B) water, (C) fire, (D) snow, (E) mirrors.

The pairs of person and verb that are tested are never asked in the train split, nor in the corpus that the lab
student is made from.
"""

from collections.abc import Iterator

from sert.config.tree import TaskConfig
from sert.lab.world import lab_world, split_questions
from sert.records import Split
from sert.tasks.readers import QuestionSet
from sert.tasks.rows import Row

SPLITS: tuple[Split, ...] = ("train", "test")


def read_rows(config: TaskConfig) -> Iterator[Row]:
    """List the questions of the embedded world. Ids are `train-0001` and so on."""
    kind = config.kind.removeprefix("lab_")
    for split in SPLITS:
        questions = split_questions(lab_world(), kind=kind, split=split)
        for number, asked in enumerate(questions, start=1):
            question_id = f"{split}-{number:04d}"
            where = f"the lab, {question_id}"
            yield Row(split, where, question_id, asked.question, list(asked.choices) or None, asked.answer)


YES_NO = QuestionSet("The embedded lab: two-hop yes/no questions, no files needed", read_rows, is_lab=True)
CHOICE = QuestionSet("The embedded lab: two-hop questions with five choices, no files needed", read_rows, is_lab=True)
