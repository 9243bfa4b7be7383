import json
from pathlib import Path

import pytest

from sert.errors import DataError
from sert.records import Example
from sert.store.tables import write_table
from sert.student.training.examples import read_examples


def test_a_folder_and_its_file_give_the_same(tmp_path: Path) -> None:
    examples = [Example("q1", "p", " c", "label"), Example("q2", "p", " c d", "path", (3, 4), " d")]
    write_table(tmp_path / "examples.parquet", examples, Example)
    assert read_examples(tmp_path) == read_examples(tmp_path / "examples.parquet") == examples


def test_jsonl_of_ones_own(tmp_path: Path) -> None:
    rows = [{"prompt": "", "completion": " a\u2028b"}, {"prompt": "p", "completion": " c", "question_id": 7}]
    text = "\ufeff" + "\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n\n"
    (tmp_path / "own.jsonl").write_text(text, encoding="utf-8")
    assert read_examples(tmp_path / "own.jsonl") == [
        Example("0", "", " a\u2028b", "file"),
        Example("7", "p", " c", "file"),
    ]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"prompt": "p"}\n', "line 1"),
        (b'{"prompt": 3, "completion": "c"}\n', "must be texts"),
        (
            b'{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}\n',
            "must be texts. The row holds a conversation .'messages' is a list of messages.: write",
        ),
        (
            b'{"prompt": [{"role": "user", "content": "q"}], "completion": [{"role": "assistant", "content": "a"}]}\n',
            "must be texts. The row holds a conversation .'prompt' is a list",
        ),
        (b'{"conversations": [{"from": "human", "value": "q"}]}\n', "The row holds a conversation"),
        (b'{"prompt": "p", "completion": ""}\n', "non-empty"),
        (b'{"prompt": "p", "completion": "c", "path_ids": "c"}\n', "`path_ids` must be a list of tokens, not 'c'"),
        (b'{"prompt": "p", "completion": "c", "path_ids": [true]}\n', "`path_ids` must be a list of tokens"),
        (b'{"prompt": "p", "completion": "c", "path_ids": [-1]}\n', "`path_ids` must be a list of tokens"),
        (b'{"prompt": "p", "completion": "c", "conclusion": "d"}\n', "`conclusion` must be the end of `completion`"),
        (b'{"prompt": "p", "completion": "c", "conclusion": 3}\n', "`conclusion` must be the end of `completion`"),
        (b"[1]\n", "JSON object"),
        (b"{\n", "line 1"),
        (b"\xe4\n", "own.jsonl"),
        (b"", "holds no examples"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "own.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_examples(tmp_path / "own.jsonl")


def test_a_folder_without_examples_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There are no examples"):
        read_examples(tmp_path)
