"""The training stage: examples and a student in, a trained student's folder out.

A trained folder holds `model/` (loads with `from_pretrained`; weights, tokenizer, model card), `examples.parquet` and
`loss.jsonl` (one line a step).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sert.config import APART, ExecutionConfig, StudentConfig, TrainingConfig
from sert.errors import DataError
from sert.progress import Reporter, Silent
from sert.records import Example
from sert.store.artifacts import MANIFEST, RESULT, Artifact, Draft, artifact_key, commit, open_artifact, work_folder
from sert.store.disk import require_room, writing
from sert.store.tables import records_key, write_table
from sert.student.card import write_model_card
from sert.student.load import Student, load_student, student_key

if TYPE_CHECKING:
    from sert.student.training import TrainingResult

_ROOM = 4
"""What a training needs on the disk, in sizes of its student: one for the result and three for a checkpoint."""


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
        from sert.student.checkpoints import CHECKPOINTS, Checkpoints
        from sert.student.training import train_student

        loaded = load_student(student.model_copy(update={"dtype": "float32"}))
        if process_rank() == 0:
            kept = sum(file.stat().st_size for file in (draft.work / CHECKPOINTS).rglob("*") if file.is_file())
            require_room(draft.work, _ROOM * _size_of(loaded) - kept)
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
            label=label,
            reporter=teller,
        )
        return loaded, result

    def fill(draft: Draft) -> Mapping[str, Any]:
        loaded, result = trained(draft)
        folder, counts = draft.folder, result._asdict()
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


def trained_student(trained: Artifact, *, like: StudentConfig) -> StudentConfig:
    """Point at the model of a trained folder, with the device and dtype of another student."""
    return like.model_copy(update={"path": str(trained.file("model")), "revision": None})
