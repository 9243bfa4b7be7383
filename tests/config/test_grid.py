"""Grids: students x seeds x variants as configurations."""

import re
from pathlib import Path

import pytest

from sert.config.grid import MAIN, Grid, arms_of, load_grid, shipped_grids
from sert.errors import ConfigError

GRID = """
name = "try"
seeds = [3, 5, 8]

[students.small]
path = "lab"
[students.other]
path = "gpt2"

[base]
methods = ["zero_shot", "sert"]
[base.tasks.one]
kind = "lab_yes_no"
[base.training]
max_steps = 7
snapshots = 2

[variants."no filter"]
group = "filter"
seeds = 2
set.selection.rules = []

[variants."short"]
group = "steps"
methods = ["finetune"]
set.training.max_steps = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "grid.toml").write_text(GRID)
    return str(tmp_path / "grid.toml")


def test_a_grid_is_all_students_seeds_and_variants(file: str) -> None:
    arms = list(arms_of(load_grid(file)))
    assert [(arm.student, arm.seed, arm.variant, arm.group) for arm in arms] == [
        *((student, seed, MAIN, None) for student in ("small", "other") for seed in (3, 5, 8)),
        *((student, seed, "no filter", "filter") for student in ("small", "other") for seed in (3, 5)),
        *((student, seed, "short", "steps") for student in ("small", "other") for seed in (3, 5, 8)),
    ]
    assert [(arm.config.seed, arm.config.student.path, arm.config.name) for arm in arms[2:4]] == [
        (8, "lab", "try"),
        (3, "gpt2", "try"),
    ]


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ('path = "gpt2"', 'paht = "gpt2"', "line 8: unknown key 'students.other.paht'"),
        ("max_steps = 7", "max_stepz = 7", "line 15: unknown key 'training.max_stepz'"),
        ("seeds = 2", "seeds = 0", "line 20: 'variants.no filter.seeds' = 0"),
        ("max_steps = 3", "max_steps = -3", "line 26: 'training.max_steps' = -3"),
    ],
)
def test_a_mistake_is_named_with_its_line(file: str, right: str, wrong: str, says: str) -> None:
    assert right in GRID
    Path(file).write_text(GRID.replace(right, wrong))
    with pytest.raises(ConfigError, match=re.escape(f"  {says}")):
        load_grid(file)


def test_a_mistake_of_set_is_named_as_such(file: str) -> None:
    with pytest.raises(ConfigError, match=r"  --set training.epochs: 'training.epochs' = -1"):
        load_grid(file, overrides=["training.epochs=-1"])


def test_a_variant_changes_what_it_says_and_keeps_one_snapshot(file: str) -> None:
    by_name = {arm.variant: arm.config for arm in arms_of(load_grid(file))}
    main, unfiltered, short = by_name[MAIN], by_name["no filter"], by_name["short"]
    assert (main.methods, unfiltered.methods, short.methods) == (("zero_shot", "sert"), ("sert",), ("finetune",))
    assert (main.selection.rules != (), unfiltered.selection.rules) == (True, ())
    assert [config.training.max_steps for config in (main, unfiltered, short)] == [7, 7, 3]
    assert [config.training.snapshots for config in (main, unfiltered, short)] == [2, 1, 1]
    assert [config.evaluation.probe_samples for config in (main, unfiltered, short)] == [5, 0, 0]


def test_a_grid_can_be_reduced(file: str, tmp_path: Path) -> None:
    grid = load_grid(file, seeds=1, groups=["steps"], limit=4, overrides=["training.learning_rate=0.5"])
    arms = list(arms_of(grid))
    assert [(arm.student, arm.seed, arm.variant) for arm in arms] == [
        ("small", 3, MAIN),
        ("other", 3, MAIN),
        ("small", 3, "short"),
        ("other", 3, "short"),
    ]
    assert all(arm.config.tasks["one"].limit == 4 and arm.config.training.learning_rate == 0.5 for arm in arms)
    assert [arm.variant for arm in arms_of(load_grid(file, groups=[]))] == 6 * [MAIN]


def test_other_students_take_the_place_of_the_grids(file: str) -> None:
    grid = load_grid(file, students=["gpt2", "models/mine"])
    assert {label: student.path for label, student in grid.students.items()} == {"other": "gpt2", "mine": "models/mine"}


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["org/model", "other/model", "org/model"], ["org-model", "other-model"]),
        (["a/final/model", "b/final/model", "gpt2"], ["a-final-model", "b-final-model", "other"]),
        (["models/mine & yours", "../~"], ["mine - yours", "student"]),
        (["models/" + "long" * 20], ["long" * 16]),
    ],
)
def test_students_are_named_by_what_tells_them_apart(file: str, paths: list[str], labels: list[str]) -> None:
    grid = load_grid(file, students=paths)
    assert list(grid.students) == labels
    assert [student.path for student in grid.students.values()] == list(dict.fromkeys(paths))
    assert Grid.model_validate(grid.model_dump()) == grid  # as it is read again from its folder


def test_students_whose_names_cannot_be_told_apart_are_refused(file: str) -> None:
    with pytest.raises(ConfigError, match="two would get one name"):
        load_grid(file, students=["my model!", "my model?"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("seeds = [3, 5, 8]", "seeds = []"), "'seeds'"),
        (("seeds = [3, 5, 8]", "seeds = [3, 5, 3]"), "a seed stands here twice"),
        (('group = "filter"', 'grup = "filter"'), "did you mean 'group'"),
        (("set.selection.rules = []", "set.selection.rule = []"), "The variant 'no filter' of the grid try"),
        (("max_steps = 7", "max_stepz = 7"), "The base of the grid try"),
        (("name =", "nam ="), "unknown key 'nam'"),
    ],
)
def test_what_is_wrong_is_named(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    (tmp_path / "grid.toml").write_text(GRID.replace(*change))
    with pytest.raises(ConfigError, match=said):
        load_grid(str(tmp_path / "grid.toml"))


def test_unknown_grids_and_groups_are_refused_with_what_there_is(file: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no grid 'papers'; give lab or paper"):
        load_grid("papers")
    with pytest.raises(ConfigError, match=r"no variants of the group 'rounds'; its groups: filter, steps"):
        load_grid(file, groups=["rounds"])
    with pytest.raises(ConfigError, match="no configuration file"):
        load_grid(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("override", "instead"),
    [
        ("seed=3", "`seeds` of the grid file, or --seeds N"),
        ("student.path=nowhere", "`students` of the grid file, or --student PATH"),
        ("name=foo", "`name` of the grid file"),
    ],
)
def test_what_a_grid_has_of_its_own_is_refused_in_its_base(
    override: str, instead: str, file: str, tmp_path: Path
) -> None:
    key = override.partition("=")[0].partition(".")[0]
    with pytest.raises(ConfigError, match=f"--set gives '{key}', .*; use {instead}"):
        load_grid(file, overrides=[override])
    name, _, value = override.partition("=")
    (tmp_path / "own.toml").write_text(GRID.replace("[base]\n", f"[base]\n{name} = '{value}'\n"))
    with pytest.raises(ConfigError, match=rf"\[base\] of .*own.toml gives '{key}', .*; use {instead}"):
        load_grid(str(tmp_path / "own.toml"))


def test_more_seeds_than_there_are_are_refused(file: str) -> None:
    assert len(load_grid(file, seeds=3).seeds) == 3
    with pytest.raises(ConfigError, match=r"grid.toml has 3 seeds, not 9; lower --seeds"):
        load_grid(file, seeds=9)


@pytest.mark.parametrize("name", shipped_grids())
def test_shipped_grids_are_sound(name: str) -> None:
    arms = list(arms_of(load_grid(name)))
    assert len({(arm.student, arm.seed, arm.variant) for arm in arms}) == len(arms)
    # A variant that changes nothing would be a row that says nothing.
    main = {(arm.student, arm.seed): arm.config for arm in arms if arm.variant == MAIN}
    for arm in arms:
        if arm.variant != MAIN:
            plain = arm.config.model_dump(exclude={"training": {"snapshots"}, "evaluation": {"epoch_choice"}})
            same = main[arm.student, arm.seed].model_copy(update={"methods": arm.config.methods})
            sections = same.model_copy(
                update={
                    "evaluation": same.evaluation.model_copy(update={"probe_samples": 0, "scored_questions": 0}),
                }
            )
            assert plain != sections.model_dump(exclude={"training": {"snapshots"}, "evaluation": {"epoch_choice"}})
