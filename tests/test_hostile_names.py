"""Names that try to leave the run's folder, at every door for a name: refused, or kept as mere text."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from hostile_support import picture, sert, unprintable
from sert.config.load import load_config
from sert.config.tree import Config, TaskConfig
from sert.errors import ConfigError, DataError
from sert.records import Example, Prediction, Question, Rationale
from sert.records import Path as MinedPath
from sert.runs.run import plan, report_run, run
from sert.seeds import derive_seed
from sert.store.tables import read_table
from sert.tasks.load import load_task

_UP = [
    "..", "../x", "../../x", "../../../../tmp/x", "a/../../x", "a/b", "./x", "/x", "//x", "/tmp/x", "/etc/passwd",
    "x/", "x/..", "...", "....//x", ".", "./", "/", "a/./b", "a//b", "..;/x", "..%00/x",
]  # fmt: skip
_WINDOWS = [
    "..\\", "..\\x", "..\\..\\x", "C:\\x", "C:x", "C:", "\\\\host\\share", "\\\\?\\C:\\x", "\\\\.\\PhysicalDrive0",
    "x:stream", "x::$DATA", "a\\b", "\\x", "con", "CON", "nul", "NUL.txt", "aux", "prn", "com1", "lpt9", "CONIN$",
    "clock$", "x.", "x..", "x ", " x", "x. ", "x?", "x*", "x<y>", 'x"y', "x|y",
]  # fmt: skip
_CONTROL = [
    "\0", "x\0", "x\0.txt", "../x\0y", "x\ny", "\n../x", "x\n", "x\r", "x\ty", "\x1b[31mx", "\x1b]0;t\x07", "\x07",
    "\x08\x08x", "\x7f", "x\x85y", "x\u2028y", "\u202ex", "\u2066x\u2069", "\u200bx", "x\u200b", "\ufeffx",
    "x\u00ad", "\u2060", "\x9b31m",
]  # fmt: skip
_LONG = [
    "x" * 64, "x" * 65, "y" * 255, "y" * 300, "z" * 5000, "../" * 100 + "x", "/".join("x" * 200), "é" * 128,
    "." * 300,
]  # fmt: skip
_ALIKE = [
    "\uff0e\uff0e\uff0fx", "\uff0e\uff0e/x", "\u2024\u2024/x", "\u2025/x", "\u2026", "..\u2215x", "..\u2044x",
    "..\u29f8x", "..\ufe68x", "..\uff3cx", "\u00e9", "e\u0301", "\u212a", "K", "k", "\u017f", "s", "\ufb01", "fi",
    "\u0130", "i\u0307", "\u1e9e", "ss", "\u0430", "a", "\U0001d552", "\uff21", "A",
]  # fmt: skip
_ENCODED = [
    "%2e%2e%2fx", "..%2fx", "%2e%2e/x", "..%5cx", "%252e%252e%252fx", "..%c0%afx", "%00", "&#46;&#46;/x",
    "\\x2e\\x2e/x", "\\u002e\\u002e/x", "file:///x", "http://x/y",
]  # fmt: skip
_SHELL = [
    "~", "~/x", "~root", "~root/x", "$HOME", "$HOME/x", "${HOME}/x", "%USERPROFILE%", "`id`", "$(touch x)", "; ls",
    "| cat", "> x", "& x", "-x", "--out", "-rf", "--", "*", "?", "[a-z]", "{a,b}", "!x", "#x", "", " ", "\t",
    ".git", ".lock", ".hidden", "manifest.json", "config.toml", "report", "calls", "index.html", ".x.tmp-00000000",
]  # fmt: skip
NAMES = [*_UP, *_WINDOWS, *_CONTROL, *_LONG, *_ALIKE, *_ENCODED, *_SHELL]

IDS = [name for name in NAMES if name.strip() == name and name]


class Place:
    """A folder with a working folder and a home in it, of which everything is noted before and after."""

    def __init__(self, root: Path) -> None:
        self.root, self.cwd = root, root / "cwd"
        for name in ("cwd", "home", "other"):
            (root / name).mkdir()
            (root / name / "kept.txt").write_text(name)
        self.before = picture(root)

    def touched(self, *, but: Path | None = None) -> list[str]:
        """Name what is new, changed or gone, apart from what is inside a folder."""
        changed = dict(picture(self.root).items() ^ self.before.items())
        inside = None if but is None else str(but)
        return sorted(name for name in changed if inside is None or not f"{name}/".startswith(f"{inside}/"))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    (tmp_path / "surroundings").mkdir()
    found = Place(tmp_path / "surroundings")
    monkeypatch.chdir(found.cwd)
    monkeypatch.setenv("HOME", str(found.root / "home"))
    return found


def test_there_are_enough_names() -> None:
    assert len(NAMES) >= 150 and len(set(NAMES)) == len(NAMES)


def config_text(name: str, task: str = "own") -> bytes:
    return tomli_w.dumps({"name": name, "tasks": {task: {"kind": "lab_yes_no", "limit": 2}}}).encode()


def outcome(read: Callable[[], Config]) -> Config | str:
    try:
        return read()
    except ConfigError as error:
        return str(error)


def test_a_runs_name_is_refused_or_is_one_folder_below_runs(place: Place, tmp_path: Path) -> None:
    taken = set()
    for name in NAMES:
        (tmp_path / "c.toml").write_bytes(config_text(name))
        by_file = outcome(lambda: load_config(tmp_path / "c.toml"))
        (tmp_path / "c.toml").write_bytes(config_text("x"))
        by_option = outcome(lambda name=name: load_config(tmp_path / "c.toml", overrides=[f"name='''{name}'''"]))
        if isinstance(by_file, str):
            assert "line 1: 'name' = " in by_file and isinstance(by_option, str), name
            continue
        assert isinstance(by_option, Config) and by_option.name == by_file.name == name
        folder = Path("runs") / by_file.name
        assert folder.parent == Path("runs") and folder.resolve().parent == (place.cwd / "runs")
        taken.add(name)
    assert taken == {"con", "CON", "nul", "NUL.txt", "aux", "prn", "com1", "lpt9", "x.", "x..", "x" * 64, "K", "k", "s",
                     "fi", "ss", "a", "A", "manifest.json", "config.toml", "report", "calls", "index.html"}  # fmt: skip
    assert place.touched() == []


@pytest.mark.usefixtures("quick_estimates")
def test_a_tasks_name_is_refused_or_begins_one_folder(place: Place, tmp_path: Path) -> None:
    taken, folders = set(), set()
    for name in NAMES:
        (tmp_path / "c.toml").write_bytes(config_text("x", task=name))
        config = outcome(lambda: load_config(tmp_path / "c.toml"))
        if isinstance(config, str):
            assert "is no name: a-z, 0-9, _ and - are allowed" in config, name
            continue
        taken.add(name)
        config = config.model_copy(update={"methods": ("zero_shot", "sert"), "student": config.student})
        config = config.model_copy(update={"student": config.student.model_copy(update={"path": "lab"})})
        planned = {stage.folder for stage in plan(config, out=place.cwd / "run").stages}
        assert all("/" not in folder and folder.startswith(f"{name}-") for folder in planned)
        assert not planned & folders
        folders |= planned
    assert taken == {"con", "nul", "aux", "prn", "com1", "lpt9", "x" * 64, "k", "s", "fi", "ss", "a", "report", "calls"}
    assert place.touched() == []


@pytest.mark.usefixtures("quick_estimates")
def test_names_in_place_of_files_and_students_are_one_error(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = {}
    for name in NAMES:
        for field in ("data", "test_data", "split_file", "rationales", "student"):
            given = f"{name}.json" if field == "split_file" else f"{name}.jsonl"
            tree: dict[str, Any] = {
                "name": "x",
                "student": {"path": name if field == "student" else "lab"},
                "tasks": {"t": {"kind": "strategyqa" if field == "split_file" else "table", "data": "kept.txt"}},
            }
            if field != "student":
                tree["tasks"]["t"][field] = given
            (tmp_path / "c.toml").write_bytes(tomli_w.dumps(tree).encode())
            ended = sert(["run", str(tmp_path / "c.toml"), "--dry-run"], capsys=capsys)
            assert ended.code in (3, 4, 5, 6), (name, field, ended)
            assert unprintable(ended.err) == [] and ended.out == ""
            codes.setdefault(field, set()).add(ended.code)
    assert codes["data"] == {3, 4}
    assert place.touched() == []


def test_names_on_the_command_line_are_one_error(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = str(tmp_path / "own.jsonl")
    write_rows(Path(own), [{"question": "Is ice cold?", "answer": "yes"}])
    for name in NAMES:
        if "\0" in name:
            continue  # no command line holds it
        for code, arguments in (
            (3, ["run", name]),
            (4, ["report", name]),
            (4, ["verify", name]),
            (4, ["filter", name, "--out", "o"]),
            (3, ["mine", "--task", name, "--out", "o"]),
            (4, ["mine", "--task", "table", "--data", name, "--out", "o"]),
            (4, ["train", "--examples", name, "--out", "o"]),
            (6, ["teach", "--task", "table", "--data", own, "--recorded", name, "--out", "o"]),
        ):
            ended = sert(arguments, capsys=capsys)
            # A name that begins with a dash is an option; one that is too long may be the system's to refuse.
            also = {2} if name.startswith("-") else {1, 3} if len(name.encode()) > 255 else set()
            assert ended.code in also | {code}, (arguments, ended)
            assert unprintable(ended.out + ended.err) == [] and ended.out == ""
    assert place.touched() == []


@pytest.mark.parametrize("out", ["", ".", "/", "..", "a/..", "./", "//", "../.."])
def test_an_out_without_a_name_of_its_own_is_refused(
    out: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in (["mine", "--task", "lab_choice"], ["teach", "--task", "lab_choice"], ["demo"]):
        ended = sert([*command, "--out", out], capsys=capsys)
        assert ended.code == 2 and "is not the name of a folder" in ended.err
    assert place.touched() == []


# ---- names of questions, through every stage


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def settings(place: Place, student_folder: Path) -> dict[str, Any]:
    """Questions whose ids are the names; the teacher's file names them too."""
    rows = [{"id": each, "q": f"Is {number} odd?", "a": "no"} for number, each in enumerate(IDS)]
    other = [row | {"id": f"{row['id']}!", "q": f"Was {row['q']}"} for row in rows[::8]]
    taught = [{"question_id": each, "text": f"T{number}"} for number, each in enumerate(IDS)]
    for name, content in (("train", rows), ("test", other), ("taught", taught)):
        write_rows(place.root / "other" / f"{name}.jsonl", content)
    return {
        "name": "names",
        "methods": ["sert", "rd"],
        "student": {"path": str(student_folder), "device": "cpu"},
        "tasks": {
            "own": {
                "kind": "table",
                "data": str(place.root / "other" / "train.jsonl"),
                "test_data": str(place.root / "other" / "test.jsonl"),
                "rationales": str(place.root / "other" / "taught.jsonl"),
                "columns": {"question_id": "id", "question": "q", "answer": "a"},
            }
        },
        "mining": {"branches": 2, "samples": 1, "max_new_tokens": 3, "keep_all": True},
        "rules": {"min_tokens": 0, "max_rep_2": 1.0, "min_perplexity": 0.0, "direct_response": False},
        "training": {"max_steps": 1},
        "evaluation": {"max_new_tokens": 3, "probe_samples": 1},
    }  # fmt: skip


@pytest.mark.usefixtures("sketched_figures")
def test_ids_pass_every_stage_as_mere_text(place: Place, student_folder: Path) -> None:
    tree = settings(place, student_folder)
    (place.root / "other" / "c.toml").write_bytes(tomli_w.dumps(tree).encode())
    place.before = picture(place.root)
    result = run(load_config(place.root / "other" / "c.toml"))
    folder = place.cwd / "runs" / "names"
    assert result.folder.resolve() == folder
    report_run(folder)
    assert place.touched(but=folder) == [str(place.cwd / "runs")]
    assert not any(path.is_symlink() for path in folder.rglob("*"))

    stages = json.loads((folder / "manifest.json").read_text())["stages"]
    ids_of = {
        stage: [each.question_id for each in read_table(folder / stages[f"own {stage}"] / file, record_type)]
        for stage, file, record_type in (
            ("mine", "questions.parquet", Question),
            ("teach", "rationales.parquet", Rationale),
            ("train-rd", "examples.parquet", Example),
        )
    }
    assert ids_of == dict.fromkeys(ids_of, IDS)
    mined = read_table(folder / stages["own mine"] / "paths.parquet", MinedPath)
    assert [each.question_id for each in mined] == [each for each in IDS for _ in range(2)]
    taught = read_table(folder / stages["own teach"] / "rationales.parquet", Rationale)
    assert [each.text for each in taught] == [f"T{i}" for i in range(len(IDS))]
    predicted = read_table(folder / stages["own evaluate-rd"] / "predictions.parquet", Prediction)
    assert [each.question_id for each in predicted] == [f"{each}!" for each in IDS[::8]]
    assert unprintable((folder / "report" / "index.html").read_text()) == []


def test_distinct_ids_are_distinct_whatever_a_file_system_would_make_of_them() -> None:
    assert len({derive_seed(0, "mine", each, 0, 0) for each in IDS}) == len(IDS)
    folded = {unicodedata.normalize("NFKC", each).casefold() for each in IDS}
    assert len(folded) < len(IDS)  # some are alike, and still are not the same


@pytest.mark.parametrize("pair", [("a", " a"), ("a", "a\n"), ("a", "\u3000a\x85")])
def test_ids_that_differ_only_in_outer_blanks_are_refused(pair: tuple[str, str], tmp_path: Path) -> None:
    write_rows(tmp_path / "q.jsonl", [{"id": each, "q": "Is it?", "a": "no"} for each in pair])
    columns = {"question_id": "id", "question": "q", "answer": "a"}
    config = {"kind": "table", "data": tmp_path / "q.jsonl", "columns": columns}
    with pytest.raises(DataError, match="line 2: the id 'a' was given already"):
        load_task("t", TaskConfig.model_validate(config))


@pytest.mark.usefixtures("sketched_figures")
def test_a_run_folder_that_is_a_link_is_the_folder_it_leads_to(place: Place, student_folder: Path) -> None:
    tree = settings(place, student_folder) | {"methods": ["zero_shot"]}
    (place.root / "other" / "c.toml").write_bytes(tomli_w.dumps(tree).encode())
    (place.root / "target").mkdir()
    (place.cwd / "runs").mkdir()
    (place.cwd / "runs" / "names").symlink_to(place.root / "target")
    place.before = picture(place.root)
    run(load_config(place.root / "other" / "c.toml"))
    assert place.touched(but=place.root / "target") == []
    assert (place.root / "target" / "report" / "index.html").is_file()
