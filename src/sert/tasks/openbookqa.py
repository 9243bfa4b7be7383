"""OpenBookQA: four choices on elementary science and common knowledge (Mihaylov et al., 2018).

An instance of the hub's form; that of the release's JSONL files is read too (`sert.tasks.stems`):

    {"id": "7-980", "question_stem": "The sun is responsible for", "answerKey": "D",
     "choices": {"text": ["puppies", "clocks", "stones", "growing plants"], "label": ["A", "B", "C", "D"]}}

Three of its train questions have a choice twice, as they were published.
"""

from collections.abc import Iterator

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.tasks.readers import FILES, HUB, QuestionSet, read_file, read_splits
from sert.tasks.rows import Row
from sert.tasks.stems import stem_row


def read_rows(config: TaskConfig) -> Iterator[Row | DataError]:
    """Read the questions.

    Raises:
        DataError: If a file or the hub set cannot be read.
    """
    return read_splits(config, read_file, test_split="test", row=stem_row, hub_config="main")


QUESTION_SET = QuestionSet(
    "OpenBookQA: four choices on elementary science (the release's JSONL files, or a hub set)",
    read_rows,
    options=FILES | HUB,
    hub_id="allenai/openbookqa",
    repeats_choices=True,
)
