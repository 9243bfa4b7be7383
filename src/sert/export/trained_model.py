"""A trained student as a repository of the hub: its files, what it was trained on, and what it was tested with."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sert.config.tree import NUMBERS, StudentConfig
from sert.errors import ConfigError, DataError, StudentError
from sert.export.licences import Licences, Part
from sert.export.markdown import as_code, front_matter, settings_table
from sert.export.measured import Measured, measured, measured_table
from sert.export.publication import Publication, sealed_files, texts_of_examples
from sert.export.sources import Source, find_sources, stages_of
from sert.export.tables import opened_table
from sert.export.writing import CARD, TAGS
from sert.files import read_whole
from sert.store.artifacts import Artifact, open_artifact
from sert.student.load import student_key
from sert.terminal.text import shorten

_MODEL, _TRAIN, _EVALUATE, _UNTRAINED = "model/", "train-", "evaluate-", "zero_shot"
_HUB_ID = re.compile(r"[\w.-]{1,96}(?:/[\w.-]{1,96})?", re.ASCII)
_ADAPTER = "adapter_config.json"
_TRAINED_ON = {
    "label": "gold answers alone",
    "path": "paths of reasoning that it wrote itself, mined by branching on the first token and kept by rules",
    "rationale": "rationales of a teacher",
}


class Tested(NamedTuple):
    """An evaluation that the card tells of: of whom it is, and its result."""

    who: str
    source: Source


class TrainedModel(NamedTuple):
    """A trained student, and what there is to say of it.

    Attributes:
        artifact: The training.
        before: Trainings that it started from, the first one first.
        tested: Its evaluations, and in a run that of the student before any training.
    """

    artifact: Artifact
    before: Sequence[Artifact]
    tested: Sequence[Tested]

    @property
    def trained_on(self) -> list[list[str]]:
        """What each training was on, the first one first: `label`, `path`, `rationale`."""
        return [sorted(texts_of_examples(each)) for each in (*self.before, self.artifact)]

    @property
    def parts(self) -> list[Part]:
        """Whose licences must be named."""
        parts: list[Part] = ["student", "question"]
        return [*parts, "teacher"] if any("rationale" in texts for texts in self.trained_on) else parts


def find_model(folder: Path, *, stages: Sequence[str] = (), evaluated: Sequence[Path] = ()) -> TrainedModel:
    """Find a trained student and what is known of it.

    Args:
        folder: Of `train`, or of a finished run.
        stages: The training of a run, where it has several.
        evaluated: Folders of `evaluate` in which this student was asked.

    Raises:
        DataError: If it is not one training, it had no examples, or another student was evaluated.
    """
    found = find_sources(folder, kinds=("train",), stages=stages)
    named = stages_of(folder) or {}
    if len(found) > 1:
        names = [name for name, place in named.items() if place in {source.name for source in found}]
        raise DataError(
            f"{folder} holds several trained students; name one by --stage: {shorten(names, most=600)[1:-1]}."
        )
    (source,) = found
    if not source.artifact.counts["steps"]:
        raise DataError(f"{source.name} was trained on no example, so it is the student that it started from.")
    given = [_given(place, source) for place in evaluated]
    if not named:
        return TrainedModel(source.artifact, (), given)
    name = next(name for name, place in named.items() if place == source.name)
    in_run = {place.rpartition("-")[2]: folder / place for place in named.values()}
    return TrainedModel(
        source.artifact, list(_before(source.artifact, in_run)), [*_tested(folder, named, name, source), *given]
    )


def _before(trained: Artifact, in_run: Mapping[str, Path]) -> Iterator[Artifact]:
    """Find the trainings of a run that one started from, by their keys."""
    for step, key in trained.manifest["inputs"].items():
        if step.startswith(_TRAIN) and key in in_run:
            start = open_artifact(in_run[key])
            yield from _before(start, in_run)
            yield start


def _tested(folder: Path, named: Mapping[str, str], name: str, source: Source) -> Iterator[Tested]:
    task, _, method = name.rpartition(_TRAIN)
    own, untrained = named.get(f"{task}{_EVALUATE}{method}"), named.get(f"{task}{_EVALUATE}{_UNTRAINED}")
    for who, place in (("this student", own), ("before any training", untrained)):
        if place is not None:
            tested = Source(place, open_artifact(folder / place))
            if who != "this student" or source.artifact.key in tested.artifact.manifest["inputs"].values():
                yield Tested(who, tested)


def _given(place: Path, trained: Source) -> Tested:
    """Take an evaluation that was named, if it asked this student.

    Raises:
        DataError: If it asked another one.
    """
    (source,) = find_sources(place, kinds=("evaluate",))
    inputs = set(source.artifact.manifest["inputs"].values())
    path = str(trained.artifact.file("model"))
    keys = (student_key(StudentConfig.model_validate({"path": path, "dtype": dtype})) for dtype in NUMBERS)
    if trained.artifact.key not in inputs and not any(key in inputs for key in keys):
        raise DataError(
            f"{place} holds answers of another student than {trained.name}; evaluate {path}, or leave it out."
        )
    return Tested("this student", source)


def publish_model(model: TrainedModel, licences: Licences, *, title: str, base: str | None = None) -> Publication:
    """Gather the files of a trained student, and write its card.

    Args:
        model: The student.
        licences: Of its parts.
        title: The name of the repository, without its owner.
        base: The student that it started from, on the hub; by default the one of its training, where that was one.

    Raises:
        ConfigError: If `base` is no id of the hub.
        DataError: If a file is damaged.
    """
    if base is not None and not _HUB_ID.fullmatch(base):
        raise ConfigError(f"--base-model {shorten(base)} is no id of the hub; give one such as openai-community/gpt2.")
    outputs = model.artifact.manifest["outputs"]
    names = [name for name in outputs if name.startswith(_MODEL) and name != _MODEL + CARD]
    if _MODEL + "config.json" not in names and _MODEL + _ADAPTER not in names:
        raise StudentError(f"{model.artifact.folder} holds no student.")
    files = {name.removeprefix(_MODEL): file for name, file in sealed_files(model.artifact, names).items()}
    if _ADAPTER in files:
        _check_base(files[_ADAPTER])
    base = base or _base_of((*model.before, model.artifact)[0])
    card = "\n".join([*_card(model, licences, files=files, title=title, base=base), ""])
    return Publication("model", files, card, licences)


def _check_base(file: Path) -> None:
    """Refuse an adapter whose base nobody else has.

    Raises:
        StudentError: If it names a path of this machine.
    """
    named = str(json.loads(read_whole(file)).get("base_model_name_or_path"))
    if not _HUB_ID.fullmatch(named) or Path(named).exists():
        raise StudentError(
            f"{file} names its base by {shorten(named)}, which nobody else has. Train with "
            "training.lora.output = 'merged', which saves a whole student."
        )


def _base_of(trained: Artifact) -> str | None:
    """Read from the card of a training which student of the hub it started from; None where that is not told."""
    if _MODEL + CARD not in trained.manifest["outputs"]:
        return None
    lines = read_whole(trained.file(_MODEL + CARD)).split("\n")
    head = lines[1 : lines.index("---", 1)] if lines[0] == "---" and "---" in lines[1:] else []
    named = [line.removeprefix("base_model: ") for line in head if line.startswith("base_model: ")]
    return named[0] if named and _HUB_ID.fullmatch(named[0]) else None


def _card(
    model: TrainedModel, licences: Licences, *, files: Mapping[str, Path], title: str, base: str | None
) -> Iterator[str]:
    adapter = _ADAPTER in files
    fields: dict[str, Any] = {
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": TAGS,
        **licences.fields,
    }
    if base is not None:
        fields |= {"base_model": base, "base_model_relation": "adapter" if adapter else "finetune"}
    shown = [(each, measured(each.source)) for each in model.tested]
    own = [(each, rows[0]) for each, rows in shown if each.who == "this student"]
    if own:
        fields["model-index"] = [{"name": title, "results": [_result(each, row) for each, row in own]}]
    yield from front_matter(fields)
    yield from (f"# {as_code(title)}", "", "A student trained by Self-Enhanced Reasoning Training (arXiv 2502.12744)")
    yield f"on {', then on '.join(map(_named, model.trained_on))}."
    start = "a student that is not on the hub, or is not named" if base is None else as_code(base)
    yield from ("", f"It started from {start}. It answers prompts of the form that it was trained on.")
    yield from licences.section()
    yield from measured_table([(_name_of(each), row) for each, rows in shown for row in rows])
    if not own:
        yield from ("", "This student was not tested, or its test was not named when it was pushed.")
    yield from ("", "## How it was trained", "", *settings_table(model.artifact))
    for each in model.before:
        yield from ("", "Before that:", "", *settings_table(each))


def _named(texts: Sequence[str]) -> str:
    return " and ".join(_TRAINED_ON.get(text, as_code(text)) for text in texts) or "nothing"


def _result(tested: Tested, right: Measured) -> dict[str, Any]:
    """Write the accuracy of an evaluation as the hub's index of models has it."""
    task, split = _asked(tested.source)
    low, high = right.interval or (0.0, 1.0)
    majority = float(tested.source.artifact.counts["majority_accuracy"])
    name = (
        f"right, {right.hits}/{right.total}, 95 % interval {low:.3f} to {high:.3f}; the most frequent answer is right "
        f"in {majority:.3f}"
    )
    return {
        "task": {"type": "text-generation", "name": "question answering"},
        "dataset": {"type": task, "name": task, "split": split},
        "metrics": [{"type": "accuracy", "value": round(right.share, 6), "name": name}],
    }


def _name_of(tested: Tested) -> str:
    task, split = _asked(tested.source)
    return f"{tested.who}, {task}, {split}"


def _asked(source: Source) -> tuple[str, str]:
    """Read which questions were asked: the task of the first one, and its split."""
    with opened_table(source.artifact.file("questions.parquet")) as opened:
        first = next(opened.iter_batches(batch_size=1, columns=["task", "split"])).to_pylist()[0]
    return str(first["task"]), str(first["split"])
