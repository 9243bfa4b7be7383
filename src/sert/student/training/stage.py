"""The training stage: examples and a student in, a trained student's folder out.

A trained folder holds `model/` (loads with `from_pretrained`; weights, tokenizer, model card), `examples.parquet`,
`loss.jsonl` (one line a step) and, where they are asked for, `snapshots/1`, `snapshots/2` ... of the steps before.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sert.config.tree import APART, ExecutionConfig, StudentConfig, TrainingConfig
from sert.errors import DataError
from sert.records import Example
from sert.store.artifacts import MANIFEST, RESULT, Artifact, Draft, artifact_key, commit, open_artifact, work_folder
from sert.store.disk import make_folder, remove, require_room, sync, sync_tree, writing
from sert.store.tables import records_key, write_table
from sert.student.load import Student, load_student, student_key
from sert.student.training.model_card import write_model_card
from sert.terminal.progress import Reporter, Silent

if TYPE_CHECKING:
    from sert.student.training.loop import TrainingResult

SNAPSHOTS = "snapshots"
"""Folder of the student's states before the last one, named by their numbers from 1 on."""
_ROOM = 4
"""What a training needs on the disk, in sizes of its student: one for the result and three for a checkpoint. Each
snapshot needs two more, until the training is done."""


def train(
    examples: Sequence[Example],
    student: StudentConfig,
    *,
    out: Path,
    config: TrainingConfig | None = None,
    execution: ExecutionConfig = APART,
    seed: int = 0,
    label: str = "train",
    reporter: Reporter | None = None,
) -> Artifact:
    """Train a student on examples and save it.

    Works unchanged under `accelerate launch` and `torchrun`: the processes share each step's micro-batches, the first
    one writes.

    Args:
        examples: What it is trained on, in any order; the order of training is a function of the seed.
        student: Where training starts; the weights are trained in float32 whatever `dtype` says.
        out: Folder of the result.
        config: The recipe.
        execution: How often the state is saved. The same call after a stop goes on from there, bit for bit.
        seed: Decides data order and dropout.
        label: What the progress and the model card call this training.
        reporter: Where progress goes.

    Raises:
        DataError: If there are no examples, or all of them are too long.
        StudentError: If the student cannot be loaded.
        NonFiniteError: If a loss or gradient is not finite.
        OutOfMemoryError: If a single example is too much for the memory.
        DiskError: If the disk is full or cannot be written; the last checkpoint is kept.
    """
    config, teller = config or TrainingConfig(), reporter or Silent()
    if not examples:
        raise DataError(f"{label}: there are no examples to train on.")

    def trained(draft: Draft) -> "tuple[Student, TrainingResult]":
        from sert.student.training.checkpoints import CHECKPOINTS, Checkpoints
        from sert.student.training.loop import train_student

        loaded = load_student(student.model_copy(update={"dtype": "float32"}))
        if process_rank() == 0:
            there = [*(draft.work / CHECKPOINTS).rglob("*"), *(draft.work / SNAPSHOTS).rglob("*")]
            kept = sum(file.stat().st_size for file in there if file.is_file())
            require_room(draft.work, (_ROOM + 2 * (config.snapshots - 1)) * _size_of(loaded) - kept)
        checkpoints = Checkpoints(
            draft.work / CHECKPOINTS,
            every_seconds=execution.checkpoint_seconds,
            say=lambda line: teller.say(f"{label}: {line}"),
            saved=draft.lap,
        )
        result = train_student(
            loaded,
            examples,
            config,
            seed=seed,
            loss_file=draft.folder / "loss.jsonl",
            checkpoints=checkpoints,
            snapshot=lambda step: _save_snapshot(loaded, draft.work / SNAPSHOTS / f"step-{step}"),
            label=label,
            reporter=teller,
        )
        return loaded, result

    def fill(draft: Draft) -> Mapping[str, Any]:
        loaded, result = trained(draft)
        folder, counts = draft.folder, result._asdict()
        if config.snapshots > 1:
            counts["snapshot_steps"] = config.snapshot_steps(result.steps)
            _take_snapshots(draft, counts["snapshot_steps"][:-1])
        write_table(folder / "examples.parquet", examples, Example)
        _save(loaded, folder / "model")
        write_model_card(folder / "model" / "README.md", label=label, student=student, config=config, counts=counts)
        return counts

    settings = {"training": config.model_dump(), "label": label}
    inputs = {"examples": records_key(examples), "student": student_key(student)}
    if process_rank() > 0:
        key = artifact_key("train", config=settings, inputs=inputs, seed=seed)
        return _take_part(trained, out, work_folder(out, key))
    artifact = commit(out, fill, stage="train", config=settings, inputs=inputs, seed=seed)
    _meet()
    return artifact


def keep_untrained(student: StudentConfig, *, out: Path, label: str, reporter: Reporter | None = None) -> Artifact:
    """Save the student as it is: what a training on no examples comes to.

    A run in which no path survives the rules still compares all methods; its report says that this one was not trained.
    """
    (reporter or Silent()).say(f"warning: {label}: there are no examples, the student stays as it is")

    def fill(draft: Draft) -> Mapping[str, Any]:
        loaded = load_student(student.model_copy(update={"dtype": "float32"}))
        require_room(draft.work, _size_of(loaded))
        write_table(draft.folder / "examples.parquet", [], Example)
        _save(loaded, draft.folder / "model")
        return {"steps": 0, "examples": 0, "too_long": 0}

    inputs = {"student": student_key(student)}
    return commit(out, fill, stage="train", config={"label": label}, inputs=inputs, seed=0)


def _size_of(student: Student) -> int:
    return sum(weight.nbytes for weight in student.model.parameters())


def _save(student: Student, folder: Path) -> None:
    with writing(folder.parent, _size_of(student)):
        student.model.save_pretrained(folder)
        student.tokenizer.save_pretrained(folder)


def _save_snapshot(student: Student, folder: Path) -> None:
    """Save the student as it is now, complete or invisible. A training that was stopped finds it again."""
    make_folder(folder.parent)
    scratch = folder.with_name(f".{uuid.uuid4().hex}")
    try:
        student.model.eval()
        _save(student, scratch)
        with writing(folder.parent):
            sync_tree(scratch)
            remove(folder)
            scratch.rename(folder)
            sync(folder.parent)
    finally:
        student.model.train()
        shutil.rmtree(scratch, ignore_errors=True)


def _take_snapshots(draft: Draft, steps: Sequence[int]) -> None:
    """Put the snapshots of these steps among the results, by their numbers."""
    make_folder(draft.folder / SNAPSHOTS)
    for number, step in enumerate(steps, start=1):
        kept = draft.work / SNAPSHOTS / f"step-{step}"
        if kept.is_dir():
            with writing(draft.folder):
                shutil.copytree(kept, draft.folder / SNAPSHOTS / str(number))


def process_rank() -> int:
    """Tell which process of a distributed training this is (0 = the one that writes), as the launchers say."""
    return int(os.environ.get("RANK", "0"))


def _take_part(trained: Callable[[Draft], object], out: Path, work: Path) -> Artifact:
    """Train along with the first process and leave the writing to it."""
    if not (out / MANIFEST).is_file():
        trained(Draft(work / RESULT, work))
        _meet()
    return open_artifact(out)


def _meet() -> None:
    """Wait until the result of a distributed training is written."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def trained_student(trained: Artifact, *, like: StudentConfig, snapshot: int | None = None) -> StudentConfig:
    """Point at the model of a trained folder, with the device and dtype of another student.

    Args:
        trained: What the training left.
        like: The student whose device and dtype are taken.
        snapshot: Number of a snapshot, from 1 on; None or the last one = the model itself.
    """
    folder = trained.folder / SNAPSHOTS / str(snapshot)
    path = folder if snapshot is not None and folder.is_dir() else trained.file("model")
    return like.model_copy(update={"path": str(path), "revision": None})
