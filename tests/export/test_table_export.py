"""Tables as Parquet and JSONL, the card beside them, and what is taken from a run or a stage."""

import json
import math
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from exported_results import source_of
from sert.errors import DataError
from sert.export.sources import find_sources
from sert.export.tables import KINDS, USE, Form, write_tables
from sert.export.writing import Exported, write_export
from sert.records import Prediction
from sert.store.artifacts import MANIFEST
from sert.store.tables import read_table, write_table


def export(evaluated: Path, out: Path, form: Form) -> list[Exported]:
    write = partial(write_tables, form=form)
    return write_export([source_of(evaluated, KINDS)], out, write, title="Tables", use=USE, viewer=True)


def test_parquet_is_the_table_itself(evaluated: Path, tmp_path: Path) -> None:
    export(evaluated, tmp_path / "out", "parquet")
    copied = tmp_path / "out" / "evaluated.predictions.parquet"
    assert copied.read_bytes() == (evaluated / "predictions.parquet").read_bytes()


def test_jsonl_has_a_line_a_row_and_no_number_that_json_lacks(evaluated: Path, tmp_path: Path) -> None:
    predictions = read_table(evaluated / "predictions.parquet", Prediction)
    export(evaluated, tmp_path / "out", "jsonl")
    lines = (tmp_path / "out/evaluated.predictions.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == "" and len(lines) == len(predictions)
    assert json.loads(lines[0])["completion"] == predictions[0].completion

    folder = tmp_path / "infinite"
    folder.mkdir()
    changed = Prediction(*(getattr(predictions[0], name) for name in Prediction.__slots__))
    object.__setattr__(changed, "rep_1", math.inf)
    write_table(folder / "predictions.parquet", [changed], Prediction)
    (folder / MANIFEST).write_bytes((evaluated / MANIFEST).read_bytes())
    export(folder, tmp_path / "null", "jsonl")
    (line,) = (tmp_path / "null/infinite.predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["rep_1"] is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_datasets_finds_every_table_by_the_card(
    evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: Form
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    export(evaluated, tmp_path / "out", form)
    names = {f"evaluated.{table}" for table in ("questions", "predictions", "likelihoods")}
    assert set(datasets.get_dataset_config_names(str(tmp_path / "out"))) == names
    rows = datasets.load_dataset(str(tmp_path / "out"), "evaluated.predictions", split="train")
    assert len(rows) == 5 and rows.column_names == pq.read_schema(evaluated / "predictions.parquet").names


def test_the_card_says_where_it_comes_from_and_escapes_what_it_quotes(evaluated: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ev`a|l"
    folder.mkdir()
    for file in evaluated.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["config"]["evaluation"]["max_new_tokens"] = "12 | `x` |\n# heading"
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    export(folder, tmp_path / "out", "jsonl")
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert f"| `key` | `{manifest['key']}` |" in card
    assert "| `evaluation.max_new_tokens` | `12 \\| 'x' \\|\\n# heading` |" in card
    assert "Licence: not stated here." in card
    assert "`question_id`" in card


def test_a_folder_that_holds_something_is_left_alone(evaluated: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is there already; give another folder with --out"):
        export(evaluated, tmp_path / "out", "jsonl")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_what_fails_leaves_nothing(evaluated: Path, tmp_path: Path) -> None:
    def fail(*_: object) -> Exported:
        raise DataError("no")

    with pytest.raises(DataError, match="no"):
        write_export([source_of(evaluated, KINDS)], tmp_path / "out", fail, title="T", use="U")
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_is_exported_there_is_no_folder(evaluated: Path, tmp_path: Path) -> None:
    source = source_of(evaluated, KINDS)
    with pytest.raises(DataError, match=r"There is nothing to export \(evaluated: none of 0\)"):
        write_export([source], tmp_path / "out", lambda *_: Exported(source, {}, ["none of 0"]), title="T", use="U")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def run(evaluated: Path, trained: Path, tmp_path: Path) -> Path:
    """A finished run of two stages, as far as an export looks at it."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name, place in (("lab-evaluate-1", evaluated), ("lab-train-2", trained)):
        (folder / name).symlink_to(place)
    stages = {"lab evaluate": "lab-evaluate-1", "lab train": "lab-train-2"}
    (folder / MANIFEST).write_text(json.dumps({"stages": stages}), encoding="utf-8")
    return folder


def test_of_a_run_all_that_fits_is_taken_or_what_is_named(run: Path) -> None:
    assert [source.name for source in find_sources(run, kinds=KINDS)] == ["lab-evaluate-1", "lab-train-2"]
    assert [source.name for source in find_sources(run, kinds=["train"])] == ["lab-train-2"]
    named = find_sources(run, kinds=KINDS, stages=["lab evaluate"], of_runs=["train"])
    assert [source.name for source in named] == ["lab-evaluate-1"]
    assert [source.name for source in find_sources(run, kinds=KINDS, of_runs=["train"])] == ["lab-train-2"]


def test_what_cannot_be_taken_is_told(run: Path, evaluated: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no stage 'lab mine'; it has 'lab evaluate', 'lab train'\."):
        find_sources(run, kinds=KINDS, stages=["lab mine"])
    with pytest.raises(DataError, match=r"lab-evaluate-1 holds nothing that can be exported so; it takes `train`"):
        find_sources(run, kinds=["train"], stages=["lab evaluate"])
    with pytest.raises(DataError, match=r"was made by the stage 'evaluate'; `train` can be exported so"):
        find_sources(evaluated, kinds=["train"])
    with pytest.raises(DataError, match="--stage names a stage of a run"):
        find_sources(evaluated, kinds=KINDS, stages=["lab train"])
    with pytest.raises(DataError, match="does not exist"):
        find_sources(tmp_path / "none", kinds=KINDS)


def test_a_run_that_is_not_finished_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    with pytest.raises(DataError, match=r"of a run, a grid or .* It is not finished; the command that made it goes on"):
        find_sources(tmp_path, kinds=KINDS, stages=["lab mine"])
