"""The training stage: examples and a student in, a trained student's folder out.

A trained folder holds `model/` (loads with `from_pretrained`; weights, tokenizer, model card), `examples.parquet`,
`loss.jsonl` (one line a step) and, where they are asked for, `snapshots/1`, `snapshots/2` ... of the steps before, and
`forgetting.parquet`, each held-out text before and after.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sert.config.tree import APART, ExecutionConfig, StudentConfig, TrainingConfig
from sert.errors import DataError
from sert.records import Example, HeldOutScore, Question
from sert.store.artifacts import MANIFEST, RESULT, Artifact, Draft, artifact_key, open_artifact, work_folder
from sert.store.disk import make_folder, require_room, whole_folder, writing
from sert.store.stage import NOTHING, Cost, Inputs, Job, dumped, key_of
from sert.store.tables import records_key, write_table
from sert.student.folder import find_student
from sert.student.form import form_of, write_record
from sert.student.load import CHARACTERS_A_TOKEN, Student, load_student, student_key
from sert.student.source import SNAPSHOTS, StudentSource
from sert.student.surroundings import plain_numbers, surroundings_of
from sert.student.training.examples import ExampleSource, GivenExamples
from sert.student.training.held_out import read_held_out
from sert.student.training.memory import MemoryNeed, guess_memory, tokens_at_a_time
from sert.student.training.model_card import write_model_card
from sert.student.training.processes import process_rank, unheeded
from sert.terminal.progress import Reporter, Silent
from sert.terminal.text import counted, readable

if TYPE_CHECKING:
    from sert.student.training.forgetting import Forgetting
    from sert.student.training.lora import Save

FORGETTING = "forgetting"
"""Table of the held-out texts that were scored before and after, in the folder of a training that was asked to."""
_CHECKPOINT = 3
"""What a checkpoint needs on the disk, in sizes of the weights that are trained. The result needs one size of what is
saved, and each snapshot two more, until the training is done."""


@dataclass(frozen=True)
class TrainJob(Job):
    """Train a student on examples and save it.

    Works unchanged under `accelerate launch` and `torchrun`: the processes share each step's micro-batches, the first
    one writes. Without examples the student is saved as it is: a run in which no path survives the rules still compares
    all methods, and its report says that this one was not trained.

    Attributes:
        examples: What it is trained on, in any order; the order of training is a function of the seed.
        student: Where training starts; the weights are trained in float32 whatever `dtype` says.
        training: The recipe.
        execution: How often the state is saved. The same job after a stop goes on from there, bit for bit.
        seed: Decides data order and dropout.
        cost: A guess of how much there is to do (see `training_cost`).
    """

    kind: ClassVar[str] = "train"
    examples: ExampleSource
    student: StudentSource
    training: TrainingConfig
    execution: ExecutionConfig = APART
    seed: int = 0
    step: str = "train"
    cost: Cost = NOTHING

    @property
    def work(self) -> str:
        """How much there is to do, for people."""
        steps, epochs = self.training.max_steps, self.training.epochs
        length = counted(steps, "steps") if steps else counted(epochs, "epochs")
        return f"{length}, {counted(self.training.batch_size, 'examples')} a step"

    @property
    def memory(self) -> MemoryNeed | None:
        """How much memory it will take, roughly; None where its student is not here yet."""
        return guess_memory(self.student.config, self.training, tokens=self.cost.together)

    def settings(self) -> dict[str, Any]:
        """What the student depends on."""
        recipe = self.training.model_copy(update={"forgetting": None})  # whose content is among the inputs
        return dumped(training=recipe) | self.examples.settings()

    def inputs(self) -> Inputs:
        """The examples, the student's weights, and what is scored before and after."""
        return self._with_student(self.student.weights())

    def former_inputs(self) -> Inputs:
        """The same as in versions in which the type that the student decodes with counted."""
        return self._with_student(self.student.former_inputs())

    def _with_student(self, student: Inputs) -> Inputs:
        file = self.training.forgetting
        held_out: Inputs = {} if file is None else {"forgetting": read_held_out(file).key}
        return self.examples.inputs() | student | held_out

    def earlier_key(self) -> str:
        """The key in version 0.1."""
        inputs = {"examples": records_key(self.examples.read()), "student": student_key(self.student.resolve())}
        settings = dumped(training=self.training) | {"label": self.step}
        return artifact_key(self.kind, config=settings, inputs=inputs, seed=self.seed)

    def make(self, folder: Path, *, label: str, reporter: Reporter) -> Artifact:
        """Train.

        Raises:
            DataError: If all examples are too long, or held-out texts cannot be read.
            StudentError: If the student cannot be loaded.
            NonFiniteError: If a loss or gradient is not finite.
            OutOfMemoryError: If a single example is too much for the memory.
            DiskError: If the disk is full or cannot be written; the last checkpoint is kept.
        """
        if not self.examples.read():
            reporter.say(f"warning: {label}: there are no examples, the student stays as it is")
        elif process_rank() > 0:
            return self._take_part(folder, label=label, reporter=reporter)
        artifact = super().make(folder, label=label, reporter=reporter)
        _meet()
        return artifact

    def _notes(self, label: str) -> dict[str, Any]:
        return {"label": label}

    def _keep_untrained(self, draft: Draft) -> Mapping[str, Any]:
        loaded = load_student(self._start())
        size = _size_of(loaded)
        require_room(draft.work, size)
        write_table(draft.folder / "examples.parquet", [], Example)
        _Saved(loaded, _saving_whole(loaded), size).write(draft.folder / "model", last=True)
        return {"steps": 0, "examples": 0, "too_long": 0}

    def _fill(self, draft: Draft, *, label: str, reporter: Reporter) -> Mapping[str, Any]:
        examples, folder = self.examples.read(), draft.folder
        for line in unheeded():
            reporter.say(f"warning: {label}: {line}")
        with plain_numbers():
            if not examples:
                return self._keep_untrained(draft)
            saved, counts = self._train(draft, examples, label=label, reporter=reporter)
            saved.write(folder / "model", last=True)
        if self.training.snapshots > 1:
            counts["snapshot_steps"] = self.training.snapshot_steps(counts["steps"])
            _take_snapshots(draft, counts["snapshot_steps"][:-1])
        write_table(folder / "examples.parquet", examples, Example)
        card = folder / "model" / "README.md"
        write_model_card(card, label=label, student=self.student.resolve(), config=self.training, counts=counts)
        return counts

    def _start(self) -> StudentConfig:
        return self.student.resolve().model_copy(update={"dtype": "float32"})

    def _load(self) -> "_Saved":
        """Load the student, with adapters where they are asked for."""
        start = self._start()
        loaded, lora = load_student(start), self.training.lora
        whole = _size_of(loaded)
        if lora is None:
            loaded.model.requires_grad_(True)  # a base that adapters were merged into is frozen
            return _Saved(loaded, _saving_whole(loaded), whole)
        from sert.student.training.lora import add_adapters

        save = add_adapters(loaded, lora, base=start, seed=self.seed)
        return _Saved(loaded, save, whole if lora.output == "merged" else _size_of(loaded, trained=True))

    def _train(
        self, draft: Draft, examples: Sequence[Example], *, label: str, reporter: Reporter
    ) -> "tuple[_Saved, dict[str, Any]]":
        from sert.student.training.checkpoints import CHECKPOINTS, Checkpoints
        from sert.student.training.loop import train_student

        if (notice := form_of(self._start(), find_student(self._start())).notice) is not None:
            reporter.say(f"{label}: {notice}")
        saved, snapshots = self._load(), draft.work / SNAPSHOTS
        if process_rank() == 0:
            draft.made_in(surroundings_of(saved.student))
            there = [*(draft.work / CHECKPOINTS).rglob("*"), *snapshots.rglob("*")]
            kept = sum(file.stat().st_size for file in there if file.is_file())
            room = (2 * self.training.snapshots - 1) * saved.size + _CHECKPOINT * _size_of(saved.student, trained=True)
            require_room(draft.work, room - kept)
        checkpoints = Checkpoints(
            draft.work / CHECKPOINTS,
            every_seconds=self.execution.checkpoint_seconds,
            say=lambda line: reporter.say(f"{label}: {line}"),
            saved=draft.lap,
        )
        forgetting = self._forgetting(saved.student)
        result = train_student(
            saved.student,
            examples,
            self.training,
            seed=self.seed,
            loss_file=draft.folder / "loss.jsonl",
            checkpoints=checkpoints,
            snapshot=lambda step: saved.write_snapshot(snapshots / f"step-{step}"),
            label=label,
            reporter=reporter,
        )
        if forgetting is None:
            return saved, result._asdict()
        rows, compared = forgetting.compared()
        if process_rank() == 0:
            write_table(draft.folder / f"{FORGETTING}.parquet", rows, HeldOutScore)
        reporter.say(f"{label}: held-out texts, before and after: {readable(compared)}")
        return saved, result._asdict() | {"forgetting": compared}

    def _forgetting(self, student: Student) -> "Forgetting | None":
        """Score the student on held-out texts before it is trained, where there are some."""
        if self.training.forgetting is None:
            return None
        from sert.student.training.forgetting import Forgetting

        held_out = read_held_out(self.training.forgetting)
        return Forgetting(student, held_out, max_length=self.training.max_length)

    def _take_part(self, folder: Path, *, label: str, reporter: Reporter) -> Artifact:
        """Train along with the first process and leave the writing to it."""
        if not (folder / MANIFEST).is_file():
            work = work_folder(folder, key_of(self))
            with plain_numbers():
                self._train(Draft(work / RESULT, work), self.examples.read(), label=label, reporter=reporter)
            _meet()
        return open_artifact(folder)


@dataclass(frozen=True)
class _Saved:
    """A student in training, and how it is saved.

    Attributes:
        student: The student.
        save: What writes its weights into a folder: all of them, or adapters alone.
        size: Bytes that it writes.
    """

    student: Student
    save: "Save"
    size: int

    def write(self, folder: Path, *, last: bool = False) -> None:
        """Save weights and tokenizer; the last time the student need not stay what it is."""
        with writing(folder.parent, self.size):
            self.save(folder, last=last)
            self.student.tokenizer.save_pretrained(folder)
            write_record(folder, self.student)

    def write_snapshot(self, folder: Path) -> None:
        """Save the student as it is now, complete or invisible. A training that was stopped finds it again."""
        make_folder(folder.parent)
        self.student.model.eval()
        try:
            with whole_folder(folder) as scratch:
                self.write(scratch)
        finally:
            self.student.model.train()


def training_cost(training: TrainingConfig, questions: Sequence[Question], *, completion_tokens: int) -> Cost:
    """Guess the tokens of a training on one example a question: prompts by their characters, completions as told."""
    steps = training.num_steps(len(questions))
    prompt = sum(len(question.prompt) for question in questions) // len(questions) // CHARACTERS_A_TOKEN
    tokens = prompt + completion_tokens
    together = tokens_at_a_time(training, longest=tokens, num_examples=len(questions))
    return Cost(trained=steps * training.batch_size * tokens, saved=training.snapshots, together=together)


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
    """Train a student on examples and save it in the folder `out` (see `TrainJob`); the model card holds the label.

    Raises:
        DataError: If there are no examples, or all of them are too long.
        StudentError, NonFiniteError, OutOfMemoryError, DiskError: As `TrainJob.make` does.
    """
    if not examples:
        raise DataError(f"{label}: there are no examples to train on.")
    job = TrainJob(
        GivenExamples(tuple(examples)),
        StudentSource(student),
        training=config or TrainingConfig(),
        execution=execution,
        seed=seed,
        step=label,  # the model card holds it
    )
    return job.make(out, label=label, reporter=reporter or Silent())


def _saving_whole(student: Student) -> "Save":
    def save(folder: Path, *, last: bool = False) -> None:
        student.model.save_pretrained(folder)

    return save


def _size_of(student: Student, *, trained: bool = False) -> int:
    """Count the bytes of all weights, or of those that are trained."""
    return sum(weight.nbytes for weight in student.model.parameters() if weight.requires_grad or not trained)


def _take_snapshots(draft: Draft, steps: Sequence[int]) -> None:
    """Put the snapshots of these steps among the results, by their numbers."""
    make_folder(draft.folder / SNAPSHOTS)
    for number, step in enumerate(steps, start=1):
        kept = draft.work / SNAPSHOTS / f"step-{step}"
        if kept.is_dir():
            with writing(draft.folder):
                shutil.copytree(kept, draft.folder / SNAPSHOTS / str(number))


def _meet() -> None:
    """Wait until the result of a distributed training is written."""
    import torch.distributed

    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
