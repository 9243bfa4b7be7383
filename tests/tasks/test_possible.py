"""How possible answers are written as they are learned; which there are, see `tests/evaluation/test_likelihood.py`."""

from dataclasses import replace

from sert.config.prompts import PromptTemplates
from sert.records import Question
from sert.tasks.possible import learned_answers

CHOICE = Question(
    "q", "t", "train", "What cuts?", ("rope", "a saw"), "B", "What cuts? Answer choices: (A) rope, (B) a saw."
)
PLAIN = replace(CHOICE, choices=(), answer="no")


def test_answers_are_learned_as_letters_or_as_words() -> None:
    assert learned_answers(CHOICE, PromptTemplates()) == {"A": "A", "B": "B"}
    assert learned_answers(CHOICE, PromptTemplates(choices_as="listed")) == {"A": "rope", "B": "a saw"}
    bare = replace(CHOICE, prompt="What cuts?")  # what is learned goes by the templates
    assert learned_answers(bare, PromptTemplates(choices_as="none")) == {"A": "rope", "B": "a saw"}


def test_yes_and_no_and_a_number_alone() -> None:
    assert learned_answers(PLAIN, PromptTemplates()) == {"yes": "yes", "no": "no"}
    assert learned_answers(replace(PLAIN, answer="72"), PromptTemplates()) == {"72": "72"}
