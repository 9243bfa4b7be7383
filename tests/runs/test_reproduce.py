"""A grid on a small part of the lab: every stage once, the same numbers from any number of workers, one report."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fault_server import FaultServer
from hostile_support import sert
from sert import records
from sert.config.grid import Grid, Variant, load_grid
from sert.errors import ConfigError, DataError
from sert.lab.verifier import verify as verify_path
from sert.lab.world import lab_world
from sert.records import Example, Judgement, Prediction, Verdict
from sert.runs.build import build_arms, distinct_stages
from sert.runs.folder import RunResult
from sert.runs.request import Request
from sert.runs.run import plan, report_run, run
from sert.runs.verify import find_removable, remove, verify
from sert.stats.seeds import paired_over_seeds
from sert.store.stage import input_keys
from sert.store.tables import read_table
from sert.terminal.progress import Silent
from sketches import leave_blank

GRID = """
name = "small"
seeds = [0, 1]

[students.lab]
path = "lab"
device = "cpu"
num_threads = 1

[base]
methods = ["zero_shot", "finetune", "sert", "rd"]
[base.tasks.lab-yes-no]
kind = "lab_yes_no"
limit = 12
dev_share = 0.3
[base.mining]
branches = 2
samples = 2
max_new_tokens = 32
keep_all = true
[base.rules]
min_tokens = 12
min_perplexity = 1.2
[base.training]
max_steps = 4
snapshots = 2
[base.teacher]
kind = "lab"
[base.evaluation]
max_new_tokens = 24
probe_samples = 1
scored_questions = 3
epoch_choice = "dev"

[variants."no filter"]
group = "filter"
set.selection.rules = []

[variants."2 rounds"]
group = "rounds"
seeds = 1
set.rounds = 2

[variants."4 rationales"]
group = "rationales"
methods = ["rd"]
seeds = 1
set.teacher.num_rationales = 4

[variants."raw"]
group = "budget"
seeds = 1
set.mining.branches = 0
set.mining.samples = 4
"""


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    file = tmp_path_factory.mktemp("grid") / "small.toml"
    file.write_text(GRID)
    return load_grid(str(file))


@pytest.fixture(scope="module")
def finished(grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(grid, out=tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="module")
def one_seed(grid: Grid) -> Grid:
    """The grid without its second seed and most variants."""
    return grid.model_copy(update={"seeds": (0,), "variants": {"no filter": grid.variants["no filter"]}})


@pytest.fixture(scope="module")
def finished_seed(one_seed: Grid, finished: RunResult, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """The part of the whole grid, of whose stages it needs no other."""
    folder = Path(shutil.copytree(finished.folder, tmp_path_factory.mktemp("runs") / "grid"))
    made = run(one_seed, out=folder)
    assert made.stages_made == 0
    remove(folder, find_removable(folder))
    return made


SEVERAL = {True: ("grid", "finished"), False: ("one_seed", "finished_seed")}


def numbers(result: RunResult) -> dict[str, object]:
    return {key: value for key, value in result.metrics.items() if key != "created"}


def test_shared_stages_are_made_once(grid: Grid, finished: RunResult) -> None:
    plan = json.loads((finished.folder / "plan.json").read_text())["stages"]
    folders = [stage["folder"] for stage in plan.values()]
    assert len(set(folders)) == len(folders) == finished.stages_made
    # Two seeds; the variants without other mining take that of main, the second round and raw sampling have their own.
    assert sum("-mine-" in folder for folder in folders) == 2 + 1 + 1
    assert sum("-teach-" in folder for folder in folders) == 2
    assert sum("-filter-" in folder for folder in folders) == 2 + 2 + 1 + 1
    assert any(name == "lab, seed 0, no filter: lab-yes-no filter" for name in plan)


def test_stages_come_after_what_they_need(grid: Grid, finished: RunResult) -> None:
    stages = distinct_stages(build_arms(Request.of(grid).arms, out=finished.folder, reporter=Silent()))
    place = {stage.folder: number for number, stage in enumerate(stages)}
    assert all(place[need.folder] < place[stage.folder] for stage in stages for need in stage.needs)
    keys = {stage.result.key for stage in stages}
    for stage in stages:  # what it reads is what its result depends on
        assert {need.key for need in stage.needs} == keys & set(input_keys(stage.job).values())


@pytest.mark.soak
@pytest.mark.usefixtures("forked_workers")
def test_the_same_grid_skips_every_stage_and_two_workers_find_the_same(
    request: pytest.FixtureRequest, tmp_path: Path, full: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In full for the whole grid."""
    leave_blank(monkeypatch)
    grid, finished = (request.getfixturevalue(name) for name in SEVERAL[full])
    again = run(grid, out=finished.folder)
    assert (again.stages_made, again.stages_skipped) == (0, finished.stages_made + finished.stages_skipped)
    side_by_side = run(grid, out=tmp_path / "two", workers=2)
    assert side_by_side.stages_made == again.stages_skipped
    assert numbers(side_by_side) == numbers(again) == numbers(finished)
    assert not list((tmp_path / "two").glob(".stages*"))


def test_rows_and_comparisons_are_those_of_the_kept_predictions(grid: Grid, finished: RunResult) -> None:
    (row,) = [each for each in finished.metrics["comparisons"] if each["a"] == "sert" and each["b"] == "finetune"]
    right: dict[str, list[list[bool]]] = {"sert": [], "finetune": []}
    for arm, (task,) in build_arms(Request.of(grid).arms, out=finished.folder, reporter=Silent())[:2]:
        assert arm.variant == "main"
        for method, of_seeds in right.items():
            chosen = [
                each
                for each in finished.metrics["rows"]
                if (each["seed"], each["method"], each["variant"], each["primary"]) == (arm.seed, method, "main", True)
            ]
            assert [each["epoch_choice"] for each in chosen] == ["dev"]
            ((_, tested),) = [
                each for number, each in enumerate(task.snapshots[method], 1) if 2 * number == chosen[0]["step"]
            ]
            predictions = read_table(tested.result.open().file("predictions.parquet"), Prediction)
            assert sum(each.correct_loose for each in predictions) == chosen[0]["correct"]
            of_seeds.append([each.correct_loose for each in predictions])
    expected = paired_over_seeds(right["sert"], right["finetune"])
    assert row["difference"] == pytest.approx(expected.difference)
    assert row["p_value"] == pytest.approx(expected.p_value)


def test_variants_differ_as_they_say(grid: Grid, finished: RunResult) -> None:
    arms = {
        (arm.variant, arm.seed): tasks[0]
        for arm, tasks in build_arms(Request.of(grid).arms, out=finished.folder, reporter=Silent())
    }
    questions = {
        name: {
            each.question_id
            for each in read_table(task.trained[method].result.open().file("examples.parquet"), Example)
        }
        for name, task, method in (
            ("all", arms["main", 0], "rd"),
            ("four", arms["4 rationales", 0], "rd"),
            ("unfiltered", arms["no filter", 0], "sert"),
        )
        for method in [method]
    }
    assert len(questions["four"]) == 4
    assert questions["four"] < questions["all"]
    assert len(questions["unfiltered"]) == len(arms["main", 0].data.split("train"))
    second = arms["2 rounds", 0]
    steps = [each.job.step for each in second.stages if each.job.step.startswith(("mine", "filter", "train"))]
    assert steps == ["mine", "filter", "train-sert", "mine-2", "filter-2", "train-sert-2"]
    first_student = second.stages[2]
    assert second.stages[3].job.inputs()["train-sert"] == first_student.result
    assert "student" in second.stages[5].job.inputs()  # trained from the first student again


def test_every_exhibit_has_its_numbers(finished: RunResult) -> None:
    metrics = finished.metrics
    sections = ("tasks", "rows", "summary", "comparisons", "means", "funnel", "selection", "bands", "filtering")
    more = ("first_tokens", "first_token_bins", "by_length", "steps", "amounts", "budget", "paths", "standings")
    assert [name for name in (*sections, *more) if not metrics[name]] == []
    about = {row["source"] for row in metrics["bands"]}
    assert about == {"branch 0", "branch 1", "all branches", "raw sampling", "raw sampling, SERT student"}
    for row in metrics["summary"]:
        kept = [
            each["correct"]
            for each in metrics["rows"]
            if all(each[key] == row[key] for key in ("variant", "method", "epoch_choice"))
        ]
        assert kept == row["correct"]
    assert [row["rationales"] for row in metrics["amounts"]] == [4, len_of_train(metrics)]
    assert json.loads((finished.folder / "report" / "metrics.json").read_text())["rows"] == json.loads(
        json.dumps(metrics["rows"])
    )


def test_how_paths_stand_is_told_of_all_seeds_and_of_every_mining(grid: Grid, finished: RunResult) -> None:
    rows = {(row["of"], row["name"]): row for row in finished.metrics["standings"]}
    plan = json.loads((finished.folder / "plan.json").read_text())["stages"]
    verdicts = [
        verdict
        for seed in grid.seeds
        for verdict in read_table(
            finished.folder / plan[f"lab, seed {seed}: lab-yes-no filter"]["folder"] / "verdicts.parquet", Verdict
        )
    ]
    assert rows["mined", "all"]["paths"] == len(verdicts) > 0
    kept = [verdict.agrees for verdict in verdicts if verdict.reason is None]
    row = rows["mined", "kept"]
    assert (row["paths"], row["right"]["hits"], row["wrong"]["hits"]) == (
        *(len(kept), kept.count(True), kept.count(False)),
    )
    budgets = {row["variant"]: row["paths"] for row in finished.metrics["budget"]}
    assert {name: row["paths"] for (of, name), row in rows.items() if of == "budget"} == budgets
    assert {name for of, name in rows if of == "decoding"} == {row["decoding"] for row in finished.metrics["latent"]}
    for row in finished.metrics["rows"]:
        assert sum(row[name] for name in ("right", "wrong", "unread", "cut")) == pytest.approx(1)
        assert row["right"] == row["accuracy_strict"]


def test_what_was_selected_is_told_of_the_last_round(grid: Grid, finished: RunResult) -> None:
    plan = json.loads((finished.folder / "plan.json").read_text())["stages"]
    folder = plan["lab, seed 0, 2 rounds: lab-yes-no filter-2"]["folder"]
    verdicts = read_table(finished.folder / folder / "verdicts.parquet", Verdict)
    (row,) = (row for row in finished.metrics["selection"] if row["variant"] == "2 rounds")
    assert row["with_selected"] == sum(verdict.selected for verdict in verdicts)
    assert row["selected_agree"] == sum(verdict.selected and verdict.agrees is True for verdict in verdicts)
    paths = read_table(
        finished.folder / plan["lab, seed 0, 2 rounds: lab-yes-no mine-2"]["folder"] / "paths.parquet", records.Path
    )
    methods = {
        arm.variant: tasks[0]
        for arm, tasks in build_arms(Request.of(grid).arms, out=finished.folder, reporter=Silent())
    }
    questions = {question.question_id: question for question in methods["2 rounds"].data.split("train")}
    true = [verify_path(lab_world(), questions[path.question_id], path.text).true for path in paths]
    assert row["mined_true_share"] == pytest.approx(sum(true) / len(true))


@pytest.mark.soak
def test_lanes_that_are_stopped_early_and_a_filter_that_leaves_nothing_are_told(
    grid: Grid, tmp_path: Path, full: bool
) -> None:
    """In full for both seeds."""
    seeds = grid.seeds if full else grid.seeds[1:]
    base = {**grid.base, "methods": ["sert"], "mining": {**grid.base["mining"], "keep_all": False}}
    variants = {"raw": grid.variants["raw"], "none": Variant(group="filter", set={"rules": {"min_tokens": 999}})}
    made = run(grid.model_copy(update={"base": base, "variants": variants, "seeds": seeds}), out=tmp_path / "grid")
    assert made.report.is_file()
    (main,) = (row for row in made.metrics["budget"] if row["variant"] == "main")
    assert main["kept_share"] is not None
    assert main["reasoned_share"] is main["true_share"] is main["questions_true_share"] is None
    assert {row["true_share"] for row in made.metrics["first_tokens"]} == {None}
    assert {row["measure"] for row in made.metrics["paths"]} == {"questions_kept"}
    untrained = [warning for warning in made.metrics["warnings"] if "was not trained" in warning]
    assert [warning.split(": ")[0] for warning in untrained] == [f"lab, seed {seed}, none" for seed in seeds]


@pytest.mark.usefixtures("forked_workers")
def test_a_judge_scores_paths_too_one_stage_at_a_time(grid: Grid, tmp_path: Path) -> None:
    def scores(body: dict[str, Any]) -> str:
        score = len(body["messages"][0]["content"]) % 11
        names = ("Coherence", "Relevance", "Logical Consistency", "Completeness")
        return "\n".join(f"Score for {name}: {max(0, score - place)}" for place, name in enumerate(names))

    with FaultServer(answer=scores) as server:
        endpoint = {"url": server.base_url, "model": "teacher"}
        judge = {"endpoint": endpoint, "calls": {"free": True}, "output": "lines", "limit": 2}
        base = {**grid.base, "methods": ["zero_shot", "sert"], "judge": judge}
        judged = grid.model_copy(update={"base": base, "variants": {"raw": grid.variants["raw"]}})
        made = run(judged, out=tmp_path / "grid", workers=2)
    plan = json.loads((made.folder / "plan.json").read_text())["stages"]
    assert sum("-judge-" in each["folder"] for each in plan.values()) == 2 + 2  # two seeds: outputs, and paths
    by_judge = [row for row in made.metrics["bands"] if row["scorer"] == "judge"]
    by_verifier = [row for row in made.metrics["bands"] if row["scorer"] == "verifier"]
    assert [row["source"] for row in by_judge] == [row["source"] for row in by_verifier]
    for row, other in zip(by_judge, by_verifier, strict=True):
        assert (row["questions"], row["samples"]) == (other["questions"], other["samples"])
    rows: dict[str, list[Judgement]] = {}
    for each in plan.values():
        if "-judge-paths-" in each["folder"]:
            for row in read_table(made.folder / each["folder"] / "judgements.parquet", Judgement):
                rows.setdefault(row.source, []).append(row)
    # Figure 1, all branches: the questions with a path whose four scores have a mean of 6 to 8, of 3 questions a seed.
    found = {(seed, row.question_id) for seed, row in enumerate_seeds(rows["branching"]) if 6 <= mean_of(row) < 8}
    (all_branches,) = (row for row in by_judge if (row["source"], row["band"]) == ("all branches", "6-8"))
    assert all_branches["share"] == pytest.approx(len(found) / 6)
    # Figure 4: every path that was mined, by each criterion.
    of_judge = [row for row in made.metrics["filtering"] if row["scorer"] == "judge"]
    for criterion in ("coherence", "completeness"):
        mined = [row for row in of_judge if (row["criterion"], row["after"]) == (criterion, "mined")]
        values = [getattr(row, criterion) for row in rows["branching"]]
        assert sum(row["share"] for row in mined) == pytest.approx(1)
        assert [row["mean_score"] for row in mined] == pytest.approx([sum(values) / len(values)] * len(mined))


def mean_of(row: Judgement) -> float:
    return (row.coherence + row.relevance + row.logical_consistency + row.completeness) / 4  # type: ignore[operator]


def enumerate_seeds(rows: list[Judgement]) -> list[tuple[int, Judgement]]:
    """Tell the seeds of rows apart that stand one seed after the other."""
    half = len(rows) // 2
    return [(place // half, row) for place, row in enumerate(rows)]


def len_of_train(metrics: dict[str, list[dict[str, int]]]) -> int:
    return metrics["tasks"][0]["num_train"]


def test_a_dry_run_writes_nothing(grid: Grid, finished: RunResult, tmp_path: Path) -> None:
    stages, guess, *_ = plan(grid, out=tmp_path / "new")
    assert len(stages) == guess.stages == finished.stages_made
    assert guess.seconds is not None
    assert not any(stage.finished for stage in stages)
    assert list(tmp_path.iterdir()) == []
    rest, nothing, *_ = plan(grid, out=finished.folder)
    assert all(stage.finished for stage in rest)
    assert nothing == (0, 0, 0, 0.0, 0, None, None)


def test_the_report_is_written_again_and_damage_is_found_and_mended(
    finished_seed: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_blank(monkeypatch)
    made = finished_seed._replace(folder=shutil.copytree(finished_seed.folder, tmp_path / "grid"))
    assert numbers(report_run(made.folder)) == numbers(made)
    assert [each for each in verify(made.folder) if each.damage] == []
    assert all(each.why.startswith("units of a finished stage") for each in find_removable(made.folder))
    plan = json.loads((made.folder / "plan.json").read_text())["stages"]
    verdicts = made.folder / plan["lab, seed 0: lab-yes-no filter"]["folder"] / "verdicts.parquet"
    content = verdicts.read_bytes()
    verdicts.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    broken = [each for each in verify(made.folder, repair=True) if each.damage]
    assert [each.mended for each in broken] == [True]
    assert verdicts.read_bytes() == content
    assert [each for each in verify(made.folder) if each.damage] == []


def test_the_command_reports_a_grid_again(
    grid: Grid, finished: RunResult, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_blank(monkeypatch)
    run(grid, out=finished.folder)
    ended = sert(["report", str(finished.folder)], capsys=capsys)
    assert ended.code == 0, ended.err
    assert "lab on lab-yes-no: 12 test questions, seeds 0, 1" in ended.out
    assert f"Report: {finished.report}" in ended.out


def test_a_grid_and_a_run_do_not_share_a_folder(grid: Grid, finished: RunResult, tmp_path: Path) -> None:
    from sert.config.grid import arms_of

    config = next(arms_of(grid)).config
    with pytest.raises(DataError, match="grid"):
        run(config, out=finished.folder)
    (tmp_path / "config.toml").write_text("")
    with pytest.raises(DataError, match="one configuration"):
        run(grid, out=tmp_path)


def test_workers_have_no_workers_of_their_own(grid: Grid, tmp_path: Path) -> None:
    busy = grid.model_copy(update={"base": {**grid.base, "execution": {"workers": 2}}})
    with pytest.raises(ConfigError, match=r"execution\.workers = 1"):
        run(busy, out=tmp_path / "out", workers=2)
    assert list(tmp_path.iterdir()) == []


def test_a_variant_that_cannot_be_run_is_refused_before_anything_is_written(grid: Grid, tmp_path: Path) -> None:
    tree = grid.model_dump()
    tree["variants"]["no filter"]["set"] = {"evaluation": {"epoch_choice": "test-best"}}
    with pytest.raises(ConfigError, match=r"training\.snapshots"):
        run(Grid.model_validate(tree), out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
