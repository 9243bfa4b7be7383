"""A grid: one configuration over several students and seeds, and its variants, each with a few settings changed."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, Field

from sert.config.explain import Key, Places
from sert.config.load import Toml, apply_overrides, override_key, read_toml, validate, with_limit
from sert.config.section import PositiveInt, Section
from sert.config.tree import Config, Method, StudentConfig
from sert.errors import ConfigError

MAIN = "main"
"""Name of what is not changed."""

# A variant is compared as it ends, and samples nothing beside its training.
_OF_VARIANTS = {
    "training": {"snapshots": 1},
    "evaluation": {"epoch_choice": "last", "probe_samples": 0, "scored_questions": 0},
}

_OF_THE_GRID = {
    "name": "`name` of the grid file, and --out for another folder",
    "seed": "`seeds` of the grid file, or --seeds N for the first N of them",
    "student": "`students` of the grid file, or --student PATH",
}
"""What no base holds, as every run of a grid gets its own -> what to use instead."""

_LABEL_LENGTH = 64
Label = Annotated[str, Field(pattern=rf"^[A-Za-z0-9][A-Za-z0-9 ,._+-]{{0,{_LABEL_LENGTH - 1}}}$")]


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed stands here twice; each is one training, and the spread is over all of them")
    return seeds


class Variant(Section):
    """The configuration with a few settings changed."""

    group: Label
    """Variants of one group are shown together."""
    methods: tuple[Method, ...] = ("sert",)
    """What is trained and tested of it."""
    seeds: PositiveInt | None = None
    """Run only so many of the seeds, from the first one on."""
    set: dict[str, Any] = Field(default={})
    """The settings that differ, on top of one snapshot and nothing that is sampled for figures only."""


class Grid(Section):
    """Students x seeds x (the configuration and its variants), over all tasks of the configuration."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1), AfterValidator(_distinct)]
    students: dict[Label, StudentConfig] = Field(min_length=1)
    base: dict[str, Any]
    """A configuration without name, seed and student."""
    variants: dict[Label, Variant] = Field(default={})


class Arm(NamedTuple):
    """One run of the grid: a whole configuration, and where in the grid it is.

    Attributes:
        student: Its label.
        variant: Name of a variant, `main` for what is not changed.
        group: The variant's group, None for main.
        prefix: What its stages are called by; nothing for a run that is no part of a grid.
    """

    student: str
    seed: int
    variant: str
    group: str | None
    config: Config
    prefix: str = ""


def shipped_grids() -> dict[str, str]:
    """List the grids that ship with the package: name -> TOML text."""
    folder = files("sert") / "grids"
    return {
        each.name.removesuffix(".toml"): each.read_text(encoding="utf-8")
        for each in sorted(folder.iterdir(), key=lambda each: each.name)
        if each.name.endswith(".toml")
    }


def load_grid(
    name: str,
    *,
    overrides: Iterable[str] = (),
    limit: int | None = None,
    students: Iterable[str] = (),
    seeds: int | None = None,
    groups: Iterable[str] | None = None,
) -> Grid:
    """Read a grid that ships with the package, or a file of one's own.

    Args:
        name: `lab`, `paper`, `smollm2`, or a TOML file.
        overrides: `a.b=c` strings for the configuration of every student and seed.
        limit: Sets `limit` of every task.
        students: Hub ids or folders that take the place of the grid's students; one that is named twice is run once.
        seeds: Run only so many of the seeds.
        groups: Run only the variants of these groups; None = of all.

    Raises:
        ConfigError: If there is no such grid, a key or value is not allowed, or it has fewer seeds than asked for.
    """
    shipped = shipped_grids()
    source = f"The grid {name}" if name in shipped else name
    if name not in shipped and not Path(name).suffix:
        raise ConfigError(f"There is no grid {name!r}; give {' or '.join(shipped)}, or a TOML file.")
    overrides = list(overrides)
    toml = Toml(tomllib.loads(shipped[name]), Places(shipped[name])) if name in shipped else read_toml(Path(name))
    grid = validate(Grid, toml.tree, source=source, places=toml.places)
    _check_base(grid.base, f"[base] of {source}")
    base = apply_overrides(grid.base, overrides)
    _check_base(base, "--set")
    paths, first = list(dict.fromkeys(students)), next(iter(grid.students.values()))
    others = (first.model_copy(update={"path": path, "revision": None}) for path in paths)
    named = dict(zip(_labels_of(paths, grid), others, strict=True))
    known = dict.fromkeys(variant.group for variant in grid.variants.values())
    wanted = set(known if groups is None else groups)
    if unknown := sorted(wanted - known.keys()):
        raise ConfigError(
            f"{source} has no variants of the group {unknown[0]!r}; its groups: {', '.join(known) or 'none'}."
        )
    reduced = grid.model_copy(
        update={
            "base": with_limit(base, limit),
            "students": named or grid.students,
            "seeds": _first_seeds(grid, seeds, source),
            "variants": {label: variant for label, variant in grid.variants.items() if variant.group in wanted},
        }
    )
    for _ in arms_of(reduced, toml.places.given(map(override_key, overrides))):
        pass  # a wrong setting is named here
    return reduced


def arms_of(grid: Grid, places: Places | None = None) -> Iterator[Arm]:
    """List the runs of a grid, those without changes first; `places` say where its file gives each key.

    Raises:
        ConfigError: If a setting of the configuration, or of a variant, is not allowed.
    """
    for label, variant in [(MAIN, None), *grid.variants.items()]:
        for student in grid.students:
            for seed in grid.seeds[: variant.seeds if variant else None]:
                yield _arm(grid, student, seed, label, variant, places=places or Places())


def _check_base(base: Mapping[str, Any], source: str) -> None:
    for key, instead in _OF_THE_GRID.items():
        if key in base:
            raise ConfigError(f"{source} gives {key!r}, which a grid has of its own; use {instead}.")


def _first_seeds(grid: Grid, wanted: int | None, source: str) -> tuple[int, ...]:
    if wanted is not None and wanted > len(grid.seeds):
        raise ConfigError(
            f"{source} has {len(grid.seeds)} seeds, not {wanted}; lower --seeds, or name more in `seeds` of a grid "
            "file."
        )
    return grid.seeds[:wanted]


def _arm(grid: Grid, student: str, seed: int, label: str, variant: Variant | None, *, places: Places) -> Arm:
    tree: dict[str, Any] = {
        **grid.base,
        "name": grid.name,
        "seed": seed,
        "student": grid.students[student].model_dump(exclude_none=True),
    }
    parts: dict[Key, Key] = {("base",): (), ("students", student): ("student",)}
    source, group, place = f"The base of the grid {grid.name}", None, f"{student}, seed {seed}"
    if variant is not None:
        source, group, place = f"The variant {label!r} of the grid {grid.name}", variant.group, f"{place}, {label}"
        parts |= {("variants", label): (), ("variants", label, "set"): ()}
        unjudged = {key: value for key, value in tree.items() if key != "judge"}
        tree = _merged({**unjudged, "methods": list(variant.methods)}, _merged(_OF_VARIANTS, variant.set))
    config = validate(Config, tree, source=source, places=places.moved(parts))
    return Arm(student, seed, label, group, config, prefix=f"{place}: ")


def _merged(tree: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change some values of a nested mapping; the mapping itself stays as it is."""
    merged = dict(tree)
    for key, value in changes.items():
        inner = merged.get(key)
        if isinstance(value, Mapping) and isinstance(inner, Mapping):
            merged[key] = _merged(inner, value)
        else:
            merged[key] = value
    return merged


def _labels_of(paths: Sequence[str], grid: Grid) -> list[str]:
    """Name students by the grid's labels for them, else by the ends of their paths, as long as tells them apart.

    Raises:
        ConfigError: If whole paths do not, since they differ in characters only that no label has.
    """
    known = {student.path: label for label, student in grid.students.items()}
    parts = [Path(path).parts if Path(path).name else Path(path).absolute().parts for path in paths]
    for length in range(1, max(map(len, parts), default=1) + 1):
        ends = ["-".join(each[-length:]) for each in parts]
        labels = [known.get(path) or _label(end) for path, end in zip(paths, ends, strict=True)]
        if len(set(labels)) == len(labels):
            return labels
    raise ConfigError(f"Of the students {', '.join(paths)} two would get one name; give them to a grid file by label.")


def _label(text: str) -> str:
    """Make a label of a text: what no label has becomes a dash, and of a long one the end is left."""
    return re.sub(r"[^A-Za-z0-9 ,._+-]+", "-", text)[-_LABEL_LENGTH:].lstrip(" ,._+-") or "student"
