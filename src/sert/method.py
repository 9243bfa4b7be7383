"""The method as a graph of stages, top to bottom as the paper tells it: who opens one file opens this one.

questions --> mine --> filter --> train (sert) ----+--> train (sert+rd)
    |          ^                        |          |
    |          +---- further rounds ----+          |
    +--> teach (rationales) --> train (rd) <-------+ same rationales
    +--> labels --> train (finetune)
each student --> evaluate on the test questions --> judge, gain (where they are asked for) --> report
"""

from dataclasses import dataclass
from pathlib import Path

from sert.config.tree import DISTILLED, Config, Method
from sert.evaluation.gains import gain_job
from sert.evaluation.prediction import EvaluateJob, evaluation_step
from sert.judge.stage import judge_job
from sert.paths.filtering import FilterJob
from sert.paths.mining import MineJob
from sert.store.stage import CALLS, Job, Stage
from sert.student.source import StudentSource
from sert.student.training.examples import ExampleSource, LabelExamples, StageExamples
from sert.student.training.stage import TrainJob, training_cost
from sert.tasks.load import Questions, TaskData
from sert.tasks.prompts import asked_as_teacher
from sert.teacher.rationales import TeachJob


@dataclass(frozen=True)
class TaskGraph:
    """The stages of one task, each behind those that it needs; what is not asked for is not there.

    Attributes:
        rounds: Mining and filter of each round; SERT is trained on the last one.
        taught, trained, evaluated: The rationales; method -> its training, and the test of its last state.
        snapshots: Method -> those of each snapshot on the dev questions (None without any) and on the test questions.
        probes, scored: Decoding -> a few paths of every test question, and all paths of the first ones, to be scored.
        judged: `judge`, a judge's scores of the outputs, and `judge-paths`, those of the paths in `scored`.
    """

    task: str
    config: Config
    data: TaskData
    stages: list[Stage]
    rounds: list[tuple[Stage, Stage]]
    taught: Stage | None
    trained: dict[Method, Stage]
    evaluated: dict[Method, Stage]
    snapshots: dict[Method, list[tuple[Stage | None, Stage]]]
    probes: dict[str, Stage]
    scored: dict[str, Stage]
    judged: dict[str, Stage]


def build_graph(task: str, config: Config, data: TaskData, *, out: Path, prefix: str = "") -> TaskGraph:
    """Lay out the stages of one task in a run's folder; their names begin with `prefix`. Nothing is made."""
    methods, prompts, recorded = config.methods_of(task), config.tasks[task].prompts, config.tasks[task].rationales
    train, dev, test, trained = data.split("train"), data.split("dev"), data.split("test"), dict[Method, Stage]()
    mining, training, execution, seed = config.mining, config.training, config.execution, config.seed
    student, stages, rounds = StudentSource(config.student), list[Stage](), list[tuple[Stage, Stage]]()

    def add(job: Job) -> Stage:
        stages.append(Stage.of(job, task=task, out=out, prefix=prefix))
        return stages[-1]

    def after(method: Method, snapshot: int | None = None) -> StudentSource:
        return StudentSource(config.student, trained[method].result, snapshot) if method in trained else student

    def learn(step: str, examples: ExampleSource, start: StudentSource = student, each: int = 1) -> Stage:
        cost = training_cost(training, train * each, completion_tokens=mining.max_new_tokens // 2)
        return add(TrainJob(examples, start, training, execution, seed, f"train-{step}", cost))

    def draw(step: str, questions: Questions, asked: StudentSource, **shape: int) -> Stage:
        return add(MineJob(questions, asked, mining.shaped(**shape), execution=execution, seed=seed, step=step))

    def evaluate(method: Method, questions: Questions, number: int, count: int) -> Stage:
        step = evaluation_step(method, number, count, dev=questions is dev)
        asked = after(method, number if number < count else None)
        questions = asked_as_teacher(questions, prompts) if method in DISTILLED else questions
        return add(EvaluateJob(questions, asked, config.evaluation, config.rules, mining, execution, seed, step))

    # Mine, filter and self-train; a further round mines the student before and trains the first one anew.
    for number in range(1, 1 + config.rounds if {"sert", "sert+rd"} & {*methods} else 1):
        ending, asked, shape = f"-{number}" if number > 1 else "", after("sert"), config.mining_to_select
        mined = add(MineJob(train, asked, shape, config.rules, prompts, execution, seed, f"mine{ending}"))
        gains = add(gain_job(mined, asked, prompts, execution)).result if config.scores_paths else None
        filtered = add(FilterJob(mined.result, config.rules, config.selection, seed, f"filter{ending}", gains))
        kept = StageExamples(filtered.result, prompts)
        trained["sert"] = learn(f"sert{ending}", kept, each=config.selection.max_per_question)
        rounds.append((mined, filtered))

    # Sample the test questions: does branching find more than raw sampling, and what did self-training change?
    probes, scored, few = dict[str, Stage](), dict[str, Stage](), test[: config.evaluation.scored_questions]
    if rounds and few:
        paths = mining.paths_a_question
        scored["branching"] = draw("score-branching", few, student)
        scored["raw sampling"] = draw("score-raw", few, student, branches=0, samples=paths)
        scored["raw sampling, SERT student"] = draw("score-raw-sert", few, after("sert"), branches=0, samples=paths)
    if rounds and (samples := config.evaluation.probe_samples):
        probes["raw sampling"] = draw("probe-raw", test, student, branches=0, samples=samples)
        probes["branching"] = draw("probe-branching", test, student, branches=samples, samples=1)

    # Train on labels alone, and on a teacher's rationales: the first student and the activated one.
    if "finetune" in methods:
        trained["finetune"] = learn("finetune", LabelExamples(train, prompts))
    taught, calls = None, out / CALLS / "teacher" if config.teacher.endpoint else None
    for distilled in [each for each in methods if each in DISTILLED]:
        taught = taught or add(TeachJob(train, data.held_out, config.teacher, prompts, recorded, calls, seed=seed))
        rationales = StageExamples(taught.result, prompts, config.teacher.num_rationales, seed)
        trained[distilled] = learn(distilled, rationales, after("sert") if distilled == "sert+rd" else student)

    # Test every student, and each snapshot of its training on the dev questions too.
    evaluated, snapshots = dict[Method, Stage](), dict[Method, list[tuple[Stage | None, Stage]]]()
    for method in methods:
        count = training.snapshots if method in trained else 1
        tested = [evaluate(method, test, number, count) for number in range(1, count + 1)]
        evaluated[method] = tested[-1]
        if count > 1:
            chosen = [evaluate(method, dev, number, count) if dev else None for number in range(1, count + 1)]
            snapshots[method] = list(zip(chosen, tested, strict=True))

    # Ask how likely texts make the gold answer (who wrote them; of rationales the first student), and ask a judge.
    written = {stage: after(method) for method, stage in evaluated.items()} | ({taught: student} if taught else {})
    for stage, writer in written.items() if config.evaluation.gain else ():
        add(gain_job(stage, writer, prompts, execution))
    read = [("judge", dict[str, Stage](evaluated.items())), ("judge-paths", scored)] if config.judge.endpoint else []
    jobs = [judge_job(each, config.judge, out / CALLS / "judge", seed=seed, step=step) for step, each in read if each]
    judged = {job.step: add(job) for job in jobs}
    return TaskGraph(task, config, data, stages, rounds, taught, trained, evaluated, snapshots, probes, scored, judged)
