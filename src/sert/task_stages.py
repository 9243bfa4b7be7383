"""The stages of one task: what the result of each depends on, and how it is made.

A stage's folder is named by the hash of everything it depends on, so a finished stage is found again by content: the
same command skips it, a changed configuration makes a new folder beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sert.config.endpoints import CallsConfig
from sert.config.section import Section
from sert.config.tree import Config, JudgeConfig, Method, MiningConfig, SelectionConfig, StudentConfig, TaskConfig
from sert.evaluation.prediction import describe_evaluation, evaluate, unlike_greedy, with_prompt
from sert.judge.stage import judge
from sert.paths.filtering import filter_paths
from sert.paths.mining import mine
from sert.records import Example, Question
from sert.seeds import derive_seed
from sert.store.artifacts import Artifact, artifact_key, file_hash
from sert.store.stage import NOTHING, Cost, Stage
from sert.store.tables import read_table, records_key
from sert.student.load import student_key
from sert.student.training.stage import keep_untrained, train, trained_student
from sert.tasks.load import TaskData
from sert.tasks.prompts import label_example, teacher_prompt
from sert.teacher.rationales import describe_teaching, teach
from sert.terminal.progress import Reporter
from sert.terminal.text import counted

CALLS = "calls"
"""Folder of a run with the logs of what was asked of its teacher and of its judge."""


CHARACTERS_A_TOKEN = 4
"""Of English, for guesses."""


class TaskStages:
    """Makes the stages of one task.

    Attributes:
        stages: Those that were made, in an order in which they can be run.
    """

    def __init__(
        self, task: str, config: Config, *, data: TaskData, out: Path, reporter: Reporter, prefix: str = ""
    ) -> None:
        self.task, self.config, self.data = task, config, data
        self.settings: TaskConfig = config.tasks[task]
        self._out, self._reporter, self._prefix = out, reporter, prefix
        self.train_questions, self.test_questions = data.split("train"), data.split("test")
        self.dev_questions = data.split("dev")
        self._questions_key = records_key(self.train_questions)
        self._student_key = student_key(config.student)
        # Early stopping foresees the paper's selection only.
        keep_all = config.mining.keep_all or config.selection != SelectionConfig()
        self._mining = config.mining.model_copy(update={"keep_all": keep_all})
        self.stages: list[Stage] = []

    def mine(self, stage: str, trained: Stage | None) -> Stage:
        """Mine the train questions, from the student or from a trained one."""
        config = self.config
        paths = len(self.train_questions) * (config.mining.branches or 1) * config.mining.samples
        return self._stage(
            stage,
            depends={"mining": self._mining, "prompts": self.settings.prompts}
            | ({} if self._mining.keep_all else {"rules": config.rules}),
            inputs={"train questions": self._questions_key, **self._student_input(trained)},
            work=_paths(paths, config.mining),
            cost=Cost(decoded=paths * config.mining.max_new_tokens),
            make=lambda folder, label: mine(
                self.train_questions,
                self._student_of(trained),
                out=folder,
                config=self._mining,
                rules=config.rules,
                prompts=self.settings.prompts,
                execution=config.execution,
                seed=config.seed,
                label=label,
                reporter=self._reporter,
            ),
        )

    def filter(self, stage: str, mined: Stage) -> Stage:
        """Judge the mined paths and select those to train on."""
        return self._stage(
            stage,
            depends={"rules": self.config.rules, "selection": self.config.selection},
            inputs={mined.step: mined.key},
            work=f"{counted(len(self.config.selection.rules), 'rules')}, then one path of each question",
            make=lambda folder, label: filter_paths(
                mined.result(),
                rules=self.config.rules,
                selection=self.config.selection,
                out=folder,
                label=label,
                reporter=self._reporter,
            ),
        )

    def teach(self) -> Stage:
        """Get the rationales of the train questions."""
        recorded, teacher = self.settings.rationales, self.config.teacher
        asked = teacher.model_copy(update={"calls": CallsConfig(), "num_rationales": None})
        calls = self._out / CALLS / "teacher"
        return self._stage(
            "teach",
            # How an endpoint is called and paid for does not change what it answers.
            depends={"teacher": asked, "prompts": self.settings.prompts},
            inputs={
                "train questions": self._questions_key,
                "test questions": records_key(self.data.held_out),  # and those of dev
                "recorded rationales": file_hash(recorded) if recorded else "",
            },
            work=describe_teaching(self.train_questions, teacher=teacher, calls=calls, prompts=self.settings.prompts),
            make=lambda folder, label: teach(
                self.train_questions,
                out=folder,
                held_out=self.data.held_out,
                teacher=teacher,
                recorded=recorded,
                calls=calls,
                prompts=self.settings.prompts,
                label=label,
                reporter=self._reporter,
            ),
            calls=calls if teacher.endpoint is not None else None,
        )

    def judge(self, evaluated: Mapping[Method, Stage]) -> Stage:
        """Have the outputs of the evaluated students judged."""
        config, questions = self.config.judge, len(self.test_questions)
        texts = len(evaluated) * min(config.limit or questions, questions)
        written = {str(method): stage for method, stage in evaluated.items()}
        return self._judge("judge", written, config, texts=counted(texts, "outputs"))

    def judge_paths(self, scored: Mapping[str, Stage]) -> Stage:
        """Have all paths judged that were sampled to be scored."""
        mining, evaluation = self.config.mining, self.config.evaluation
        questions = min(evaluation.scored_questions, len(self.test_questions))
        texts = len(scored) * questions * (mining.branches or 1) * mining.samples
        every = self.config.judge.model_copy(update={"limit": 0})
        return self._judge("judge-paths", scored, every, texts=counted(texts, "paths"))

    def _judge(self, step: str, written: Mapping[str, Stage], config: JudgeConfig, *, texts: str) -> Stage:
        calls = self._out / CALLS / "judge"
        return self._stage(
            step,
            depends={"judge": config.model_copy(update={"calls": CallsConfig()})},
            inputs={stage.step: stage.key for stage in written.values()},
            work=f"{texts} and the planted texts, {counted(config.repeats, 'replies')} each",
            make=lambda folder, label: judge(
                {source: stage.result().folder for source, stage in written.items()},
                out=folder,
                config=config,
                calls=calls,
                label=label,
                reporter=self._reporter,
            ),
            calls=calls,
        )

    def train(
        self,
        method: Method,
        stage: str,
        examples: Callable[[], list[Example]],
        *,
        inputs: dict[str, str],
        start: Stage | None = None,
    ) -> Stage:
        """Train the student, or one that was trained before, on examples that are made when it comes to that."""
        training, wanted = self.config.training, self.config.teacher.num_rationales
        length = counted(training.max_steps, "steps") if training.max_steps else counted(training.epochs, "epochs")
        fewer = {"teacher": {"num_rationales": wanted}} if wanted is not None and "teach" in inputs else {}
        return self._stage(
            stage,
            depends={"training": training, "prompts": self.settings.prompts, **fewer},
            inputs={**inputs, **self._student_input(start)},
            work=f"{length} of {counted(training.batch_size, 'examples')}",
            cost=Cost(trained=self._tokens_trained(), saved=training.snapshots),
            make=lambda folder, label: self._make_student(examples(), start, folder=folder, label=label),
        )

    def _tokens_trained(self) -> int:
        """Guess the tokens of a training: of prompts by their characters, of completions by what mining may write."""
        training, questions = self.config.training, self.train_questions
        steps = training.num_steps(len(questions))
        prompt = sum(len(question.prompt) for question in questions) // len(questions) // CHARACTERS_A_TOKEN
        return steps * training.batch_size * (prompt + self.config.mining.max_new_tokens // 2)

    def _make_student(self, examples: list[Example], start: Stage | None, *, folder: Path, label: str) -> Artifact:
        student = self._student_of(start)
        if not examples:
            return keep_untrained(student, out=folder, label=label, reporter=self._reporter)
        return train(
            examples,
            student,
            out=folder,
            config=self.config.training,
            execution=self.config.execution,
            seed=self.config.seed,
            label=label,
            reporter=self._reporter,
        )

    def evaluate(
        self, method: Method, trained: Stage | None, *, snapshot: int | None = None, split: str = "test"
    ) -> Stage:
        """Test a student, or a snapshot of its training, on the questions of a split."""
        config = self.config
        questions: Sequence[Question] = self.data.split(split)
        if method in ("rd", "sert+rd"):
            questions = with_prompt(questions, [teacher_prompt(each, self.settings.prompts) for each in questions])
        which = f"-{snapshot}-of-{config.training.snapshots}" if snapshot is not None else ""
        # What is chosen among the results, and what is sampled beside them, changes none of them.
        same = {"probe_samples": 0, "scored_questions": 0, "epoch_choice": "last"}
        asked = config.evaluation.model_dump(mode="json", exclude={"votes", "harness"}) | same
        return self._stage(
            f"evaluate-{method}{which}{'' if split == 'test' else f'-{split}'}",
            depends={"evaluation": asked | unlike_greedy(config.evaluation, config.mining), "rules": config.rules},
            inputs={f"{split} questions": records_key(questions), **self._student_input(trained)},
            work=describe_evaluation(questions, config.evaluation),
            cost=Cost(decoded=len(questions) * config.evaluation.votes * config.evaluation.max_new_tokens),
            make=lambda folder, label: evaluate(
                questions,
                self._student_of(trained, snapshot),
                out=folder,
                config=config.evaluation,
                rules=config.rules,
                sampling=config.mining,
                execution=config.execution,
                seed=config.seed,
                label=label,
                reporter=self._reporter,
            ),
        )

    def probe(self, kind: str) -> Stage:
        """Sample the test questions raw and by branching at equal samples: how often does the student reason?"""
        samples = self.config.evaluation.probe_samples
        shape = {"branches": 0, "samples": samples} if kind == "raw" else {"branches": samples, "samples": 1}
        return self._sample(f"probe-{kind}", self.test_questions, shape)

    def score(self, kind: str, trained: Stage | None = None) -> Stage:
        """Sample the first test questions as mining does, or raw at equal samples, so that each path can be scored."""
        mining, limit = self.config.mining, self.config.evaluation.scored_questions
        paths = (mining.branches or 1) * mining.samples
        shape = {} if kind == "branching" else {"branches": 0, "samples": paths}
        return self._sample(f"score-{kind}", self.test_questions[:limit], shape, trained)

    def _sample(
        self, stage: str, questions: Sequence[Question], shape: Mapping[str, int], trained: Stage | None = None
    ) -> Stage:
        mining: MiningConfig = self.config.mining.model_copy(update={**shape, "keep_all": True})
        paths = len(questions) * (mining.branches or 1) * mining.samples
        return self._stage(
            stage,
            depends={"mining": mining},
            inputs={"test questions": records_key(questions), **self._student_input(trained)},
            work=_paths(paths, mining),
            cost=Cost(decoded=paths * mining.max_new_tokens),
            make=lambda folder, label: mine(
                questions,
                self._student_of(trained),
                out=folder,
                config=mining,
                execution=self.config.execution,
                seed=self.config.seed,
                label=label,
                reporter=self._reporter,
            ),
        )

    # What the trainings are made of.

    def label_examples(self) -> list[Example]:
        """Make examples of the gold answers alone."""
        return [label_example(question, self.settings.prompts) for question in self.train_questions]

    def rationale_examples(self, taught: Stage) -> list[Example]:
        """Take the rationales that are trained on."""
        examples, wanted = examples_in(taught), self.config.teacher.num_rationales
        drawn = sorted(examples, key=lambda each: derive_seed(self.config.seed, "rationales", each.question_id))
        taken = {each.question_id for each in drawn[:wanted]}
        return [each for each in examples if each.question_id in taken]

    def _student_input(self, trained: Stage | None) -> dict[str, str]:
        return {"student": self._student_key} if trained is None else {trained.step: trained.key}

    def _student_of(self, trained: Stage | None, snapshot: int | None = None) -> StudentConfig:
        student = self.config.student
        return student if trained is None else trained_student(trained.result(), like=student, snapshot=snapshot)

    def _stage(
        self,
        step: str,
        *,
        depends: Mapping[str, Section | Mapping[str, object]],
        inputs: dict[str, str],
        work: str,
        make: Callable[[Path, str], Artifact],
        cost: Cost = NOTHING,
        calls: Path | None = None,
    ) -> Stage:
        settings: dict[str, Any] = {
            name: section.model_dump(mode="json") if isinstance(section, Section) else section
            for name, section in depends.items()
        }
        key = artifact_key(step, config=settings, inputs=inputs, seed=self.config.seed)
        folder = self._out / f"{self.task}-{step}-{key}"
        label = f"{self.task} {step}"
        settings |= {"seed": self.config.seed}
        made = Stage(
            f"{self._prefix}{label}", step, folder, work, settings, inputs, lambda: make(folder, label), cost, calls
        )
        self.stages.append(made)
        return made


def _paths(number: int, mining: MiningConfig) -> str:
    return f"{counted(number, 'paths')} of at most {counted(mining.max_new_tokens, 'tokens')}"


def examples_in(stage: Stage) -> list[Example]:
    """Read the training examples that a stage left."""
    return read_table(stage.result().file("examples.parquet"), Example)
