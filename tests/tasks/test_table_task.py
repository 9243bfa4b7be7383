import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.tasks.load import load_task
from sert.tasks.readers import read_file

TOOLS = {"question": "What cuts?", "choices": ["rope", "saw"], "answer": "saw"}
WITH_CHOICES = {"choices": "choices"}


def write(folder, name, text):
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def load(file, **settings):
    return load_task("mine", TaskConfig(kind="table", data=file, **settings))


def shown(questions):
    return [(each.question_id, each.question, each.choices, each.answer) for each in questions]


def test_jsonl_with_nested_columns(tmp_path):
    row = {"ask": {"stem": "What cuts?", "options": ["rope", "saw"]}, "gold": "B", "key": "k7"}
    columns = {"question_id": "key", "question": "ask.stem", "choices": "ask.options", "answer": "gold"}
    file = write(tmp_path, "q.jsonl", json.dumps(row))
    assert shown(load(file, columns=columns).questions) == [("k7", "What cuts?", ("rope", "saw"), "B")]


def test_name_with_a_dot_of_its_own(tmp_path):
    file = write(tmp_path, "q.jsonl", json.dumps({"a.b": "Is it?", "answer": True}))
    assert shown(load(file, columns={"question": "a.b"}).questions) == [("0", "Is it?", (), "yes")]


def test_csv(tmp_path):
    text = 'question,choices,answer\n"Who, me?",rope|saw,A\n"Two\nlines?","[""a|b"", ""c""]",c\n'
    data = load(write(tmp_path, "q.csv", text), columns=WITH_CHOICES)
    assert shown(data.questions) == [("0", "Who, me?", ("rope", "saw"), "A"), ("1", "Two\nlines?", ("a|b", "c"), "B")]


def test_parquet(tmp_path):
    rows = [{**TOOLS, "meta": {"n": 3}}, {**TOOLS, "question": "What binds?", "answer": "rope", "meta": {"n": 4}}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "q.parquet")
    data = load(tmp_path / "q.parquet", columns={"choices": "choices", "question_id": "meta.n"})
    assert shown(data.questions) == [
        ("3", "What cuts?", ("rope", "saw"), "B"),
        ("4", "What binds?", ("rope", "saw"), "A"),
    ]


def test_a_question_of_several_columns(tmp_path):
    row = {"Body": " A pack costs 76 coins. ", "Question": "What does it cost?", "Answer": 51.0}
    file = write(tmp_path, "q.jsonl", json.dumps(row))
    columns = {"question": ["Body", "Question"], "answer": "Answer"}
    assert shown(load(file, columns=columns).questions) == [
        ("0", "A pack costs 76 coins. What does it cost?", (), "51")
    ]
    with pytest.raises(DataError, match="line 1: the question must be a text, not None"):
        load(write(tmp_path, "q.jsonl", json.dumps({**row, "Body": None})), columns=columns)


JSON_ROWS = [{"question": "Is it?", "answer": True}, {"question": "Is that?", "answer": False}]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(JSON_ROWS),
        json.dumps(JSON_ROWS, indent=4),
        json.dumps({"version": "1", "tags": ["a"], "examples": JSON_ROWS}),
        "\n".join(map(json.dumps, JSON_ROWS)),
        "\n\n" + "\n\n".join(map(json.dumps, JSON_ROWS)) + "\n",
    ],
)
def test_json(tmp_path, text):
    questions = load(write(tmp_path, "q.json", text)).questions
    assert shown(questions) == [("0", "Is it?", (), "yes"), ("1", "Is that?", (), "no")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"question": {"0": "Is it?"}, "answer": {"0": "yes"}}', r"holds no lists of objects\. Pandas writes"),
        ('{"train": [{"question": "a"}], "test": [{"question": "b"}]}', "it holds 2 lists of objects"),
        ('["Is it?"]', "holds no lists of objects"),
        ('[{"question": "Is it?", "answer": true}, 3]', r"row 1 \(from 0\): a JSON object is needed, not 3"),
        ("{broken", "q.json, column 2: not JSON"),
        ("[" * 100_000, "not usable JSON"),
    ],
)
def test_json_of_another_form(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        load(write(tmp_path, "q.json", text))


def test_a_conversation_is_told(tmp_path):
    row = {"messages": [{"role": "user", "content": "Is it?"}, {"role": "assistant", "content": "Yes."}]}
    with pytest.raises(DataError, match=r"no column 'question'; .* 'messages' holds a conversation; a question"):
        load(write(tmp_path, "q.jsonl", json.dumps(row)))


def test_free_text_answers(tmp_path):
    lines = [{"question": "What is the capital?", "answer": "Oslo"}, {"question": "How many?", "answer": "1,000"}]
    file = write(tmp_path, "q.jsonl", "\n".join(map(json.dumps, lines)))
    assert [(each.answer, each.answer_type) for each in load(file).questions] == [("Oslo", "text"), ("1,000", "text")]


def test_ids_of_two_files_differ(tmp_path):
    train = write(tmp_path, "train.csv", "question,answer\nIs it?,yes\n")
    test = write(tmp_path, "test.csv", "question,answer\nIs that?,no\n")
    questions = load(train, test_data=test).questions
    assert [(each.question_id, each.split) for each in questions] == [("0", "train"), ("test-0", "test")]


@pytest.mark.parametrize(
    ("name", "text", "question"),
    [
        ("q.csv", "question,answer\nIs it; or not?,yes\n", "Is it; or not?"),
        ("q.csv", "question;answer\nIs it, or not?;yes\n", "Is it, or not?"),
        ("q.csv", "question\tanswer\nIs it, or not?\tyes\n", "Is it, or not?"),
        ("q.csv", '"note, long";"question";"answer, gold";answer\n;"Is it; or not?";;yes\n', "Is it; or not?"),
        ("q.csv", 'question,"answer",of;whom\nIs it?,yes,"a;b"\n', "Is it?"),
        ("q.csv", '"a\nb";question;answer\n1;Is it?;yes\n', "Is it?"),
        ("q.tsv", "question\tanswer\ta;b;c;d\nIs it?\tyes\t\n", "Is it?"),
    ],
)
def test_separators(tmp_path, name, text, question):
    (tmp_path / name).write_text(text, encoding="utf-8")
    (row,) = read_file(tmp_path / name)
    assert (row.columns["question"], row.columns["answer"]) == (question, "yes")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("q.txt", "", "its name must end in .jsonl, .json, .csv, .tsv, .parquet"),
        ("q.jsonl", '{"question": "Is it?"}', "line 1: there is no column 'answer'; it has 'question'"),
        ("q.jsonl", '\n{"question": }', "line 2, column 14: not JSON"),
        ("q.jsonl", "[1]", "line 1: a JSON object is needed"),
        ("q.jsonl", "\n\n", "q.jsonl holds no questions"),
        ("q.csv", "question,answer\n", "q.csv holds no questions"),
        ("q.csv", "", "q.csv holds no questions"),
        ("q.csv", "question,answr\nIs it?,yes\n", "line 2: there is no column 'answer'; did you mean 'answr'"),
        ("q.csv", "question,answer\nIs it, really?,yes\n", "line 2: the number of fields"),
        ("q.csv", "question,answer\nIs it?\n", "line 2: the number of fields"),
        ("q.csv", "question;answer\nIs it; really?;yes\n", "which semicolons split; quote fields with semicolons"),
        ("q.csv", 'question,answer\n"Is it?,yes\n', "not CSV"),
        ("q.parquet", "PAR1", "cannot be read as Parquet"),
    ],
)
def test_bad_file(tmp_path, name, text, message):
    with pytest.raises(DataError, match=message):
        load(write(tmp_path, name, text))


@pytest.mark.parametrize("name", ["q.jsonl", "q.csv", "q.parquet"])
def test_missing_file(tmp_path, name):
    with pytest.raises(DataError, match=f"There is no file .*{name}"):
        load(tmp_path / name)


def test_choices_that_are_no_json_list(tmp_path):
    file = write(tmp_path, "q.csv", "question,choices,answer\nWho?,[a; b],a\n")
    with pytest.raises(DataError, match=r"line 2: the choices .* are no JSON list"):
        load(file, columns=WITH_CHOICES)


def test_hub_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'sert\[hub\]'"):
        load_task("mine", TaskConfig(kind="table", hub="owner/name"))


@pytest.fixture
def hub_folder(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder, "train.jsonl", f"{json.dumps(TOOLS)}\n")
    write(folder, "test.jsonl", f"{json.dumps({**TOOLS, 'question': 'What saws?'})}\n")
    return folder


def test_local_data_set_folder(hub_folder):
    config = TaskConfig(kind="table", hub=str(hub_folder), test_split="test", columns=WITH_CHOICES)
    questions = load_task("mine", config).questions
    assert shown(questions) == [
        ("0", "What cuts?", ("rope", "saw"), "B"),
        ("test-0", "What saws?", ("rope", "saw"), "B"),
    ]


def test_missing_hub_split(hub_folder):
    with pytest.raises(DataError, match=r"The split 'dev' of .* cannot be loaded"):
        load_task("mine", TaskConfig(kind="table", hub=str(hub_folder), test_split="dev", columns=WITH_CHOICES))


def test_missing_data_set_folder(tmp_path):
    pytest.importorskip("datasets")
    with pytest.raises(DataError, match=r"The split 'train' of .*nowhere cannot be loaded"):
        load_task("mine", TaskConfig(kind="table", hub=str(tmp_path / "nowhere")))
