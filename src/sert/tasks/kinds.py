"""All kinds of question sets, a row each: what `kind` of a task may be."""

from sert.config.tree import TaskKind
from sert.tasks import arc, boolq, commonsenseqa, gsm8k, lab, math, openbookqa, strategyqa, table
from sert.tasks.readers import QuestionSet

KINDS: dict[TaskKind, QuestionSet] = {
    "strategyqa": strategyqa.QUESTION_SET,
    "commonsenseqa": commonsenseqa.QUESTION_SET,
    "gsm8k": gsm8k.QUESTION_SET,
    "math": math.QUESTION_SET,
    "arc_easy": arc.EASY,
    "arc_challenge": arc.CHALLENGE,
    "openbookqa": openbookqa.QUESTION_SET,
    "boolq": boolq.OPEN,
    "boolq_closed": boolq.CLOSED,
    "table": table.QUESTION_SET,
    "lab_yes_no": lab.YES_NO,
    "lab_choice": lab.CHOICE,
}
