"""Pushing to a hub on loopback, by real HTTP and as a user runs it: a process of its own each time."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from exported_results import lab_questions
from fake_hub import TOKEN, FakeHub, Repository, fake_hub
from sert.config.tree import EvaluationConfig, StudentConfig
from sert.errors import DataError
from sert.evaluation.prediction import evaluate
from sert.export.trained_model import find_model
from sert.store.artifacts import MANIFEST, file_hash, open_artifact, signed

NAMED = ["--student-licence", "apache-2.0", "--question-licence", "mit"]
MODEL, TABLES = ("models", "me/student"), ("datasets", "me/tables")


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with fake_hub() as running:
        yield running


@pytest.fixture(scope="module")
def tested(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained student on four questions, cut short."""
    student = StudentConfig(path=str(trained / "model"), device="cpu")
    out = tmp_path_factory.mktemp("push") / "tested"
    return evaluate(lab_questions(4), student, out=out, config=EvaluationConfig(max_new_tokens=8)).folder


def push(hub: FakeHub, *arguments: object, token: str | None = TOKEN) -> subprocess.CompletedProcess[str]:
    variables = os.environ | hub.environment(token) | {"HF_HOME": "/nowhere"}
    command = [sys.executable, "-m", "sert", "push", *map(str, arguments)]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=120)


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for file in folder.rglob("*"):
        place = to / file.relative_to(folder)
        place.mkdir(parents=True) if file.is_dir() else place.write_bytes(file.read_bytes())
    return to


def test_a_model_is_private_whole_and_tells_what_it_was_tested_with(hub: FakeHub, trained: Path, tested: Path) -> None:
    done = push(hub, "model", trained, "me/student", "--evaluated", tested, *NAMED, "--base-model", "some/base")
    assert done.returncode == 0, done.stderr
    there = hub.repositories[MODEL]
    outputs = {name.removeprefix("model/") for name in open_artifact(trained).manifest["outputs"] if "model/" in name}
    assert there.private and there.files.keys() == outputs
    for name in outputs - {"README.md"}:
        assert there.files[name] == (trained / "model" / name).read_bytes()

    card = ModelCard(there.files["README.md"].decode())
    counts = open_artifact(tested).counts
    assert (card.data.license, card.data.license_name) == ("other", "see-the-licences-of-its-parts")
    assert (card.data.base_model, card.data.library_name) == ("some/base", "transformers")
    (result,) = card.data.eval_results or []
    assert (result.metric_type, result.metric_value) == ("accuracy", counts["correct"] / 4)
    assert (result.dataset_name, result.dataset_split) == ("lab", "test")
    assert result.metric_name is not None
    assert result.metric_name.startswith(f"right, {counts['correct']}/4, 95 % interval 0.")
    assert f"| `this student, lab, test` | `right` | `{counts['correct']}/4` |" in card.text
    assert "the most frequent gold answer, always given" in card.text
    assert "on gold answers alone and paths of reasoning" in card.text
    assert "`apache-2.0`" in card.text and "`mit`" in card.text and "No text of a teacher is known" in card.text
    assert TOKEN not in done.stdout + done.stderr
    assert not [name for name, content in there.files.items() if TOKEN.encode() in content]


@pytest.mark.slow
def test_the_same_push_again_changes_nothing_and_a_public_one_says_so(hub: FakeHub, trained: Path) -> None:
    first = push(hub, "model", trained, "me/student", *NAMED, "--public", "--json")
    assert json.loads(first.stdout)["private"] is False and not hub.repositories[MODEL].private
    again = push(hub, "model", trained, "me/student", *NAMED, "--public")
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("Nothing has changed, public: http://127.0.0.1:")
    assert len(hub.repositories[MODEL].commits) == 1


def test_a_dry_run_shows_every_file_and_asks_nobody(hub: FakeHub, trained: Path, tmp_path: Path) -> None:
    before = sorted(trained.rglob("*"))
    done = push(hub, "model", trained, "me/student", *NAMED, "--dry-run", token=None)
    assert done.returncode == 0, done.stderr
    for file in (trained / "model").iterdir():
        if file.name != "README.md":
            assert re.search(rf"^ *{file.stat().st_size:,}  {re.escape(file.name)}$", done.stdout, re.MULTILINE)
    assert re.search(r"^ *[\d,]+  README\.md$", done.stdout, re.MULTILINE)
    assert "to be seen by its owner alone" in done.stdout and "\n## Licences\n" in done.stdout
    assert (not hub.asked, sorted(trained.rglob("*"))) == (True, before)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([], r"Missing: of the student .* and the questions .*\. By --student-licence and --question-licence give"),
        (["--student-licence", "mit"], r"Missing: of the questions and their answers\. By --question-licence give"),
        ([*NAMED, "--licence", "my own"], r"--licence 'my own' is no licence; give the hub's name of it"),
        (
            ["--student-licence", "mit", "--question-licence", "http://x.org"],
            r"--question-licence 'http://x.org' is no",
        ),
    ],
)
def test_nothing_goes_without_licences(hub: FakeHub, trained: Path, given: list[str], says: str) -> None:
    done = push(hub, "model", trained, "me/student", *given)
    assert done.returncode == 3 and re.search(says, done.stderr), done.stderr
    assert not hub.asked


@pytest.mark.slow
def test_a_teacher_is_named_where_its_texts_are(hub: FakeHub, taught: Path) -> None:
    done = push(hub, "dataset", taught, "me/tables", "--question-licence", "mit")
    assert done.returncode == 3 and "Missing: of texts of a teacher or a judge. By --teacher-licence" in done.stderr
    terms = "https://example.org/terms"
    done = push(hub, "dataset", taught, "me/tables", "--question-licence", "mit", "--teacher-licence", terms)
    assert done.returncode == 0, done.stderr
    card = hub.repositories[TABLES].files["README.md"].decode()
    assert f"| `texts of a teacher or a judge` | `{terms}` |" in card
    assert "| `rationales whose own answer is right` | `3/3` | `100.0 %` | `43.9 % to 100.0 %` |" in card


@pytest.mark.filterwarnings("ignore")
def test_a_data_set_is_read_by_datasets(
    hub: FakeHub, evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    same = ["--student-licence", "mit", "--question-licence", "mit"]
    done = push(hub, "dataset", evaluated, "me/tables", *same)
    assert done.returncode == 0, done.stderr
    for name, content in hub.repositories[TABLES].files.items():
        (tmp_path / name).write_bytes(content)
    names = {f"evaluated.{table}" for table in ("questions", "predictions", "likelihoods")}
    assert set(datasets.get_dataset_config_names(str(tmp_path))) == names
    assert len(datasets.load_dataset(str(tmp_path), "evaluated.predictions", split="train")) == 5
    assert 'license: "mit"' in (tmp_path / "README.md").read_text()


def test_an_upload_that_fails_is_made_up_for_by_the_same_command(hub: FakeHub, trained: Path) -> None:
    hub.refusals["/lfs/"] = [403]
    done = push(hub, "model", trained, "me/student", *NAMED)
    assert done.returncode == 7 and "me/student was not pushed: " in done.stderr, done.stderr
    assert "the same command goes on" in done.stderr and "signature" not in done.stderr
    assert hub.repositories[MODEL].files == {}
    hub.refusals = {"/api/models/me/student/commit": [502]}
    done = push(hub, "model", trained, "me/student", *NAMED)
    assert done.returncode == 7 and hub.repositories[MODEL].files == {}, done.stderr
    done = push(hub, "model", trained, "me/student", *NAMED)
    assert done.returncode == 0, done.stderr
    assert "model.safetensors" in hub.repositories[MODEL].files
    (large,) = hub.large
    assert hub.asked[f"PUT /lfs/{large}"] == 2  # the one that failed, and one


def test_a_token_that_is_refused_is_not_repeated(hub: FakeHub, trained: Path) -> None:
    hub.repeats_token = True
    wrong = "hf_anotherSentinel0123456789abcdefghij"
    done = push(hub, "model", trained, "me/student", *NAMED, token=wrong)
    assert done.returncode == 7, done.stderr
    assert "The hub refuses the token for me/student; give one that may write there" in done.stderr
    assert wrong not in done.stdout + done.stderr and "[key]" in done.stderr
    done = push(hub, "model", trained, "others/student", *NAMED)
    assert done.returncode == 7 and "The hub refuses the token for others/student" in done.stderr
    done = push(hub, "model", trained, "me/student", *NAMED, token=None)
    assert done.returncode == 3 and "There is no token of the hub: give one" in done.stderr
    assert hub.repositories == {}


@pytest.mark.slow
def test_what_is_public_gets_nothing_by_mistake(hub: FakeHub, trained: Path) -> None:
    hub.repositories[MODEL] = Repository(private=False, files={"old.bin": b"old"})
    done = push(hub, "model", trained, "me/student", *NAMED)
    assert done.returncode == 3 and "me/student is there and public, so that everybody" in done.stderr
    assert hub.repositories[MODEL].files == {"old.bin": b"old"}
    done = push(hub, "model", trained, "me/student", *NAMED, "--public")
    assert done.returncode == 0 and "me/student also holds old.bin, which is none of these files" in done.stderr
    assert hub.repositories[MODEL].files["old.bin"] == b"old"


def test_a_licence_that_the_hub_does_not_know_is_told(hub: FakeHub, trained: Path) -> None:
    done = push(hub, "model", trained, "me/student", "--student-licence", "mine", "--question-licence", "mine")
    assert done.returncode == 3 and "The hub refuses the card of me/student" in done.stderr, done.stderr
    assert "must be one of" in done.stderr and hub.repositories[MODEL].files == {}


def test_texts_in_a_card_mean_nothing(hub: FakeHub, tested: Path, tmp_path: Path) -> None:
    folder = copied(tested, tmp_path / "te`st|ed")
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["config"]["prompts"] = {"student": "\n---\nlicense: cc0\n# Heading <script> | [x](y) ` \x1b[31m\u2028"}
    (folder / MANIFEST).write_text(json.dumps(signed(manifest)), encoding="utf-8")
    done = push(hub, "dataset", folder, "me/tables", "--student-licence", "mit", "--question-licence", "mit")
    assert done.returncode == 0, done.stderr
    text = hub.repositories[TABLES].files["README.md"].decode()
    card = ModelCard(text)
    assert card.data.license == "mit" and card.data.to_dict()["configs"][0]["config_name"].startswith("te`st|ed.")
    row = "`\\n---\\nlicense: cc0\\n# Heading <script> \\| [x](y) ' \\x1b[31m\\u2028`"
    assert f"| `prompts.student` | {row} |" in text and "\x1b" not in text + done.stdout + done.stderr


@pytest.mark.slow
def test_another_students_test_and_damaged_files_are_refused(
    hub: FakeHub, trained: Path, evaluated: Path, tmp_path: Path
) -> None:
    done = push(hub, "model", trained, "me/student", *NAMED, "--evaluated", evaluated)
    assert done.returncode == 4 and "holds answers of another student than trained" in done.stderr
    damaged = copied(trained, tmp_path / "damaged")
    (damaged / "model" / "config.json").write_bytes((trained / "model/config.json").read_bytes() + b" ")
    (damaged / "model" / "secrets.txt").write_text("not ours")
    done = push(hub, "model", damaged, "me/student", *NAMED)
    assert done.returncode == 4 and "config.json is not as it was when it was finished" in done.stderr
    (damaged / "model" / "config.json").write_bytes((trained / "model/config.json").read_bytes())
    assert push(hub, "model", damaged, "me/student", *NAMED).returncode == 0
    assert "secrets.txt" not in hub.repositories[MODEL].files


def test_a_student_that_was_trained_on_nothing_is_refused(trained: Path, tmp_path: Path) -> None:
    untrained = copied(trained, tmp_path / "untrained")
    manifest = json.loads((trained / MANIFEST).read_text(encoding="utf-8"))
    manifest["counts"]["steps"] = 0
    (untrained / MANIFEST).write_text(json.dumps(signed(manifest)), encoding="utf-8")
    with pytest.raises(DataError, match="untrained was trained on no example"):
        find_model(untrained)


@pytest.mark.slow
def test_of_a_run_one_student_is_named_and_its_tests_are_found(
    hub: FakeHub, trained: Path, tested: Path, tmp_path: Path
) -> None:
    run, key = tmp_path / "run", open_artifact(trained).key
    run.mkdir()
    (run / f"lab-train-sert-{key}").symlink_to(trained)
    (run / "lab-train-rd-0").symlink_to(trained)
    manifest = json.loads((tested / MANIFEST).read_text(encoding="utf-8"))
    manifest["inputs"] = {"train-sert": key}
    (copied(tested, run / "lab-evaluate-sert-1") / MANIFEST).write_text(json.dumps(signed(manifest)), encoding="utf-8")
    (run / "lab-evaluate-zero_shot-2").symlink_to(tested)
    places = (f"lab-train-sert-{key}", "lab-train-rd-0", "lab-evaluate-sert-1", "lab-evaluate-zero_shot-2")
    stages = {re.sub(r"-\w+$", "", place).replace("lab-", "lab "): place for place in places}
    (run / MANIFEST).write_text(json.dumps({"stages": stages}), encoding="utf-8")
    done = push(hub, "model", run, "me/student", *NAMED, "--dry-run")
    assert done.returncode == 4 and "name one by --stage: 'lab train-sert', 'lab train-rd'" in done.stderr
    done = push(hub, "model", run, "me/student", *NAMED, "--dry-run", "--stage", "lab train-sert")
    assert done.returncode == 0, done.stderr
    assert "`this student, lab, test`" in done.stdout and "`before any training, lab, test`" in done.stdout
    done = push(hub, "model", run, "me/student", *NAMED, "--dry-run", "--stage", "lab train-rd")
    assert "This student was not tested" in done.stdout and "`before any training, lab, test`" in done.stdout


@pytest.mark.slow
def test_an_adapter_of_a_base_that_nobody_else_has_is_refused(hub: FakeHub, trained: Path, tmp_path: Path) -> None:
    for base, code in ((str(trained / "model"), 5), ("some/base", 0)):
        folder = copied(trained, tmp_path / f"adapter-{code}")
        (folder / "model/adapter_config.json").write_text(json.dumps({"base_model_name_or_path": base}))
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        manifest["outputs"]["model/adapter_config.json"] = file_hash(folder / "model/adapter_config.json")
        (folder / MANIFEST).write_text(json.dumps(signed(manifest)), encoding="utf-8")
        done = push(hub, "model", folder, "me/student", *NAMED, "--base-model", "some/base", "--dry-run")
        assert done.returncode == code, done.stderr
    assert "which nobody else has" in push(hub, "model", tmp_path / "adapter-5", "me/student", *NAMED).stderr
    assert 'library_name: "peft"' in done.stdout and 'base_model_relation: "adapter"' in done.stdout
