"""ARC: school questions on science, three to five choices each, an easy and a challenge set (Clark et al., 2018).

An instance of the hub's form; that of the release's JSONL files is read too (`sert.tasks.stems`):

    {"id": "Mercury_1", "question": "Which of these is a source of light?", "answerKey": "C",
     "choices": {"text": ["a mirror", "the moon", "a candle", "a window"], "label": ["A", "B", "C", "D"]}}
"""

from collections.abc import Iterator

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.tasks.readers import FILES, HUB, QuestionSet, read_file, read_splits
from sert.tasks.rows import Row
from sert.tasks.stems import stem_row

_SETS = {"arc_easy": "ARC-Easy", "arc_challenge": "ARC-Challenge"}


def read_rows(config: TaskConfig) -> Iterator[Row | DataError]:
    """Read the questions of the set that the kind names.

    Raises:
        DataError: If a file or the hub set cannot be read.
    """
    return read_splits(config, read_file, test_split="test", row=stem_row, hub_config=_SETS[config.kind])


EASY, CHALLENGE = (
    QuestionSet(
        f"{name}: science for schools, three to five choices (the release's JSONL files, or a hub set)",
        read_rows,
        options=FILES | HUB,
        hub_id="allenai/ai2_arc",
    )
    for name in _SETS.values()
)
