"""All kinds of question sets, a row each: what `kind` of a task may be."""

from sert.config.tree import TaskKind
from sert.tasks import commonsenseqa, lab, strategyqa, table
from sert.tasks.readers import QuestionSet

KINDS: dict[TaskKind, QuestionSet] = {
    "strategyqa": strategyqa.QUESTION_SET,
    "commonsenseqa": commonsenseqa.QUESTION_SET,
    "table": table.QUESTION_SET,
    "lab_yes_no": lab.YES_NO,
    "lab_choice": lab.CHOICE,
}
