"""The method as a graph of stages. A reader who opens one file opens this one.

    questions --> mine --> filter --> train (sert) ----+--> train (sert+rd)
        |                                              |
        +--> teach (rationales) --> train (rd) <-------+ same rationales
        +--> labels --> train (finetune)
    each student --> evaluate on the test questions --> judge (where one is named) --> report

A stage's folder is named by the hash of everything it depends on, so a finished stage is found again by content: the
same command skips it, a changed configuration makes a new folder beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sert.checks import LAB_KINDS, check_task
from sert.config import Config, Method, MiningConfig, StudentConfig, TaskConfig
from sert.config_endpoints import CallsConfig
from sert.config_section import Section
from sert.evaluation.judge import judge
from sert.evaluation.prediction import evaluate, with_prompt
from sert.evaluation.summary import TaskResults
from sert.paths.mining import mine
from sert.paths.selection import filter_paths
from sert.progress import Reporter
from sert.records import Example, Prediction, Question, Verdict
from sert.records import Path as MinedPath
from sert.stages import Stage
from sert.store.artifacts import Artifact, artifact_key, file_hash
from sert.store.tables import StoredTable, read_table, records_key
from sert.student.load import student_key
from sert.student.stage import keep_untrained, train, trained_student
from sert.tasks.base import TaskData, load_task
from sert.tasks.prompts import label_example, teacher_prompt
from sert.teacher.rationales import describe_teaching, teach

CALLS = "calls"
"""Folder of a run with the logs of what was asked of its teacher and of its judge."""


class TaskMethod:
    """The stages of one task."""

    def __init__(self, task: str, config: Config, *, data: TaskData, out: Path, reporter: Reporter) -> None:
        self.task, self.config, self.data = task, config, data
        self._settings: TaskConfig = config.tasks[task]
        self._out, self._reporter = out, reporter
        self.train_questions, self.test_questions = data.split("train"), data.split("test")
        self._questions_key = records_key(self.train_questions)
        self._test_key = records_key(self.test_questions)
        self._student_key = student_key(config.student)
        self._graph()

    def _graph(self) -> None:
        methods = self.config.methods
        self.mined = self.filtered = self.taught = self.judged = None
        self.probes: dict[str, Stage] = {}
        self.trained: dict[Method, Stage] = {}
        self.evaluated: dict[Method, Stage] = {}
        if "sert" in methods or "sert+rd" in methods:
            self.mined = self._mine()
            self.filtered = self._filter(self.mined)
            if self.config.evaluation.probe_samples:
                self.probes = {"raw sampling": self._probe("raw"), "branching": self._probe("branching")}
        if "rd" in methods or "sert+rd" in methods:
            self.taught = self._teach()
        if "zero_shot" in methods:
            self.evaluated["zero_shot"] = self._evaluate("zero_shot", None)
        if "finetune" in methods:
            self._train_and_evaluate(
                "finetune", self._label_examples, source="train questions", source_key=self._questions_key
            )
        if self.filtered and ("sert" in methods or "sert+rd" in methods):
            self._train_and_evaluate("sert", self._path_examples, source="filter", source_key=self.filtered.key)
        if self.taught and "rd" in methods:
            self._train_and_evaluate("rd", self._rationale_examples, source="teach", source_key=self.taught.key)
        if self.taught and "sert+rd" in methods:
            self._train_and_evaluate(
                "sert+rd",
                self._rationale_examples,
                source="teach",
                source_key=self.taught.key,
                start=self.trained["sert"],
            )

        if self.config.judge.endpoint is not None:
            self.judged = self._judge()

    @property
    def stages(self) -> list[Stage]:
        """All stages, in an order in which they can be run."""
        first = [stage for stage in (self.mined, self.filtered, self.taught) if stage is not None]
        last = [self.judged] if self.judged is not None else []
        return [*first, *self.trained.values(), *self.probes.values(), *self.evaluated.values(), *last]

    # The stages. Each names what its result depends on, and how it is made.

    def _mine(self) -> Stage:
        config = self.config
        paths = len(self.train_questions) * (config.mining.branches or 1) * config.mining.samples
        return self._stage(
            "mine",
            depends={"mining": config.mining, "prompts": self._settings.prompts}
            | ({} if config.mining.keep_all else {"rules": config.rules}),
            inputs={"train questions": self._questions_key, "student": self._student_key},
            work=f"{paths} paths of at most {config.mining.max_new_tokens} tokens",
            make=lambda folder, label: mine(
                self.train_questions,
                config.student,
                out=folder,
                config=config.mining,
                rules=config.rules,
                prompts=self._settings.prompts,
                execution=config.execution,
                seed=config.seed,
                label=label,
                reporter=self._reporter,
            ),
        )

    def _filter(self, mined: Stage) -> Stage:
        return self._stage(
            "filter",
            depends={"rules": self.config.rules},
            inputs={"mine": mined.key},
            work="six rules, then the lowest rep-2 of each question",
            make=lambda folder, label: filter_paths(
                mined.result(), rules=self.config.rules, out=folder, label=label, reporter=self._reporter
            ),
        )

    def _teach(self) -> Stage:
        recorded, teacher = self._settings.rationales, self.config.teacher
        calls = self._out / CALLS / "teacher"
        return self._stage(
            "teach",
            # How an endpoint is called and paid for does not change what it answers.
            depends={"teacher": teacher.model_copy(update={"calls": CallsConfig()}), "prompts": self._settings.prompts},
            inputs={
                "train questions": self._questions_key,
                "test questions": records_key(self.data.held_out),  # and those of dev
                "recorded rationales": file_hash(recorded) if recorded else "",
            },
            work=describe_teaching(self.train_questions, teacher=teacher, calls=calls, prompts=self._settings.prompts),
            make=lambda folder, label: teach(
                self.train_questions,
                out=folder,
                held_out=self.data.held_out,
                teacher=teacher,
                recorded=recorded,
                calls=calls,
                prompts=self._settings.prompts,
                label=label,
                reporter=self._reporter,
            ),
        )

    def _judge(self) -> Stage:
        config = self.config.judge
        texts = len(self.evaluated) * min(config.limit or len(self.test_questions), len(self.test_questions))
        return self._stage(
            "judge",
            depends={"judge": config.model_copy(update={"calls": CallsConfig()})},
            inputs={f"evaluate-{method}": stage.key for method, stage in self.evaluated.items()},
            work=f"{texts} outputs and the planted texts, {config.repeats} replies each",
            make=lambda folder, label: judge(
                {method: stage.result().folder for method, stage in self.evaluated.items()},
                out=folder,
                config=config,
                calls=self._out / CALLS / "judge",
                label=label,
                reporter=self._reporter,
            ),
        )

    def _train_and_evaluate(
        self,
        method: Method,
        examples: Callable[[], list[Example]],
        *,
        source: str,
        source_key: str,
        start: Stage | None = None,
    ) -> None:
        training = self.config.training
        length = f"{training.max_steps} steps" if training.max_steps else f"{training.epochs:g} epochs"
        stage = self._stage(
            f"train-{method}",
            depends={"training": training, "prompts": self._settings.prompts},
            inputs={source: source_key} | ({"train-sert": start.key} if start else {"student": self._student_key}),
            work=f"{length} of {training.batch_size} examples",
            make=lambda folder, label: self._train(examples(), start, folder=folder, label=label),
        )
        self.trained[method] = stage
        if method in self.config.methods:
            self.evaluated[method] = self._evaluate(method, stage)

    def _train(self, examples: list[Example], start: Stage | None, *, folder: Path, label: str) -> Artifact:
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

    def _evaluate(self, method: Method, trained: Stage | None) -> Stage:
        config = self.config
        questions: Sequence[Question] = self.test_questions
        if method in ("rd", "sert+rd"):
            questions = with_prompt(questions, [teacher_prompt(each, self._settings.prompts) for each in questions])
        return self._stage(
            f"evaluate-{method}",
            depends={"evaluation": config.evaluation.model_copy(update={"probe_samples": 0}), "rules": config.rules},
            inputs={"test questions": records_key(questions)}
            | ({f"train-{method}": trained.key} if trained else {"student": self._student_key}),
            work=f"{len(questions)} questions, at most {config.evaluation.max_new_tokens} tokens each",
            make=lambda folder, label: evaluate(
                questions,
                self._student_of(trained),
                out=folder,
                config=config.evaluation,
                rules=config.rules,
                execution=config.execution,
                label=label,
                reporter=self._reporter,
            ),
        )

    def _probe(self, kind: str) -> Stage:
        """Sample the test questions raw and by branching at equal samples: how often does the student reason?"""
        samples = self.config.evaluation.probe_samples
        shape = {"branches": 0, "samples": samples} if kind == "raw" else {"branches": samples, "samples": 1}
        mining: MiningConfig = self.config.mining.model_copy(update={**shape, "keep_all": True})
        return self._stage(
            f"probe-{kind}",
            depends={"mining": mining},
            inputs={"test questions": self._test_key, "student": self._student_key},
            work=f"{len(self.test_questions) * samples} paths of at most {mining.max_new_tokens} tokens",
            make=lambda folder, label: mine(
                self.test_questions,
                self.config.student,
                out=folder,
                config=mining,
                execution=self.config.execution,
                seed=self.config.seed,
                label=label,
                reporter=self._reporter,
            ),
        )

    # What the trainings are made of.

    def _label_examples(self) -> list[Example]:
        return [label_example(question, self._settings.prompts) for question in self.train_questions]

    def _path_examples(self) -> list[Example]:
        assert self.filtered is not None
        return read_table(self.filtered.result().file("examples.parquet"), Example)

    def _rationale_examples(self) -> list[Example]:
        assert self.taught is not None
        return read_table(self.taught.result().file("examples.parquet"), Example)

    def _student_of(self, trained: Stage | None) -> StudentConfig:
        student = self.config.student
        return student if trained is None else trained_student(trained.result(), like=student)

    def results(self) -> TaskResults:
        """Read what the stages left, for the report. Every stage must be finished."""
        paths: StoredTable[MinedPath] | tuple[()] = (
            StoredTable(self.mined.result().file("paths.parquet"), MinedPath) if self.mined else ()
        )
        verdicts = read_table(self.filtered.result().file("verdicts.parquet"), Verdict) if self.filtered else []
        return TaskResults(
            task=self.task,
            train=self.train_questions,
            test=self.test_questions,
            left_out=self.data.left_out,
            near_duplicates=self.data.near_duplicates,
            paths=paths,
            verdicts=verdicts,
            rationales=int(self.taught.result().counts["rationales"]) if self.taught else None,
            predictions={
                method: read_table(stage.result().file("predictions.parquet"), Prediction)
                for method, stage in self.evaluated.items()
            },
            training={method: stage.result().counts for method, stage in self.trained.items()},
            probes={
                decoding: StoredTable(stage.result().file("paths.parquet"), MinedPath)
                for decoding, stage in self.probes.items()
            },
            judged=self.judged.result().counts if self.judged else None,
            verifier=_lab_verifier() if self._settings.kind in LAB_KINDS else None,
        )

    def _stage(
        self,
        stage: str,
        *,
        depends: Mapping[str, Section],
        inputs: dict[str, str],
        work: str,
        make: Callable[[Path, str], Artifact],
    ) -> Stage:
        settings = {name: section.model_dump(mode="json") for name, section in depends.items()}
        key = artifact_key(stage, config=settings, inputs=inputs, seed=self.config.seed)
        folder = self._out / f"{self.task}-{stage}-{key}"
        label = f"{self.task} {stage}"
        return Stage(label, folder, work, settings | {"seed": self.config.seed}, inputs, lambda: make(folder, label))


def build_method(config: Config, *, out: Path, reporter: Reporter) -> list[TaskMethod]:
    """Load and check every question set and build the graph of every task. Nothing is written.

    Raises:
        SertError: If a question set, a student or a file of rationales cannot be used.
    """
    data: Mapping[str, TaskData] = {task: load_task(task, settings) for task, settings in config.tasks.items()}
    for task, loaded in data.items():
        check_task(task, loaded, config)
    return [TaskMethod(task, config, data=data[task], out=out, reporter=reporter) for task in config.tasks]


def _lab_verifier() -> Callable[[Question, str], bool]:
    from sert.lab.verifier import verify
    from sert.lab.world import lab_world

    return lambda question, text: verify(lab_world(), question, text).true
