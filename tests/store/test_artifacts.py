import errno
import json
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from sert.errors import DataError, DiskError, DiskFullError, RunLockedError, StudentError
from sert.store.artifacts import MANIFEST, Draft, commit, content_key, file_hash, json_text, open_artifact, work_folder
from sert.store.lock import run_lock


def write(text: str) -> Any:
    def fill(draft: Draft) -> dict[str, int]:
        (draft.folder / "sub").mkdir()
        (draft.folder / "sub" / "a.txt").write_text(text)
        return {"characters": len(text)}

    return fill


def make(out: Path, text: str = "abc", **kwargs: Any) -> Any:
    settings = {"stage": "test", "config": {"text": text}, "inputs": {"x": "1"}, "seed": 0, **kwargs}
    return commit(out, write(text), **settings)


def test_the_manifest_says_what_was_made_and_hashes_it(tmp_path: Path) -> None:
    artifact = make(tmp_path / "out")
    assert artifact.counts == {"characters": 3}
    assert artifact.manifest["outputs"] == {"sub/a.txt": file_hash(tmp_path / "out" / "sub" / "a.txt")}
    assert file_hash(tmp_path / "out" / "sub" / "a.txt").startswith("ba7816bf")
    assert open_artifact(tmp_path / "out").key == artifact.key
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_finished_result_is_not_made_again(tmp_path: Path) -> None:
    make(tmp_path / "out")

    def never(draft: Draft) -> dict[str, int]:
        raise AssertionError("made twice")

    again = commit(tmp_path / "out", never, stage="test", config={"text": "abc"}, inputs={"x": "1"}, seed=0)
    assert again.counts == {"characters": 3}


@pytest.mark.parametrize("change", [{"config": {"text": "x"}}, {"inputs": {"x": "2"}}, {"seed": 1}, {"stage": "other"}])
def test_another_result_is_never_overwritten(tmp_path: Path, change: dict[str, Any]) -> None:
    make(tmp_path / "out")
    with pytest.raises(DataError, match="already holds another result"):
        make(tmp_path / "out", **change)
    assert open_artifact(tmp_path / "out").counts == {"characters": 3}


def test_foreign_files_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(DataError, match="already holds other files"):
        make(tmp_path / "out")
    (tmp_path / "file").write_text("keep")
    with pytest.raises(DataError):
        make(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "keep"


@pytest.mark.parametrize(
    ("error", "seen", "left"),
    [
        (DataError("cannot be used"), DataError, []),
        (StudentError("cannot be loaded"), StudentError, []),
        # These may go on, and only the seconds are left to add to.
        (OSError(errno.ENOSPC, "full"), DiskFullError, ["spent.json"]),
        (OSError(errno.EIO, "broken"), DiskError, ["spent.json"]),
        (KeyboardInterrupt(), KeyboardInterrupt, ["spent.json"]),
    ],
)
def test_nothing_of_the_result_is_left_behind_when_making_fails(
    tmp_path: Path, error: BaseException, seen: type[BaseException], left: list[str]
) -> None:
    def fail(draft: Draft) -> dict[str, int]:
        (draft.folder / "half").write_text("half")
        raise error

    with pytest.raises(seen):
        commit(tmp_path / "out", fail, stage="test", config={}, inputs={}, seed=0)
    assert [file.name for file in tmp_path.rglob("*") if file.is_file() and file.name != ".lock"] == left


def test_a_full_disk_is_known_in_its_wrapping(tmp_path: Path) -> None:
    def fail(draft: Draft) -> dict[str, int]:
        raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(DiskFullError):
        commit(tmp_path / "out", fail, stage="test", config={}, inputs={}, seed=0)


def test_whoever_comes_second_is_refused_while_the_first_is_at_it(tmp_path: Path) -> None:
    def overtaken(draft: Draft) -> dict[str, int]:
        with pytest.raises(RunLockedError, match="in use by process"):
            make(tmp_path / "out")
        return write("abc")(draft)  # type: ignore[no-any-return]

    late = commit(tmp_path / "out", overtaken, stage="test", config={"text": "abc"}, inputs={"x": "1"}, seed=0)
    assert late.counts == {"characters": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


SETTINGS: dict[str, Any] = {"stage": "test", "config": {}, "inputs": {}, "seed": 0}


def worked_for(draft: Draft) -> None:
    (draft.work / "units").mkdir(exist_ok=True)
    (draft.work / "units" / "1").write_text("worked for")


def test_finished_work_outlives_a_stop_and_is_removed_with_the_result_there(tmp_path: Path) -> None:
    def stopped(draft: Draft) -> dict[str, int]:
        worked_for(draft)
        (draft.folder / "half").write_text("half")
        raise KeyboardInterrupt

    seen = []

    def goes_on(draft: Draft) -> dict[str, int]:
        seen.extend(file.read_text() for file in (draft.work / "units").iterdir())
        assert list(draft.folder.iterdir()) == []
        return {}

    with pytest.raises(KeyboardInterrupt):
        commit(tmp_path / "out", stopped, **SETTINGS)
    (hidden,) = tmp_path.iterdir()
    assert hidden.name.startswith(".out.") and not (hidden / "result").exists()
    commit(tmp_path / "out", goes_on, **SETTINGS)
    assert seen == ["worked for"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_other_settings_and_other_versions_do_not_go_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = work_folder(tmp_path / "out", "key")
    assert work_folder(tmp_path / "out", "other") != before
    monkeypatch.setattr("sert.store.artifacts.versions", lambda: {"torch": "99"})
    assert work_folder(tmp_path / "out", "key") != before


def test_what_is_kept_stays_hidden_beside_the_result(tmp_path: Path) -> None:
    def fill(draft: Draft) -> dict[str, int]:
        worked_for(draft)
        (draft.work / "checkpoints").mkdir()
        return {}

    commit(tmp_path / "out", fill, **SETTINGS, keep_units=True)
    (hidden,) = (path for path in tmp_path.iterdir() if path.name != "out")
    assert [path.name for path in hidden.iterdir() if path.is_dir()] == ["units"]


def test_seconds_add_up_over_attempts(tmp_path: Path) -> None:
    def slow(draft: Draft) -> dict[str, int]:
        draft._since -= 100
        raise KeyboardInterrupt

    def fill(draft: Draft) -> dict[str, int]:
        draft._since -= 20
        assert 120 <= draft.lap() < 130
        draft._since -= 3
        return {}

    with pytest.raises(KeyboardInterrupt):
        commit(tmp_path / "out", slow, **SETTINGS)
    assert 123 <= commit(tmp_path / "out", fill, **SETTINGS).manifest["wall_seconds"] < 133


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="is a file"):
        make(tmp_path / "file" / "out")


def test_an_unfinished_folder_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        open_artifact(tmp_path / "no")
    (tmp_path / "half").mkdir()
    with pytest.raises(DataError, match=r"no manifest\.json"):
        open_artifact(tmp_path / "half")
    for content in ("{", "[]", json.dumps({"stage": "x"})):
        (tmp_path / "half" / MANIFEST).write_text(content)
        with pytest.raises(DataError, match="manifest"):
            open_artifact(tmp_path / "half")


def test_equal_values_share_a_key() -> None:
    assert content_key({"a": 1, "b": [2]}) == content_key({"b": [2], "a": 1})
    assert content_key({"a": 1}) != content_key({"a": 2})


def _hold(folder: Path, ready: Any, done: Any) -> None:
    with run_lock(folder):
        ready.set()
        done.wait(30)


def test_a_second_writer_is_refused_and_told_who_holds_the_run(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready, done))
    process.start()
    assert ready.wait(60)
    with pytest.raises(RunLockedError, match=f"process {process.pid} on"), run_lock(tmp_path):
        pass
    process.kill()
    process.join()
    with run_lock(tmp_path):
        pass


def test_what_a_process_left_that_was_killed_at_the_end_is_cleared(tmp_path: Path) -> None:
    made = make(tmp_path / "out")
    hidden = work_folder(made.folder, made.key)
    (hidden / "checkpoints").mkdir(parents=True)
    (hidden / "checkpoints" / "large").write_text("x")
    make(tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_another_result_that_comes_in_between_is_not_overwritten(tmp_path: Path) -> None:
    def overtaken(draft: Draft) -> dict[str, int]:
        make(tmp_path / "out", text="other")
        return {}

    with pytest.raises(DataError, match="already holds another result"):
        commit(tmp_path / "out", overtaken, **SETTINGS)
    assert open_artifact(tmp_path / "out").counts == {"characters": 5}


def test_scratch_of_a_killed_process_does_not_keep_the_hidden_folder(tmp_path: Path) -> None:
    def fill(draft: Draft) -> dict[str, int]:
        (draft.work / ".spent.json.tmp-1").write_text("half")
        return {}

    commit(tmp_path / "out", fill, **SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_json_for_people_escapes_what_cannot_be_printed_and_nothing_else() -> None:
    value = {"a": "é東 🎉", "b": "\u202eabc\x7f\u2028\x85\x00", "c": [1.5, "two\nlines\r\n"], "\u200b": None}
    text = json_text(value)
    assert json.loads(text) == value
    assert text == (
        '{\n  "a": "é東 🎉",\n  "b": "\\u202eabc\\u007f\\u2028\\u0085\\u0000",\n  "c": [\n    1.5,\n'
        '    "two\\nlines\\r\\n"\n  ],\n  "\\u200b": null\n}\n'
    )
