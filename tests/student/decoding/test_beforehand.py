"""What a dry run says of a student is what the stage says of it, or says why it is not known yet."""

import json
from pathlib import Path
from typing import Any

import pytest
import transformers

from commands import sert
from listening import Listening
from sert.config.load import load_config
from sert.config.tree import Config, MiningConfig, StudentConfig
from sert.errors import StudentError
from sert.evaluation.prediction import evaluation_job
from sert.lab import DEMO_CONFIG
from sert.paths.mining import mine, mining_job
from sert.records import Question
from sert.runs.run import plan, run
from sert.student.decoding import beforehand, choice
from sert.student.decoding.beforehand import choose_beforehand, foresee
from sert.terminal.progress import Silent
from tests_support import make_tokenizer

MINING = MiningConfig(branches=1, samples=1, max_new_tokens=8)


def saved(folder: Path, config: str, **special: Any) -> StudentConfig:
    """Save a tiny student of an architecture."""
    tokenizer = make_tokenizer()
    settings = getattr(transformers, config)(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=0,
        **special,
    )
    transformers.AutoModelForCausalLM.from_config(settings).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return StudentConfig(path=str(folder), device="cpu")


@pytest.mark.parametrize(("dtype", "lines"), [("float32", 1), ("bfloat16", 3)])
def test_what_is_foreseen_is_what_the_stage_says_and_keeps(
    dtype: Any, lines: int, questions: list[Question], student_folder: Path, tmp_path: Path
) -> None:
    student = StudentConfig(path=str(student_folder), device="cpu", dtype=dtype, max_distance=9.0)
    foreseen = foresee(mining_job(questions, student, config=MINING).decoding(student), Silent())
    reporter = Listening()
    mined = mine(questions, student, out=tmp_path / "mined", config=MINING, reporter=reporter)
    assert reporter.said[:lines] == [f"mine: {line}" for line in foreseen["told"]]
    kept = {name: foreseen[name] for name in foreseen if name not in ("told", "surroundings")}
    assert kept == {name: mined.counts[name] for name in kept}
    assert set(kept) == ({"driven_by"} if dtype == "float32" else {"driven_by", "fallback", "distance"})


def test_why_a_faster_way_is_refused_is_kept(questions: list[Question], tmp_path: Path) -> None:
    student = saved(tmp_path / "mistral", "MistralConfig", sliding_window=8)
    mined = mine(questions[:2], student, out=tmp_path / "mined", config=MINING)
    assert mined.counts["driven_by"] == "cache"
    assert list(mined.counts["refused"]) == ["fast"]
    assert mined.counts["refused"]["fast"].startswith("its attention does not see all of ")


@pytest.mark.parametrize(
    ("config", "special", "told"),
    [
        ("LlamaConfig", {}, "its configuration says nothing against the fast engine"),
        ("MistralConfig", {"sliding_window": 8}, "warning: The fast engine is refused: its attention does not see all"),
        (
            "Lfm2Config",
            {"full_attn_idxs": [1]},
            "warning: The fast engine is refused: it has layers that are not attention over the whole text (conv)",
        ),
    ],
)
def test_of_a_large_student_the_configuration_is_read(
    config: str,
    special: dict[str, Any],
    told: str,
    questions: list[Question],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    student = saved(tmp_path / "large one", config, **special)
    monkeypatch.setattr(beforehand, "LARGEST_TRIED", 1000)
    foreseen = foresee(mining_job(questions, student, config=MINING).decoding(student), Silent())
    untried, known = foreseen["told"]
    assert foreseen["driven_by"] is None
    assert "not tried, as a dry run loads no student of more than 1,000 weights" in untried
    assert f"`sert doctor --student '{student.path}'`" in untried
    assert known.startswith(told)


def test_nothing_is_downloaded(questions: list[Question]) -> None:
    student = StudentConfig(path="nobody/nothing", device="cpu")
    foreseen = foresee(evaluation_job(questions, student).decoding(student), Silent())
    assert foreseen == {
        "driven_by": None,
        "told": [
            "which way drives it was not tried, as a dry run gets nothing from the hub: "
            "`sert doctor --student nobody/nothing` does"
        ],
    }


def test_remote_code_is_refused_before_anything_is_loaded(
    questions: list[Question], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = saved(tmp_path / "own", "LlamaConfig")
    settings = json.loads((tmp_path / "own" / "config.json").read_text())
    settings |= {"model_type": "ours", "auto_map": {"AutoConfig": "ours.Config", "AutoModelForCausalLM": "ours.Model"}}
    (tmp_path / "own" / "config.json").write_text(json.dumps(settings))
    job = mining_job(questions, student, config=MINING).decoding(student)
    for most in (beforehand.LARGEST_TRIED, 1000):
        monkeypatch.setattr(beforehand, "LARGEST_TRIED", most)
        with pytest.raises(StudentError, match="cannot be loaded"):
            foresee(job, Silent())


def test_auto_is_chosen_where_the_student_is_tried(student_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, reporter = StudentConfig(path=str(student_folder), dtype="auto", device="cpu"), Listening()
    monkeypatch.setattr(choice, "product_rates", lambda student: {"bfloat16": 3.0})
    monkeypatch.setattr("sert.student.decoding.proof.LARGE_DISTANCE", 10.0)
    assert choose_beforehand(asked, reporter).dtype == "bfloat16"
    assert "takes bfloat16: products of its largest layer are 3.0 (bfloat16) times as fast" in reporter.said[-1]
    unknown = asked.model_copy(update={"path": "nobody/nothing"})
    assert choose_beforehand(unknown, reporter).dtype == "float32"
    assert "`sert doctor --student nobody/nothing` tells" in reporter.said[-1]


# ---- plans of runs


def demo(*overrides: str) -> Config:
    settings = ("methods=['zero_shot']", "mining.max_new_tokens=16", "student.device=cpu", *overrides)
    return load_config(DEMO_CONFIG, overrides=list(settings), limit=3)


def test_a_plan_tries_the_student_on_the_longest_texts_that_are_to_be_decoded(tmp_path: Path) -> None:
    (found,) = plan(demo("evaluation.max_new_tokens=20"), out=tmp_path / "run", try_students=True).students
    assert (found.student, found.dtype, found.notes["driven_by"]) == ("lab", "float32", "fast")
    assert found.stage.endswith("evaluate-zero_shot")
    (line,) = found.lines()
    assert line.startswith(f"lab ({found.stage}): driven by the fast engine, within ")
    assert list(tmp_path.iterdir()) == []
    shorter = demo("evaluation.max_new_tokens=8", "methods=['zero_shot', 'sert']")
    (mined,) = plan(shorter, out=tmp_path / "run", try_students=True).students
    assert mined.stage.split()[1] in ("mine", "probe-raw", "probe-branching")
    assert plan(demo(), out=tmp_path / "run").students == []


def test_nothing_is_tried_where_nothing_is_decoded_any_more_or_otherwise(tmp_path: Path) -> None:
    config = demo("evaluation.max_new_tokens=8", "evaluation.probe_samples=0")
    run(config, out=tmp_path / "run")
    assert plan(config, out=tmp_path / "run", try_students=True).students == []
    compat = demo("evaluation.harness=compat", "evaluation.probe_samples=0", "methods=['zero_shot']")
    stages = {each.stage for each in plan(compat, out=tmp_path / "new", try_students=True).students}
    assert not any("evaluate" in stage for stage in stages)


def test_a_plan_lists_the_stages_of_the_chosen_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        beforehand, "chosen", lambda student, reporter: student.model_copy(update={"dtype": "bfloat16"})
    )
    planned = plan(demo("student.dtype=auto"), out=tmp_path / "run", try_students=True)
    same = plan(demo("student.dtype=bfloat16"), out=tmp_path / "run")
    assert [each.dtype for each in planned.students] == ["bfloat16"]
    assert planned.stages == same.stages


def test_commands_say_it(tmp_path: Path) -> None:
    mine = ["mine", "--task", "lab_choice", "--limit", 2, "--max-new-tokens", 8, "--dry-run", "--out", "m"]
    told = sert(*mine, "--dtype", "bfloat16", cwd=tmp_path).stdout.splitlines()
    assert told[1].startswith("driven by the fast engine, within ")
    assert told[2].startswith("student.dtype = 'bfloat16' is torch's own here, ")
    assert "nats from float32" in told[3]
    in_json = json.loads(sert(*mine, "--dtype", "auto", "--json", cwd=tmp_path).stdout)
    assert (in_json["paths"], in_json["dtype"], in_json["driven_by"]) == (50, "float32", "fast")
    evaluated = sert("evaluate", *mine[1:], "--set", "evaluation.harness=compat", cwd=tmp_path)
    assert evaluated.returncode == 0 and "driven by" not in evaluated.stdout
    ran = sert("demo", "--set", "methods=['zero_shot']", "--dry-run", cwd=tmp_path)
    assert "lab (lab-choice evaluate-zero_shot): driven by the fast engine, within " in ran.stdout
    assert list(tmp_path.iterdir()) == []
    too_far = sert(*mine, "--dtype", "int8", "--set", "student.max_distance=0", cwd=tmp_path)
    assert too_far.returncode == 5 and "student.max_distance" in too_far.stderr


def test_the_doctor_says_what_stages_say() -> None:
    from sert.doctor.student import examine_student

    found = {(each.name, each.message): each.verdict for each in examine_student(StudentConfig(path="lab"))}
    (way,) = [message for name, message in found if name == "way"]
    assert way.startswith("driven by the fast engine, within ") and found["way", way] == "ok"
    assert any(name == "int16" and message.startswith("student.dtype = 'int16' is float32") for name, message in found)
