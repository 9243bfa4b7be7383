"""Hub sets with several configurations, with classes for answers, and with a loading script; folders stand for them."""

import json

import pytest

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.tasks.load import load_task

datasets = pytest.importorskip("datasets")

TOOL = {"question": "What cuts?", "choices": ["rope", "saw"], "answer": "saw"}
WITH_CHOICES = {"choices": "choices"}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture
def two_configurations(tmp_path):
    folder = tmp_path / "twoconf"
    folder.mkdir()
    names = "".join(f"- config_name: {name}\n  data_files: {name}.jsonl\n" for name in ("easy", "hard"))
    (folder / "README.md").write_text(f"---\nconfigs:\n{names}---\n")
    for name in ("easy", "hard"):
        (folder / f"{name}.jsonl").write_text(json.dumps({**TOOL, "question": f"What cuts ({name})?"}) + "\n")
    return folder


def load(folder, columns=WITH_CHOICES, **settings):
    return load_task("t", TaskConfig(kind="table", hub=str(folder), columns=columns, **settings)).questions


@pytest.mark.parametrize("name", ["easy", "hard"])
def test_a_configuration_is_named(two_configurations, name):
    (question,) = load(two_configurations, hub_config=name)
    assert (question.question, question.answer) == (f"What cuts ({name})?", "B")


def test_a_configuration_has_to_be_named_where_there_are_several(two_configurations):
    with pytest.raises(DataError, match=r"it has several configurations; set hub_config to one of 'easy', 'hard'\."):
        load(two_configurations)
    with pytest.raises(DataError, match=r"it has no configuration 'main'; set hub_config to one of 'easy', 'hard'\."):
        load(two_configurations, hub_config="main")


def test_a_loading_script_is_refused_with_its_remedy(tmp_path):
    folder = tmp_path / "script"
    folder.mkdir()
    (folder / "script.py").write_text("raise SystemExit(3)\n")
    with pytest.raises(DataError, match=r"a loading script, a program, which is not run.*refs/convert/parquet"):
        load(folder)


def test_without_a_network_files_are_the_remedy(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"the hub cannot be reached from here\. .* give files .*: data = 'FILE'\. \("):
        load_task("mine", TaskConfig(kind="strategyqa", hub="nobody/no-questions"))


def test_rows_that_cannot_be_decoded_are_told(tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "train.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(DataError, match=r"The split 'train' of .*broken cannot be loaded"):
        load(folder)


def test_the_home_folder_is_meant(two_configurations, monkeypatch):
    monkeypatch.setenv("HOME", str(two_configurations.parent))
    assert len(load("~/twoconf", hub_config="easy")) == 1


def classes(file, names, answers):
    features = datasets.Features(
        {
            "question": datasets.Value("string"),
            "choices": datasets.List(datasets.Value("string")),
            "answer": datasets.ClassLabel(names=names),
        }
    )
    rows = {
        "question": [f"What cuts ({number})?" for number in range(len(answers))],
        "choices": [["rope", "saw", "ice", "tar"]] * len(answers),
        "answer": answers,
    }
    datasets.Dataset.from_dict(rows, features=features).to_parquet(file)


def test_classes_are_read_by_their_names_from_a_folder_and_from_its_parquet_file(tmp_path):
    folder = tmp_path / "mmlu"
    folder.mkdir()
    classes(folder / "train.parquet", ["A", "B", "C", "D"], [1, 3, 0])
    assert [question.answer for question in load(folder)] == ["B", "D", "A"]
    config = TaskConfig(kind="table", data=folder / "train.parquet", columns=WITH_CHOICES)
    assert [question.answer for question in load_task("t", config).questions] == ["B", "D", "A"]


@pytest.mark.parametrize(("names", "expected"), [(["False", "True"], ["no", "yes"]), (["yes", "no"], ["yes", "no"])])
def test_truth_values_that_are_classes_mean_what_their_names_say(tmp_path, names, expected):
    classes(tmp_path / "q.parquet", names, [0, 1])
    config = TaskConfig(kind="table", data=tmp_path / "q.parquet")
    assert [question.answer for question in load_task("t", config).questions] == expected


def test_a_class_that_is_not_there_is_no_answer(tmp_path):
    classes(tmp_path / "q.parquet", ["A", "B"], [0, -1])
    config = TaskConfig(kind="table", data=tmp_path / "q.parquet", columns=WITH_CHOICES)
    with pytest.raises(DataError, match="row 2: the answer is empty"):
        load_task("t", config)


@pytest.mark.parametrize(
    "metadata",
    [
        b"{",
        b"[]",
        b'{"info": 3}',
        b'{"info": {"features": [1]}}',
        b'{"info": {"features": {"answer": 3}}}',
        b"[" * 9999,
    ],
)
def test_a_description_that_is_none_is_passed_over(tmp_path, metadata):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"question": ["What?"], "answer": [3]}).replace_schema_metadata({b"huggingface": metadata})
    pq.write_table(table, tmp_path / "q.parquet")
    config = TaskConfig(kind="table", data=tmp_path / "q.parquet")
    assert [question.answer for question in load_task("t", config).questions] == ["3"]
