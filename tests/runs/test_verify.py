"""Whatever happens to the bytes of finished work is found, and in a run mended."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hostile_support import Ended, sert
from sert.cli import cli
from sert.config.load import load_config
from sert.config.tree import Config
from sert.errors import DataError
from sert.lab import DEMO_CONFIG
from sert.runs.folder import publish
from sert.runs.run import report_run, run
from sert.runs.verify import find_removable, remove, verify
from sert.store.artifacts import MANIFEST, open_artifact
from sert.store.verification import find_damage
from sert.student.decoding.units import DecodingJob
from sert.terminal.progress import Silent

MENDED_AT_ONCE = 20
"""Files that are damaged at a time, as each repair takes seconds."""


def small() -> Config:
    changed = ["training.max_steps=1", "methods=['sert']", "mining.max_new_tokens=24", "evaluation.probe_samples=0"]
    return load_config(DEMO_CONFIG, overrides=[*changed, "student.device=cpu"], limit=4)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(small(), out=tmp_path_factory.mktemp("runs") / "small").folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def results(folder: Path) -> list[Path]:
    return sorted(each.parent for each in folder.glob(f"*/{MANIFEST}"))


def test_a_finished_run_is_whole(finished: Path) -> None:
    found = verify(finished)
    units = sorted(finished.glob(".*.work"))
    assert [each.folder for each in found] == [finished, *results(finished), *units] and units
    assert all(each.damage == [] for each in found)
    assert find_damage(results(finished)[0]) == []


@pytest.mark.soak
def test_every_flipped_bit_is_found_and_mended(copied: Path, full: bool) -> None:
    def flip(content: bytearray, draw: random.Random) -> None:
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)

    damage_and_mend(copied, flip, count=1000 if full else 60, draw=random.Random(0))


@pytest.mark.soak
def test_every_cut_is_found_and_mended(copied: Path, full: bool) -> None:
    def cut(content: bytearray, draw: random.Random) -> None:
        del content[draw.randrange(len(content)) :]

    damage_and_mend(copied, cut, count=300 if full else 20, draw=random.Random(1))


def damage_and_mend(
    run: Path, damage: Callable[[bytearray, random.Random], None], *, count: int, draw: random.Random
) -> None:
    """Damage one file at a time and see it found; then leave some of them damaged at once and see the run mended."""
    before = {each.name: open_artifact(each).manifest["outputs"] for each in results(run)}
    for first in range(0, count, MENDED_AT_ONCE):
        files = [file for each in results(run) for file in sorted(each.rglob("*")) if file.is_file()]
        damaged = {}
        for file in draw.sample(files, k=min(MENDED_AT_ONCE, count - first)):
            whole, content = file.read_bytes(), bytearray(file.read_bytes())
            damage(content, draw)
            file.write_bytes(content)
            assert find_damage(result_with(file, run)) == [expected_damage(file, run)]
            file.write_bytes(whole)
            damaged[file] = content
        for file, content in damaged.items():
            file.write_bytes(content)
        found = verify(run, repair=True)
        broken = {result_with(file, run) for file in damaged}
        assert (
            {each.folder for each in found if each.damage} == {each.folder for each in found if each.mended} == broken
        )
        assert {each.name: open_artifact(each).manifest["outputs"] for each in results(run)} == before
        assert all(each.damage == [] for each in verify(run))


def result_with(file: Path, run: Path) -> Path:
    return run / file.relative_to(run).parts[0]


def expected_damage(file: Path, run: Path) -> str:
    name = file.relative_to(result_with(file, run)).as_posix()
    return "manifest.json was changed" if name == MANIFEST else f"{name} holds other bytes"


def test_files_that_are_missing_or_were_added_are_named(copied: Path) -> None:
    folder = next(each for each in results(copied) if "-mine-" in each.name)
    (folder / "paths.parquet").unlink()
    (folder / "more").mkdir()
    (folder / "more" / "notes.txt").write_text("mine")
    assert find_damage(folder) == ["more/notes.txt was added", "paths.parquet is missing"]


@pytest.mark.parametrize("what", ["-mine-", "-filter-", "-train-sert-", "-evaluate-sert-"])
@pytest.mark.parametrize("manifest", [False, True])
def test_what_is_broken_is_made_again_and_nothing_else(copied: Path, what: str, manifest: bool) -> None:
    broken = next(each for each in results(copied) if what in each.name)
    before = {each.name: open_artifact(each).manifest for each in results(copied)}
    file = broken / MANIFEST if manifest else next(file for file in broken.rglob("*.*") if file.name != MANIFEST)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    found = {each.folder.name: each for each in verify(copied, repair=True)}
    assert [name for name, each in found.items() if each.mended] == [broken.name]
    after = {each.name: open_artifact(each).manifest for each in results(copied)}
    assert {name: each["outputs"] for name, each in after.items()} == {
        name: each["outputs"] for name, each in before.items()
    }
    assert [name for name in after if after[name] != before[name]] in ([], [broken.name])
    assert all(each.damage == [] for each in verify(copied))
    assert [each.name for each in copied.iterdir() if ".tmp-" in each.name] == []


def test_a_single_result_is_verified_but_not_mended(copied: Path, tmp_path: Path) -> None:
    single = Path(shutil.copytree(results(copied)[0], tmp_path / "single"))
    assert verify(single)[0].damage == []
    (single / "questions.parquet").write_bytes(b"")
    assert verify(single)[0].damage == ["questions.parquet holds other bytes"]
    with pytest.raises(DataError, match="give its command again"):
        verify(single, repair=True, reporter=Silent())


def test_a_single_result_is_not_to_be_removed_for_a_file_that_was_added(copied: Path, tmp_path: Path) -> None:
    single = Path(shutil.copytree(results(copied)[0], tmp_path / "single"))
    (single / "notes.txt").write_text("mine")
    assert verify(single, repair=True)[0].damage == ["notes.txt was added"]


def test_what_was_never_finished_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        verify(tmp_path / "none")
    with pytest.raises(DataError, match="not a finished result"):
        verify(tmp_path)


def test_the_command(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def verified(*arguments: str) -> Ended:
        return sert(["verify", str(copied), *arguments], capsys=capsys)

    whole = verified()
    assert (whole.code, whole.out) == (0, f"whole   {len(verify(copied))} folders\n")
    broken = next(each for each in results(copied) if "-filter-" in each.name)
    (broken / "verdicts.parquet").write_bytes(b"x")
    found = verified()
    assert found.code == 4
    assert f"broken  {broken.name}; verdicts.parquet holds other bytes" in found.out
    assert f"1 of {len(verify(copied))} folders is broken" in found.err
    assert "--repair makes it again" in found.err
    mended = verified("--repair")
    assert (mended.code, f"mended  {broken.name}" in mended.out) == (0, True), mended.err
    assert verified("--json").code == 0


def test_the_command_counts_what_is_whole_and_names_what_is_broken_last(
    copied: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, last = results(copied)[0], results(copied)[-1]
    flip(next(file for file in first.iterdir() if file.name != MANIFEST))
    (last / "notes.txt").write_text("mine")
    with pytest.raises(DataError) as refused:
        cli(["verify", str(copied)], standalone_mode=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"whole   {len(verify(copied)) - 2} folders"
    assert lines[1] == f"added   {last.name}; notes.txt was added"
    assert lines[2].startswith(f"broken  {first.name}; ") and len(lines) == 3
    with pytest.raises(DataError) as kept:
        cli(["verify", str(copied), "--repair"], standalone_mode=False)
    assert "broken" in str(refused.value) and "broken" not in str(kept.value)
    assert str(kept.value) == f"Files were added to {last.name}; they stay until you remove them."


@pytest.mark.parametrize("whole", [False, True])
def test_a_stage_that_is_gone_is_missed_and_made_again(copied: Path, whole: bool) -> None:
    gone = next(each for each in results(copied) if "-train-sert-" in each.name)
    before = open_artifact(gone).manifest["outputs"]
    shutil.rmtree(gone) if whole else (gone / MANIFEST).unlink()
    assert [each.folder.name for each in verify(copied) if each.damage == ["it is missing"]] == [gone.name]
    verify(copied, repair=True)
    assert open_artifact(gone).manifest["outputs"] == before
    assert all(each.damage == [] for each in verify(copied))


def test_a_file_that_leads_nowhere_is_damage(copied: Path) -> None:
    folder = results(copied)[0]
    file = next(file for file in folder.rglob("*.*") if file.name != MANIFEST)
    file.unlink()
    file.symlink_to("nowhere")
    assert find_damage(folder) == [f"{file.relative_to(folder).as_posix()} cannot be read"]


def units_of(run: Path, what: str) -> list[Path]:
    return sorted(run.glob(f".*{what}*.work/units/*"))


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_only_the_broken_units_are_decoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small().model_copy(update={"mining": small().mining.model_copy(update={"max_lanes": 8})})
    whole = run(config, out=tmp_path / "run").folder
    before = {each.name: open_artifact(each).manifest["outputs"] for each in results(whole)}
    units = units_of(whole, "lab-choice-mine")
    assert len(units) == 2
    flip(units[1])
    table = next(each for each in results(whole) if "lab-choice-mine" in each.name) / "paths.parquet"
    flip(table)
    decoded: list[int] = []
    start = DecodingJob.start

    def counting(job: DecodingJob, worker: int) -> Any:
        run_unit = start(job, worker)
        return lambda unit, advance: decoded.append(unit.number) or run_unit(unit, advance)

    monkeypatch.setattr(DecodingJob, "start", counting)
    found = verify(whole, repair=True)
    assert sorted(each.folder for each in found if each.mended) == sorted([table.parent, units[1].parent.parent])
    assert decoded == [1]
    assert {each.name: open_artifact(each).manifest["outputs"] for each in results(whole)} == before
    assert units_of(whole, "lab-choice-mine") == units
    assert all(each.damage == [] for each in verify(whole))


@pytest.mark.parametrize(
    "name", ["config.toml", "plan.json", "manifest.json", "report/index.html", "report/metrics.json"]
)
def test_what_lies_beside_the_stages_is_verified_and_mended_too(copied: Path, name: str) -> None:
    file = copied / name
    before = file.read_bytes()
    for damage in (lambda: flip(file), lambda: file.write_bytes(before[:-2]), file.unlink):
        damage()
        found = verify(copied, repair=True)
        assert [each.folder for each in found if each.mended] == [copied]
        assert all(each.damage == [] for each in verify(copied))
        if name in ("config.toml", "plan.json"):
            assert file.read_bytes() == before
    (copied / "report" / "more.html").write_text("added")
    assert verify(copied)[0].damage == ["report/more.html was added"]


def test_what_other_settings_left_is_listed_and_removed_only_when_asked(copied: Path, tmp_path: Path) -> None:
    before = {each.name for each in results(copied)}
    other = small().model_copy(update={"rules": small().rules.model_copy(update={"min_tokens": 11})})
    run(other, out=copied)
    (copied / ".lab-choice-mine-x.tmp-broken-1").mkdir()
    (copied / "notes").mkdir()
    (copied / "calls").mkdir()
    found = {each.folder.name: each.why for each in find_removable(copied)}
    old = {name for name in before if "mine" not in name and "zero_shot" not in name and "finetune" not in name}
    assert (
        {name for name, why in found.items() if why == "a result of another configuration"}
        == old & found.keys()
        != set()
    )
    assert found[".lab-choice-mine-x.tmp-broken-1"] == "left by a run that was killed"
    assert {"notes", "calls", "report"} & found.keys() == set()
    everything = sorted(copied.rglob("*"))
    find_removable(copied)
    assert sorted(copied.rglob("*")) == everything
    remove(copied, find_removable(copied))
    assert find_removable(copied) == []
    assert all(each.damage == [] for each in verify(copied))
    assert run(other, out=copied).stages_made == 0
    with pytest.raises(DataError, match="no run folder"):
        find_removable(tmp_path)


def test_what_other_settings_led_to_is_told_and_left_and_the_rest_mended(copied: Path) -> None:
    run(small().model_copy(update={"seed": 7}), out=copied)
    removable = {each.folder for each in find_removable(copied)}
    filtered = [each for each in results(copied) if "-filter-" in each.name]
    for each in filtered:
        flip(each / "verdicts.parquet")
    found = {each.folder: each.mended for each in verify(copied, repair=True) if each.damage}
    assert found == {each: each not in removable for each in filtered}
    assert len(set(found.values())) == 2


def test_a_file_that_was_added_is_named_and_costs_no_work(copied: Path) -> None:
    stage = next(each for each in results(copied) if "-train-" in each.name)
    (stage / "notes.txt").write_text("mine")
    before = (stage / MANIFEST).read_bytes()
    (found,) = (each for each in verify(copied, repair=True) if each.damage)
    assert (found.damage, found.mended) == (["notes.txt was added"], False)
    assert (stage / MANIFEST).read_bytes() == before and (stage / "notes.txt").exists()


def test_files_of_others_stay_where_the_report_is_written_again(copied: Path) -> None:
    notes, more = copied / "report" / "my-notes.txt", copied / "report" / "more" / "mine.png"
    more.parent.mkdir()
    notes.write_text("mine")
    more.write_bytes(b"mine too")
    before = (copied / MANIFEST).read_bytes()
    damage = ["report/more/mine.png was added", "report/my-notes.txt was added"]
    (found,) = (each for each in verify(copied, repair=True) if each.damage)
    assert (found.damage, found.mended, (copied / MANIFEST).read_bytes()) == (damage, False, before)
    for _ in range(2):
        flip(copied / "report" / "table.md")
        (found,) = (each for each in verify(copied, repair=True) if each.damage)
        assert (found.damage, found.mended) == ([*damage, "report/table.md holds other bytes"], True)
        report_run(copied)
        run(small(), out=copied)
        assert [each.damage for each in verify(copied) if each.damage] == [damage]
    assert (notes.read_text(), more.read_bytes()) == ("mine", b"mine too")


def test_files_of_an_earlier_report_go_and_those_of_others_outlive_a_kill(tmp_path: Path) -> None:
    def writes(*names: str) -> Callable[[Path], None]:
        def write(folder: Path) -> None:
            folder.mkdir()
            for name in names:
                (folder / name).write_text(name)

        return write

    report = tmp_path / "report"
    publish(tmp_path, writes("index.html", "old.svg"))
    (report / "link").symlink_to("nowhere")
    publish(tmp_path, writes("index.html"))
    assert {each.name for each in report.iterdir()} == {"index.html", ".written.json", "link"}
    report.rename(tmp_path / ".report.before")  # as far as a killed process came
    publish(tmp_path, writes("index.html"))
    assert {each.name for each in report.iterdir()} == {"index.html", ".written.json", "link"}
    assert [each.name for each in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("what", ["verdicts.parquet", MANIFEST])
@pytest.mark.parametrize("lost", [False, True])
def test_files_of_others_stay_where_a_stage_is_made_again(copied: Path, what: str, lost: bool) -> None:
    stage = next(each for each in results(copied) if "-filter-" in each.name)
    (stage / "more").mkdir()
    (stage / "more" / "notes.txt").write_text("mine")
    (stage / what).unlink() if lost else flip(stage / what)
    assert [each.folder for each in verify(copied, repair=True) if each.mended] == [stage]
    assert [each.damage for each in verify(copied) if each.damage] == [["more/notes.txt was added"]]
    assert (stage / "more" / "notes.txt").read_text() == "mine"


def test_a_run_that_was_stopped_with_other_settings_is_no_damage(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = small().model_copy(update={"training": small().training.model_copy(update={"learning_rate": 1e-5})})

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("sert.student.training.loop.train_student", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(other, out=copied)
    assert [each for each in verify(copied, repair=True) if each.damage] == []
    assert load_config(copied / "config.toml").training.learning_rate == 1e-5
    assert run(other, out=copied).stages_made > 0
    assert [each for each in verify(copied) if each.damage] == []


def test_the_command_lists_and_removes(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def cleared(*arguments: str) -> str:
        ended = sert(["gc", str(copied), *arguments], capsys=capsys)
        assert ended.code == 0, ended.err
        return ended.out

    assert "units of a finished stage" in cleared()
    assert "removed" in cleared("--delete")
    assert cleared().startswith("0 folders")
