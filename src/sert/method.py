"""The method as a graph of stages. A reader who opens one file opens this one.

    questions --> mine --> filter --> train (sert) ----+--> train (sert+rd)
        |          ^                        |          |
        |          +---- further rounds ----+          |
        +--> teach (rationales) --> train (rd) <-------+ same rationales
        +--> labels --> train (finetune)
    each student --> evaluate on the test questions --> judge (where one is named) --> report

A stage's folder is named by the hash of everything it depends on, so a finished stage is found again by content: the
same command skips it, a changed configuration makes a new folder beside it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sert.checks import check_task, methods_of
from sert.config import Config, Method, MiningConfig, SelectionConfig, StudentConfig, TaskConfig
from sert.config_endpoints import CallsConfig
from sert.config_section import Section
from sert.evaluation.judge import judge
from sert.evaluation.prediction import evaluate, with_prompt
from sert.paths.mining import mine
from sert.paths.selection import filter_paths
from sert.progress import Reporter
from sert.records import Example, Question
from sert.seeds import derive_seed
from sert.stages import Stage
from sert.store.artifacts import Artifact, artifact_key, file_hash
from sert.store.tables import read_table, records_key
from sert.student.load import student_key
from sert.student.stage import keep_untrained, train, trained_student
from sert.tasks.base import TaskData, load_task
from sert.tasks.prompts import label_example, teacher_prompt
from sert.teacher.rationales import describe_teaching, teach

CALLS = "calls"
"""Folder of a run with the logs of what was asked of its teacher and of its judge."""


class Snapshot(NamedTuple):
    """The stages that test one snapshot of a trained student; `number` counts from 1, the last one is the student."""

    number: int
    dev: Stage | None
    test: Stage


class TaskMethod:
    """The stages of one task.

    Attributes:
        stages: All of them, in an order in which they can be made.
        mined, filtered: The first round's.
        trained: Method -> its training, for `sert` the last round's.
        evaluated: Method -> the evaluation of its last snapshot on the test questions.
        snapshots: Method -> the evaluations of all its snapshots, where more than one is kept.
        probes: Decoding -> a few paths of every test question.
        scored: Decoding -> all paths of the first test questions, to be scored one by one.
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
        self._graph()

    def _graph(self) -> None:
        methods, evaluation = methods_of(self.task, self.config), self.config.evaluation
        self.mined: Stage | None = None
        self.filtered: Stage | None = None
        self.taught: Stage | None = None
        self.judged: Stage | None = None
        self.probes: dict[str, Stage] = {}
        self.scored: dict[str, Stage] = {}
        self.trained: dict[Method, Stage] = {}
        self.evaluated: dict[Method, Stage] = {}
        self.snapshots: dict[Method, list[Snapshot]] = {}
        if "sert" in methods or "sert+rd" in methods:
            self._self_train()
            if evaluation.probe_samples:
                self.probes = {"raw sampling": self._probe("raw"), "branching": self._probe("branching")}
        if "zero_shot" in methods:
            self.evaluated["zero_shot"] = self._evaluate("zero_shot", None)
        if "finetune" in methods:
            self._train("finetune", self._label_examples, inputs={"train questions": self._questions_key})
        if "sert" in methods:
            self._test("sert")
        if "rd" in methods or "sert+rd" in methods:
            self.taught = self._teach()
            for method, start in (("rd", None), ("sert+rd", self.trained.get("sert"))):
                if method in methods:
                    self._train(method, self._rationale_examples, inputs={"teach": self.taught.key}, start=start)
        if self.config.judge.endpoint is not None:
            self.judged = self._judge()

    def _self_train(self) -> None:
        """Mine, filter and train, as many rounds as are asked for."""
        before: Stage | None = None
        for number in range(1, self.config.rounds + 1):
            ending = f"-{number}" if number > 1 else ""
            mined = self._mine(f"mine{ending}", before)
            filtered = self._filter(f"filter{ending}", mined)
            if before is None:
                self.mined, self.filtered = mined, filtered
            before = self._train_stage(
                "sert", f"train-sert{ending}", _examples_in(filtered), inputs={"filter": filtered.key}
            )
        if before is not None:
            self.trained["sert"] = before
        if self.config.evaluation.scored_questions:
            self.scored = {
                "branching": self._score("branching"),
                "raw sampling": self._score("raw"),
                "raw sampling, SERT student": self._score("raw-sert", self.trained["sert"]),
            }

    # The stages. Each names what its result depends on, and how it is made.

    def _mine(self, stage: str, trained: Stage | None) -> Stage:
        config = self.config
        paths = len(self.train_questions) * (config.mining.branches or 1) * config.mining.samples
        return self._stage(
            stage,
            depends={"mining": self._mining, "prompts": self.settings.prompts}
            | ({} if self._mining.keep_all else {"rules": config.rules}),
            inputs={"train questions": self._questions_key, **self._student_input(trained)},
            work=f"{paths} paths of at most {config.mining.max_new_tokens} tokens",
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

    def _filter(self, stage: str, mined: Stage) -> Stage:
        return self._stage(
            stage,
            depends={"rules": self.config.rules, "selection": self.config.selection},
            inputs={mined.step: mined.key},
            work=f"{len(self.config.selection.rules)} rules, then one path of each question",
            make=lambda folder, label: filter_paths(
                mined.result(),
                rules=self.config.rules,
                selection=self.config.selection,
                out=folder,
                label=label,
                reporter=self._reporter,
            ),
        )

    def _teach(self) -> Stage:
        recorded, teacher = self.settings.rationales, self.config.teacher
        asked = teacher.model_copy(update={"calls": CallsConfig(), "num_rationales": None})
        calls = self._out / CALLS / "teacher"
        return self._stage(
            "teach",
            # How an endpoint is called and paid for does not change what it answers.
            depends={"teacher": asked, "prompts": self.settings.prompts},
            inputs={
                "train questions": self._questions_key,
                "test questions": records_key(self.test_questions),
                "recorded rationales": file_hash(recorded) if recorded else "",
            },
            work=describe_teaching(self.train_questions, teacher=teacher, calls=calls, prompts=self.settings.prompts),
            make=lambda folder, label: teach(
                self.train_questions,
                out=folder,
                held_out=self.test_questions,
                teacher=teacher,
                recorded=recorded,
                calls=calls,
                prompts=self.settings.prompts,
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

    def _train(
        self,
        method: Method,
        examples: Callable[[], list[Example]],
        *,
        inputs: dict[str, str],
        start: Stage | None = None,
    ) -> None:
        self.trained[method] = self._train_stage(method, f"train-{method}", examples, inputs=inputs, start=start)
        self._test(method)

    def _train_stage(
        self,
        method: Method,
        stage: str,
        examples: Callable[[], list[Example]],
        *,
        inputs: dict[str, str],
        start: Stage | None = None,
    ) -> Stage:
        training, wanted = self.config.training, self.config.teacher.num_rationales
        length = f"{training.max_steps} steps" if training.max_steps else f"{training.epochs:g} epochs"
        fewer = {"teacher": {"num_rationales": wanted}} if wanted is not None and "teach" in inputs else {}
        return self._stage(
            stage,
            depends={"training": training, "prompts": self.settings.prompts, **fewer},
            inputs={**inputs, **self._student_input(start)},
            work=f"{length} of {training.batch_size} examples",
            make=lambda folder, label: self._make_student(examples(), start, folder=folder, label=label),
        )

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

    def _test(self, method: Method) -> None:
        """Evaluate a trained student, and its snapshots where there are some."""
        trained, last = self.trained[method], self.config.training.snapshots
        self.evaluated[method] = self._evaluate(method, trained)
        if last > 1:
            self.snapshots[method] = [
                Snapshot(
                    number,
                    self._evaluate(method, trained, snapshot=number, split="dev") if self.dev_questions else None,
                    self._evaluate(method, trained, snapshot=number) if number < last else self.evaluated[method],
                )
                for number in range(1, last + 1)
            ]

    def _evaluate(
        self, method: Method, trained: Stage | None, *, snapshot: int | None = None, split: str = "test"
    ) -> Stage:
        config = self.config
        questions: Sequence[Question] = self.data.split(split)
        if method in ("rd", "sert+rd"):
            questions = with_prompt(questions, [teacher_prompt(each, self.settings.prompts) for each in questions])
        which = f"-{snapshot}-of-{config.training.snapshots}" if snapshot is not None else ""
        # What is chosen among the results, and what is sampled beside them, changes none of them.
        evaluation = config.evaluation.model_copy(
            update={"probe_samples": 0, "scored_questions": 0, "epoch_choice": "last"}
        )
        return self._stage(
            f"evaluate-{method}{which}{'' if split == 'test' else f'-{split}'}",
            depends={"evaluation": evaluation, "rules": config.rules},
            inputs={f"{split} questions": records_key(questions), **self._student_input(trained)},
            work=f"{len(questions)} questions, at most {config.evaluation.max_new_tokens} tokens each",
            make=lambda folder, label: evaluate(
                questions,
                self._student_of(trained, snapshot),
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
        return self._sample(f"probe-{kind}", self.test_questions, shape)

    def _score(self, kind: str, trained: Stage | None = None) -> Stage:
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
            work=f"{paths} paths of at most {mining.max_new_tokens} tokens",
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

    def _label_examples(self) -> list[Example]:
        return [label_example(question, self.settings.prompts) for question in self.train_questions]

    def _rationale_examples(self) -> list[Example]:
        assert self.taught is not None
        examples, wanted = _examples_in(self.taught)(), self.config.teacher.num_rationales
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
    ) -> Stage:
        settings: dict[str, Any] = {
            name: section.model_dump(mode="json") if isinstance(section, Section) else section
            for name, section in depends.items()
        }
        key = artifact_key(step, config=settings, inputs=inputs, seed=self.config.seed)
        folder = self._out / f"{self.task}-{step}-{key}"
        label = f"{self.task} {step}"
        settings |= {"seed": self.config.seed}
        made = Stage(f"{self._prefix}{label}", step, folder, work, settings, inputs, lambda: make(folder, label))
        self.stages.append(made)
        return made


def _examples_in(stage: Stage) -> Callable[[], list[Example]]:
    return lambda: read_table(stage.result().file("examples.parquet"), Example)


def build_method(
    config: Config, *, out: Path, reporter: Reporter, prefix: str = "", loaded: dict[str, TaskData] | None = None
) -> list[TaskMethod]:
    """Load and check every question set and build the graph of every task. Nothing is written.

    Args:
        config: What to run.
        out: The run's folder.
        reporter: Where progress goes.
        prefix: What the names of the stages begin with.
        loaded: Question sets that were loaded before; those of this call are added.

    Raises:
        SertError: If a question set, a student or a file of rationales cannot be used.
    """
    loaded, data = {} if loaded is None else loaded, {}
    for task, settings in config.tasks.items():
        key = f"{task} {settings.model_dump_json()}"
        if key not in loaded:
            loaded[key] = load_task(task, settings)
        data[task] = loaded[key]
        check_task(task, data[task], config)
    return [
        TaskMethod(task, config, data=data[task], out=out, reporter=reporter, prefix=prefix) for task in config.tasks
    ]
