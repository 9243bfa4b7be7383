"""The method as a graph of stages. A reader who opens one file opens this one.

    questions --> mine --> filter --> train (sert) ----+--> train (sert+rd)
        |          ^                        |          |
        |          +---- further rounds ----+          |
        +--> teach (rationales) --> train (rd) <-------+ same rationales
        +--> labels --> train (finetune)
    each student --> evaluate on the test questions --> judge (where one is named) --> report

`sert.task_stages` says of each stage what it depends on and how it is made.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from sert.config.tree import Config, Method
from sert.records import Example
from sert.runs.checks import check_endpoints, check_task, methods_of
from sert.store.stage import Stage
from sert.task_stages import TaskStages, examples_in
from sert.tasks.load import TaskData, load_task
from sert.teacher.sources import check_recorded
from sert.terminal.progress import Reporter


class Snapshot(NamedTuple):
    """The stages that test one snapshot of a trained student; `number` counts from 1, the last one is the student."""

    number: int
    dev: Stage | None
    test: Stage


class TaskMethod(TaskStages):
    """The stages of one task.

    Attributes:
        mined, filtered: The first round's.
        last_round: Mining and filter that SERT was trained on last, where there are several rounds.
        trained: Method -> its training, for `sert` the last round's.
        evaluated: Method -> the evaluation of its last snapshot on the test questions.
        snapshots: Method -> the evaluations of all its snapshots, where more than one is kept.
        probes: Decoding -> a few paths of every test question.
        scored: Decoding -> all paths of the first test questions, to be scored one by one.
        judged, judged_paths: A judge's scores of the outputs, and of the paths in `scored`.
    """

    def __init__(
        self, task: str, config: Config, *, data: TaskData, out: Path, reporter: Reporter, prefix: str = ""
    ) -> None:
        super().__init__(task, config, data=data, out=out, reporter=reporter, prefix=prefix)
        methods, evaluation = methods_of(self.task, self.config), self.config.evaluation
        self.mined: Stage | None = None
        self.filtered: Stage | None = None
        self.last_round: tuple[Stage, Stage] | None = None
        self.taught: Stage | None = None
        self.judged: Stage | None = None
        self.judged_paths: Stage | None = None
        self.probes: dict[str, Stage] = {}
        self.scored: dict[str, Stage] = {}
        self.trained: dict[Method, Stage] = {}
        self.evaluated: dict[Method, Stage] = {}
        self.snapshots: dict[Method, list[Snapshot]] = {}
        if "sert" in methods or "sert+rd" in methods:
            self._self_train()
            if evaluation.probe_samples:
                self.probes = {"raw sampling": self.probe("raw"), "branching": self.probe("branching")}
        if "zero_shot" in methods:
            self.evaluated["zero_shot"] = self.evaluate("zero_shot", None)
        if "finetune" in methods:
            self._train_and_test("finetune", self.label_examples, inputs={"train questions": self._questions_key})
        if "sert" in methods:
            self._test("sert")
        if "rd" in methods or "sert+rd" in methods:
            self.taught = self.teach()
            examples = partial(self.rationale_examples, self.taught)
            for method, start in (("rd", None), ("sert+rd", self.trained.get("sert"))):
                if method in methods:
                    self._train_and_test(method, examples, inputs={"teach": self.taught.key}, start=start)
        if self.config.judge.endpoint is not None:
            self.judged = self.judge(self.evaluated)
            self.judged_paths = self.judge_paths(self.scored) if self.scored else None

    def _self_train(self) -> None:
        """Mine, filter and train, as many rounds as are asked for."""
        before: Stage | None = None
        for number in range(1, self.config.rounds + 1):
            ending = f"-{number}" if number > 1 else ""
            mined = self.mine(f"mine{ending}", before)
            filtered = self.filter(f"filter{ending}", mined)
            if before is None:
                self.mined, self.filtered = mined, filtered
            else:
                self.last_round = mined, filtered
            before = self.train(
                "sert", f"train-sert{ending}", partial(examples_in, filtered), inputs={"filter": filtered.key}
            )
        if before is not None:
            self.trained["sert"] = before
        if self.config.evaluation.scored_questions:
            self.scored = {
                "branching": self.score("branching"),
                "raw sampling": self.score("raw"),
                "raw sampling, SERT student": self.score("raw-sert", self.trained["sert"]),
            }

    def _train_and_test(
        self,
        method: Method,
        examples: Callable[[], list[Example]],
        *,
        inputs: dict[str, str],
        start: Stage | None = None,
    ) -> None:
        self.trained[method] = self.train(method, f"train-{method}", examples, inputs=inputs, start=start)
        self._test(method)

    def _test(self, method: Method) -> None:
        """Evaluate a trained student, and its snapshots where there are some."""
        trained, last = self.trained[method], self.config.training.snapshots
        self.evaluated[method] = self.evaluate(method, trained)
        if last > 1:
            self.snapshots[method] = [
                Snapshot(
                    number,
                    self.evaluate(method, trained, snapshot=number, split="dev") if self.dev_questions else None,
                    self.evaluate(method, trained, snapshot=number) if number < last else self.evaluated[method],
                )
                for number in range(1, last + 1)
            ]

    def check_rationales(self) -> None:
        """Check that a file of rationales that is still to be read answers some of the train questions.

        Raises:
            TeacherError: If it cannot be read, or answers none.
        """
        file, to_do = self.settings.rationales, self.taught is not None and not self.taught.finished
        if to_do and file is not None and self.config.teacher.kind == "recorded":
            check_recorded(file, self.train_questions, self.data.held_out)


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
    loaded, data, new = {} if loaded is None else loaded, {}, set[str]()
    for task, settings in config.tasks.items():
        key = f"{task} {settings.model_dump_json()}"
        if key not in loaded:
            loaded[key] = load_task(task, settings)
            new.add(task)
            for slip in loaded[key].slips:
                reporter.say(f"Warning: {task}: {slip}")
        data[task] = loaded[key]
        check_task(task, data[task], config)
    tasks = [
        TaskMethod(task, config, data=data[task], out=out, reporter=reporter, prefix=prefix) for task in config.tasks
    ]
    for each in tasks:
        if each.task in new:
            each.check_rationales()
    return tasks


def check_calls(config: Config, tasks: Sequence[TaskMethod]) -> None:
    """Check the endpoints that unfinished stages will call, without calling them.

    Raises:
        ConfigError: If it is not said who pays, or an address or a key cannot be used.
    """
    check_endpoints(
        config,
        teaches=any(task.taught is not None and not task.taught.finished for task in tasks),
        judges=any(
            stage is not None and not stage.finished for task in tasks for stage in (task.judged, task.judged_paths)
        ),
    )
