"""The commands as a user runs them: in a process of their own, with the documented exit codes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest

from commands import sert, start, wait
from sert.cli import cli
from sert.cli.options import setting
from sert.errors import DataError
from sert.runs.estimate import Estimate
from sert.runs.plan import Plan, PlannedStage, PlannedTask
from sert.student.folder import LAB_STUDENT

ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def refuse(result: subprocess.CompletedProcess[str], *, code: int, says: str) -> None:
    assert result.returncode == code, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""


COMMANDS = [
    ["demo"],
    ["run"],
    ["mine"],
    ["filter"],
    ["gain"],
    ["train"],
    ["teach"],
    ["judge"],
    ["doctor"],
    ["verify"],
    ["evaluate"],
    ["report"],
    ["tasks"],
    ["lab", "build"],
    ["init"],
    ["export"],
    ["export", "trl"],
    ["export", "lm-eval"],
    ["export", "inspect"],
    ["export", "parquet"],
    ["export", "jsonl"],
    ["push"],
    ["push", "model"],
    ["push", "dataset"],
    ["status"],
    ["show"],
    ["ask"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str], tmp_path: Path) -> None:
    result = sert(*command, "--help", cwd=tmp_path)
    assert result.returncode == 0
    assert f"sert {' '.join(command)}" in result.stdout.split("Options:")[0].split("\n\n", 1)[1]


def test_tasks_are_listed(tmp_path: Path) -> None:
    assert "commonsenseqa" in sert("tasks", cwd=tmp_path).stdout
    assert set(json.loads(sert("tasks", "--json", cwd=tmp_path).stdout)) >= {"lab_yes_no", "table", "strategyqa"}


def test_mine_filter_train_evaluate(tmp_path: Path) -> None:
    mine = ["mine", "--task", "lab_yes_no", "--limit", 6, "--max-new-tokens", 32, "--keep-all", "--out", "mined"]
    planned = sert(*mine, "--dry-run", cwd=tmp_path)
    assert "paths: 150" in planned.stdout and not (tmp_path / "mined").exists()
    mined = sert(*mine, "--json", cwd=tmp_path)
    assert json.loads(mined.stdout)["paths"] == 150
    assert "150 paths" in mined.stderr
    again = sert(*mine, "--json", cwd=tmp_path)
    assert json.loads(again.stdout)["key"] == json.loads(mined.stdout)["key"]

    settings = ["--set", "rules.min_tokens=10", "--set", "rules.min_perplexity=1.1"]
    filtered = sert("filter", "mined", *settings, "--out", "filtered", "--json", cwd=tmp_path)
    counts = json.loads(filtered.stdout)
    assert 0 < counts["selected"] <= 6 < counts["kept"]

    train = ["train", "--examples", "filtered", "--set", "training.max_steps=2", "--out", "trained"]
    planned = sert(*train, "--dry-run", cwd=tmp_path).stdout
    assert "steps: 2" in planned and " MB, optimizer " in planned
    assert sert(*train, cwd=tmp_path).returncode == 0
    evaluate = ["evaluate", "--task", "lab_yes_no", "--student", "trained/model", "--limit", 5, "--max-new-tokens", 40]
    evaluated = sert(*evaluate, "--out", "evaluated", "--json", cwd=tmp_path)
    assert json.loads(evaluated.stdout)["n"] == 5

    taught = sert("teach", "--task", "lab_choice", "--limit", 3, "--out", "taught", "--json", cwd=tmp_path)
    assert json.loads(taught.stdout)["rationales"] == 3
    refuse(sert(*mine, "--set", "mining.samples=2", cwd=tmp_path), code=4, says="already holds another result")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evaluated", "filtered", "mined", "taught", "trained"]


def test_filter_loads_no_model(tmp_path: Path) -> None:
    assert (
        sert(
            "mine", "--task", "lab_choice", "--limit", 2, "--max-new-tokens", 16, "--out", "m", cwd=tmp_path
        ).returncode
        == 0
    )
    code = (
        "import sys; from sert.cli import cli; cli(['filter', 'm', '--out', 'f'], standalone_mode=False); "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


LAB = 'name = "x"\n[student]\npath = "lab"\n[teacher]\nkind = "lab"\n[tasks.lab]\nkind = "lab_yes_no"\n'
TABLE = 'name = "x"\n[student]\npath = "lab"\n[teacher]\nkind = "lab"\n[tasks.own]\nkind = "table"\ndata = "{data}"\n'


def questions(tmp_path: Path, *rows: dict[str, Any]) -> str:
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return TABLE.format(data="own.jsonl")


def make_bad(tmp_path: Path, kind: str) -> tuple[str, int, str]:
    """Write one bad input; return the configuration, the exit code and a word of the message."""
    good = {"id": "a", "question": "Is ice cold?", "answer": "yes"}
    columns = "[tasks.own.columns]\nquestion_id = 'id'\n"
    if kind == "missing file":
        return TABLE.format(data="no.jsonl"), 4, "no.jsonl"
    if kind == "unknown key":
        return LAB + "[rules]\nmin_token = 3\n", 3, "did you mean 'min_tokens'"
    if kind == "wrong type":
        return LAB + "[rules]\nmin_tokens = 'x'\n", 3, "rules.min_tokens"
    if kind == "empty split":
        return questions(tmp_path, good) + columns, 4, "test"
    if kind == "empty file":
        return questions(tmp_path), 4, "own.jsonl"
    if kind == "duplicate ids":
        return questions(tmp_path, good, good) + "test_share = 0.5\n" + columns, 4, "'a'"
    if kind == "no tokenizer":
        (tmp_path / "student").mkdir()
        (tmp_path / "student" / "config.json").write_text("{}")
        return LAB.replace('"lab"', '"./student"', 1), 5, "no tokenizer"
    if kind == "no student":
        return LAB.replace('"lab"', '"./nobody"', 1), 5, "./nobody"
    assert kind == "answer outside its choices"
    row = {"id": "a", "question": "What is cold?", "options": ["ice", "fire"], "answer": "C"}
    return questions(tmp_path, row) + "[tasks.own.columns]\nquestion_id = 'id'\nchoices = 'options'\n", 4, "C"


BAD = [
    "missing file",
    "unknown key",
    "wrong type",
    "empty split",
    "empty file",
    "duplicate ids",
    "no tokenizer",
    "no student",
    "answer outside its choices",
]


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_clear_error_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    config, code, says = make_bad(tmp_path, kind)
    (tmp_path / "bad.toml").write_text(config)
    before = sorted(path.name for path in tmp_path.rglob("*"))
    refuse(sert("run", "bad.toml", cwd=tmp_path), code=code, says=says)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


def test_a_wrong_command_line_exits_with_2(tmp_path: Path) -> None:
    for arguments in (["mine"], ["nonsense"], ["mine", "--task", "lab_yes_no", "--samples", "0", "--out", "x"]):
        refuse(sert(*arguments, cwd=tmp_path), code=2, says="Usage:")


@pytest.mark.parametrize(
    ("path", "given", "arrives"),
    [
        ("mining.branches", ["--branches", "3"], 3),
        ("mining.branches", [], None),
        ("mining.branches", ["--branches", "-1"], "is not in the range x>=0"),
        ("execution.workers", ["--workers", "257"], "is not in the range 1<=x<=256"),
        ("tasks.<name>.limit", ["--limit", "0"], "is not in the range x>=1"),
        ("mining.keep_all", ["--keep-all"], True),
        ("student.dtype", ["--dtype", "int8"], "int8"),
        (
            "student.dtype",
            ["--dtype", "int4"],
            "is not one of 'float32', 'auto', 'bfloat16x2', 'int16', 'bfloat16', 'float16', 'int8'",
        ),
        ("tasks.<name>.data", ["--data", "a.csv"], Path("a.csv")),
        ("teacher.calls.max_cost", ["--max-cost", "1.5"], "1.5"),
    ],
)
def test_an_option_of_a_setting_takes_what_the_field_takes(path: str, given: list[str], arrives: object) -> None:
    command = click.command()(setting(path)(lambda **settings: settings))
    if isinstance(arrives, str) and arrives.startswith("is not"):
        with pytest.raises(click.UsageError, match=re.escape(arrives)):
            command(given, standalone_mode=False)
    else:
        assert command(given, standalone_mode=False) == {path.replace("<name>.", "").replace(".", "__"): arrives}


def test_an_option_of_a_setting_tells_the_fields_docstring_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    click.command()(setting("mining.max_new_tokens")(lambda **settings: None))(["--help"], standalone_mode=False)
    assert re.search(
        r"--max-new-tokens .*Longest path, in tokens\.\s+\[default: 128\]", capsys.readouterr().out, re.DOTALL
    )


def test_a_dry_run_refuses_the_student_that_the_run_would_refuse(tmp_path: Path) -> None:
    shutil.copytree(LAB_STUDENT, tmp_path / "cut")
    weights = (LAB_STUDENT / "model.safetensors").read_bytes()
    (tmp_path / "cut" / "model.safetensors").write_bytes(weights[:1000])
    (tmp_path / "x.jsonl").write_text('{"prompt": "p", "completion": " c"}\n')
    configuration = Path(__file__).parents[1] / "configs" / "lab.toml"
    for command in (
        ["mine", "--task", "lab_yes_no", "--limit", "1", "--student", "cut", "--out", "m"],
        ["evaluate", "--task", "lab_yes_no", "--limit", "1", "--student", "cut", "--out", "e"],
        ["train", "--examples", "x.jsonl", "--student", "cut", "--out", "t"],
        ["run", str(configuration), "--set", "student.path=cut", "--out", "r"],
    ):
        done = sert(*command, "--dry-run", cwd=tmp_path)
        refuse(done, code=5, says="model.safetensors is cut off")


@pytest.mark.usefixtures("quick_estimates")
def test_a_dry_run_refuses_the_place_that_the_run_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("mine")
    stage = ["mine", "--task", "lab_yes_no", "--limit", "1"]
    grid = ["reproduce", "lab", "--seeds", "1", "--limit", "12", "--no-variants"]
    refused = [(command, place) for command in (stage, ["demo"], grid) for place in ("file", "file/below")]
    for command, place in [*refused, (stage, "folder")]:
        with pytest.raises(DataError, match=r"a part of its path is a file|already holds other files"):
            cli([*command, "--dry-run", "--out", str(tmp_path / place)], standalone_mode=False)
    assert capsys.readouterr().out == ""
    cli([*stage, "--dry-run", "--out", str(tmp_path / "new" / "mined")], standalone_mode=False)
    assert "Would be written to" in capsys.readouterr().out
    assert {each.name for each in tmp_path.iterdir()} == {"file", "folder"}


@pytest.mark.parametrize(
    ("seconds", "kept", "said"),
    [
        (
            3.0,
            5 * 2**20,
            "Under a minute on this machine's processor with 2 stages at a time, and about 5 MiB on the disk.",
        ),
        (120.0, 1, "At most about 1 minute on .* about 1 MiB"),
        (4000.0, 2**30, "At most about 34 minutes on .* about 1.0 GiB"),
        (36000.0, 2**31, "At most about 5.0 hours on .* about 2.0 GiB"),
        (None, None, "Time and disk cannot be guessed"),
    ],
)
def test_a_grid_guesses_in_fitting_units(
    seconds: float | None,
    kept: int | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    planned = [PlannedStage("lab mine", "1 path", False, "lab-mine-0", [])]
    tasks = [PlannedTask("lab", 6, 0, 3, None)]
    monkeypatch.setattr(
        "sert.runs.run.plan",
        lambda grid, *, out, reporter, try_students: Plan(planned, Estimate(1, 5, 0, seconds, kept), [], [], tasks),
    )
    cli(["reproduce", "lab", "--workers", "2", "--dry-run"], standalone_mode=False)
    out = capsys.readouterr().out
    assert re.search(said, out) and "1 stage, 1 to do." in out
    assert ("What makes it shorter: `--limit N`" in out) == (seconds is not None and seconds >= 1200)
    assert "lab: 6 train and 3 test questions; too few to find any difference between two students that" in out


def test_the_dry_run_of_a_run_says_what_it_takes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    cli(["demo", "--dry-run", "--out", str(tmp_path / "demo")], standalone_mode=False)
    said = capsys.readouterr().out
    assert "lab-choice: 240 train and 240 test questions; of two students that disagree on 30 % of them a diff" in said
    assert re.search(r"28 stages, 28 to do\.\nTo decode: at most [\d,]+ tokens; to train on: about [\d,]+\.", said)
    assert re.search(r"(minute|hours).* with 1 stage at a time, and about \d+ MiB on the disk\.", said)


def test_a_config_file_that_is_not_there_exits_with_3(tmp_path: Path) -> None:
    refuse(sert("run", "no.toml", cwd=tmp_path), code=3, says="no.toml")


def test_text_from_files_never_drives_the_terminal(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(
        questions(tmp_path, {"question": "\x1b[31mIs ice cold?", "answer": "\x1b]0;x\x07"})
    )
    result = sert("run", "bad.toml", cwd=tmp_path)
    assert result.returncode == 4
    assert "\x1b" not in result.stdout + result.stderr and "\x07" not in result.stdout + result.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_a_terminal_that_lacks_a_character_gets_it_escaped(tmp_path: Path, encoding: str) -> None:
    command = [
        sys.executable,
        "-m",
        "sert",
        *"teach --task lab_choice --limit 1 --dry-run --out".split(),
        "\u0436 \U0001f600",
    ]
    variables = ENVIRONMENT | {"PYTHONIOENCODING": encoding}
    said = [
        subprocess.run(each, cwd=tmp_path, env=variables, capture_output=True, check=True).stdout
        for each in (command, [*command, "--json"])
    ]
    shown = r"\u0436 \U0001f600" if encoding == "cp1252" else "\u0436 \U0001f600"
    assert f"Would be written to {shown}" in said[0].decode("utf-8")
    assert json.loads(said[1])["out"] == "\u0436 \U0001f600"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_end_the_run_with_their_code_and_leave_nothing_half_written(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    mine = ["mine", "--task", "lab_choice", "--max-new-tokens", 128, "--set", "mining.max_lanes=16"]  # a second a unit
    process = start(*mine, "--out", "mined", cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".mined.*.work/units/000000.*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, number)
    ended = wait(process)
    assert ended.returncode == code, ended.stderr
    # What was finished is kept, and the seconds, which add up.
    (hidden,) = tmp_path.iterdir()
    assert sorted(file.name for file in hidden.iterdir()) == [".lock", "spent.json", "units"]
    assert [file.name[:7] for file in (hidden / "units").iterdir()] == ["000000."]


def test_settings_are_never_given_in_vain(tmp_path: Path) -> None:
    mine = ["mine", "--task", "lab_choice", "--limit", "2", "--max-new-tokens", "8", "--out", "m"]
    refuse(sert(*mine, "--set", "training.max_steps=5", cwd=tmp_path), code=3, says="reads only tasks, student")
    refuse(sert(*mine, "--set", "tasks.foo.kind=lab_choice", cwd=tmp_path), code=3, says="'foo'")
    refuse(
        sert("filter", "m", "--set", "mining.samples=9", "--out", "f", cwd=tmp_path), code=3, says="reads only rules"
    )
    assert sert(*mine, "--set", "seed=7", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "m" / "manifest.json").read_text())["seed"] == 7


def test_questions_of_ones_own_need_a_teacher(tmp_path: Path) -> None:
    questions(tmp_path, {"question": "Is ice cold?", "answer": "yes"})
    teach = ["teach", "--task", "table", "--data", "own.jsonl", "--out", "t"]
    for arguments in (teach, [*teach, "--dry-run"]):
        refuse(sert(*arguments, cwd=tmp_path), code=2, says="need a teacher; give --recorded FILE or --endpoint URL")


def test_an_empty_split_is_never_replaced_by_another(tmp_path: Path) -> None:
    questions(tmp_path, {"question": "Is ice cold?", "answer": "yes"})
    evaluate = ["evaluate", "--task", "table", "--data", "own.jsonl", "--out", "e"]
    refuse(sert(*evaluate, cwd=tmp_path), code=4, says="no test questions; choose --split train, or --set ")
    refuse(sert(*evaluate, "--split", "dev", cwd=tmp_path), code=4, says="--set tasks.table.dev_share=0.1")


@pytest.mark.parametrize("named", [[], ["--student", "lab"], ["--set", "student.path=lab"]])
@pytest.mark.parametrize("command", ["mine", "evaluate", "prospect"])
def test_the_labs_student_is_not_asked_questions_of_ones_own_in_silence(
    command: str, named: list[str], tmp_path: Path
) -> None:
    questions(tmp_path, {"question": "Is ice cold?", "answer": "yes"})
    split = ["--split", "train"] if command == "evaluate" else []
    done = sert(
        *(command, "--task", "table", "--data", "own.jsonl", "--dry-run", "--out", "o", *split, *named), cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert ("no student is named" in done.stderr) == (not named)
    assert (
        "no student is named"
        not in sert(command, "--task", "lab_choice", "--dry-run", "--out", "l", cwd=tmp_path).stderr
    )


def test_students_can_be_asked_several_times_but_not_in_the_compat_harness(tmp_path: Path) -> None:
    evaluate = [
        "evaluate",
        "--task",
        "lab_choice",
        "--limit",
        5,
        "--set",
        "evaluation.votes=3",
        "--dry-run",
        "--out",
        "e",
    ]
    planned = sert(*evaluate, "--max-new-tokens", 10, "--seed", 1, "--set", "mining.top_k=5", "--json", cwd=tmp_path)
    assert json.loads(planned.stdout)["tokens_at_most"] == 5 * 3 * 10
    refuse(sert(*evaluate, "--set", "evaluation.harness=compat", cwd=tmp_path), code=3, says="evaluation.votes = 1")


def test_a_dry_run_counts_the_gold_answers_as_they_were_read(tmp_path: Path) -> None:
    rows = [{"question": f"What is {number}?", "options": ["ice", "tar"], "key": number % 2} for number in range(5)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    mine = ["mine", "--task", "table", "--data", "q.jsonl", "--dry-run", "--out", "m", "--set"]
    columns = 'tasks.table.columns={choices="options", answer="key", answer_is="index"}'
    assert "answers: A 3, B 2, " in sert(*mine, columns, cwd=tmp_path).stdout
    numbers = "".join(json.dumps({"question": f"What is {number}?", "answer": number}) + "\n" for number in range(9))
    (tmp_path / "q.jsonl").write_text(numbers)
    planned = sert(*mine, "seed=1", "--json", cwd=tmp_path).stdout
    assert json.loads(planned)["answers"] == "0 1, 1 1, 2 1, 3 1, 4 1, 5 1, 3 others"


def test_the_home_folder_is_meant_wherever_a_path_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    (home / "q.jsonl").write_text('{"question": "Is ice hot?", "answer": "no"}\n')
    (home / "e.jsonl").write_text('{"prompt": "Is ice hot?", "completion": " No."}\n')
    (home / "own.toml").write_text(
        'name = "own"\nmethods = ["zero_shot"]\nstudent.path = "lab"\n'
        '[tasks.t]\nkind = "table"\ndata = "~/q.jsonl"\ntest_share = 0.5\n'
    )
    table, mine = "--set=tasks.table.data=~/q.jsonl", ["mine", "--task", "table", "--dry-run", "--out=~/mined"]
    for command in (
        [*mine, "--data=~/q.jsonl"],
        [*mine, table],
        ["train", "--examples=~/e.jsonl", "--dry-run", "--out=~/trained"],
    ):
        cli(command, standalone_mode=False)
        assert f"Would be written to {home}/" in capsys.readouterr().out
    with pytest.raises(DataError, match=r"the train split is empty|test_share of 0\.5 of 1 questions"):
        cli(["run", "~/own.toml", "--dry-run"], standalone_mode=False)


def test_the_dev_split_can_be_asked(tmp_path: Path) -> None:
    evaluate = ["evaluate", "--task", "lab_choice", "--split", "dev", "--set", "tasks.lab_choice.dev_share=0.1"]
    planned = sert(*evaluate, "--dry-run", "--json", "--out", "e", cwd=tmp_path)
    assert 5 <= json.loads(planned.stdout)["questions"] <= 43  # of 240


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_a_signal_breaks_on_its_way_out_is_not_told_in_its_place(number: signal.Signals) -> None:
    """An open connection may answer to the interrupt with an error of its own."""
    code = f"""
import os, sert.cli
def command(**options):
    try:
        os.kill(os.getpid(), {int(number)})
    except BaseException:
        raise RuntimeError("a scope that is not the current one") from None
sert.cli.cli = command
sert.cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 128 + number, done.stderr
    assert "Traceback" not in done.stderr
