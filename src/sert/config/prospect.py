"""A prospect: one task of a configuration, and how many of its train questions are looked at before any training."""

from sert.config.section import PositiveInt
from sert.config.tree import Config, EvaluationConfig
from sert.errors import ConfigError

LONGEST_NAME = 64
"""Characters of the name of a configuration."""


class ProspectEvaluation(EvaluationConfig):
    """What a prospect takes of `evaluation`: `likelihood` alone. Greedy outputs are as long as paths."""

    likelihood: bool = True
    """Whether the possible answers of each question are scored, too: which one the student finds the most probable
    behind the prompt, by its words and by its letter (`docs/numbers.md`). Not in the paper."""


class Prospect(Config):
    """A configuration of one task whose student is looked at; `training` only says what a run would take."""

    evaluation: ProspectEvaluation = ProspectEvaluation()
    questions: PositiveInt = 100
    """Train questions that are looked at; they are drawn by the seed where there are more. Not in the paper."""


def prospect_of(config: Config, *, task: str | None = None, questions: int | None = None) -> Prospect:
    """Make a prospect of a configuration: of its only task, or of the named one; what it leaves open is a prospect's.

    Of several tasks the name of the task is a part of the prospect's.

    Raises:
        ConfigError: If it has several tasks and none is named, or no task of this name.
    """
    names = list(config.tasks)
    if task is None and len(names) > 1:
        raise ConfigError(
            f"A prospect looks at one task at a time; choose one of {', '.join(names)} by --task (in Python by `task`)."
        )
    if task is not None and task not in names:
        raise ConfigError(f"{config.name} has no task {task!r}; its tasks: {', '.join(names)}.")
    chosen = task or names[0]
    given = config.model_dump(exclude_unset=True)
    given["tasks"] = {chosen: given["tasks"][chosen]}
    if len(names) > 1:
        given["name"] = f"{config.name}-{chosen}"[:LONGEST_NAME]
    if questions is not None:
        given["questions"] = questions
    return Prospect.model_validate(given)
