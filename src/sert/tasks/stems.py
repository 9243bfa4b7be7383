"""Questions with a stem and labelled choices, as the releases of ARC and OpenBookQA and the hub write them.

An instance of a release's JSONL files, and one of the hub; labels may be A, B, C or 1, 2, 3:

    {"id": "k1", "question": {"stem": "What melts?", "choices": [{"text": "ice", "label": "A"},
     {"text": "stone", "label": "B"}]}, "answerKey": "A"}
    {"id": "k1", "question": "What melts?", "choices": {"text": ["ice", "stone"], "label": ["A", "B"]},
     "answerKey": "A"}
"""

from collections.abc import Mapping

from sert.config.columns import Columns
from sert.records import Split
from sert.tasks.rows import Record, Row
from sert.tasks.table import table_row

_NESTED = Columns(question="question.stem", choices="question.choices", answer="answerKey", answer_is="label")
_FLAT = Columns(question="question", choices="choices", answer="answerKey", answer_is="label")


def stem_row(split: Split, record: Record) -> Row:
    """Tell a row apart; ids are the set's own, or row numbers where it has none.

    Raises:
        DataError: If a column is missing, or the answer is none of the labels.
    """
    columns = _NESTED if isinstance(record.columns.get("question"), Mapping) else _FLAT
    changes = {"question_id": "id"} if "id" in record.columns else {}
    if "question_stem" in record.columns:  # OpenBookQA on the hub
        changes["question"] = "question_stem"
    return table_row(columns.model_copy(update=changes), split, record)
