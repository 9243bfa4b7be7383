"""The commands of the student's stages, one a stage."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sert.cli.endpoints import check_endpoint_options
from sert.cli.help import Command
from sert.cli.options import (
    DRY_RUN,
    JSON,
    OUT,
    SEED,
    SET,
    SPLIT,
    STUDENT,
    TASK,
    TRYING_DRY_RUN,
    WORKERS,
    InputPath,
    check_student,
    config_of,
    data_of,
    gold_answers,
    names_student,
    only_task,
    print_artifact,
    print_plan,
    questions_of,
    setting,
    tell_too_long,
    terminal,
    with_options,
)
from sert.cli.prompts import first_prompt
from sert.config.tree import Config, StudentConfig
from sert.errors import ConfigError
from sert.records import Example

if TYPE_CHECKING:
    from sert.evaluation.prediction import EvaluateJob
    from sert.paths.mining import MineJob
    from sert.store.artifacts import Artifact


@click.command(
    "mine", cls=Command, rest="--hub --split --dtype --keep-all --endpoint --model --workers --engine --address --json"
)
@with_options(TASK, SPLIT, STUDENT, OUT, SEED)
@with_options("mining.branches", "mining.samples", "mining.max_new_tokens", "mining.keep_all")
@with_options(setting("mining.endpoint.url", "--endpoint", metavar="URL"), "mining.endpoint.model")
@with_options(WORKERS, SET, TRYING_DRY_RUN, JSON)
def mine_command(out: Path, split: str | None, dry_run: bool, as_json: bool, **settings: Any) -> None:
    """Sample a student's paths: branch on its top first tokens, continue each several times.

    With --endpoint a server that has the student samples them by token ids, as vLLM can: faster where a GPU is, and
    other paths each time. `sert doctor --mining` looks whether it does as it is asked.

    \b
    sert mine --task lab_yes_no --limit 20 --max-new-tokens 48 --out mined
    sert mine --task commonsenseqa --data train_rand_split.jsonl --student gpt2 \\
        --limit 8 --branches 5 --samples 5 --keep-all --out mined
    sert mine --task commonsenseqa --data train_rand_split.jsonl --student gpt2 \\
        --endpoint http://127.0.0.1:8000/v1 --model gpt2 --limit 8 --dry-run --out mined-by-vllm
    """
    from sert.runs.checks import check_templates

    check_endpoint_options(settings, "mining")
    if settings["mining__endpoint__url"]:
        settings["mining__engine"] = "openai"
    reads = ("tasks", "student", "mining", "rules", "execution", "seed")
    config = config_of(reads=reads, execution__keep_units=False, **settings)
    data = data_of(config)
    questions = questions_of(data, config, split or "train")
    tell_too_long(data, questions, config, "mining")
    if dry_run:
        check_student(config.student)
    check_templates(config, at_hand=dry_run)
    from sert.paths.mining import mine, mining_job

    given: dict[str, Any] = {
        "config": config.mining,
        "rules": config.rules,
        "prompts": only_task(config).prompts,
        "execution": config.execution,
        "seed": config.seed,
    }
    if dry_run:
        served = _foreseen_served(mining_job(questions, config.student, **given))
        foreseen = served or _foreseen(partial(mining_job, questions, **given), config, out)
        paths = len(questions) * config.mining.paths_a_question
        work: dict[str, Any] = {"questions": len(questions), "answers": gold_answers(questions), "paths": paths}
        work["tokens_at_most"] = paths * config.mining.max_new_tokens
        return print_plan(out, as_json, first_prompt(questions, config, "mining"), foreseen=foreseen, **work)
    print_artifact(mine(questions, config.student, out=out, **given, reporter=terminal()), as_json)


def _foreseen(job_of: "Callable[[StudentConfig], MineJob | EvaluateJob]", config: Config, out: Path) -> dict[str, Any]:
    """Find out how the student will be driven, and in which numbers, as far as a dry run goes."""
    from sert.store.artifacts import check_place
    from sert.student.decoding.beforehand import choose_beforehand, foresee
    from sert.student.decoding.units import settled

    check_place(out)
    student = settled(config.student, job_of, out=out, reporter=terminal(), choose=choose_beforehand)
    return {"dtype": student.dtype, **foresee(job_of(student).decoding(student), terminal())}


def _foreseen_served(job: "MineJob") -> dict[str, Any]:
    """Say what a server will be asked, if one samples; it is not asked now."""
    if not job.served:
        return {}
    from sert.student.served.decoding import DRIVEN_BY, foretold

    endpoint, questions = job.serving().endpoint, len(job.questions)
    return {"driven_by": DRIVEN_BY, "told": foretold(endpoint, questions=questions, branches=job.mining.branches)}


@click.command("filter", cls=Command)
@click.argument("mined", type=InputPath())
@setting("student.path", "--student", help="The student that mined them, where the selection goes by gain.")
@with_options(OUT, SET, JSON)
def filter_command(mined: Path, out: Path, as_json: bool, **settings: Any) -> None:
    """Apply the rules to mined paths and select one path a question. Loads no model unless it selects by gain.

    With --set selection.order=gain it is the path that raises the likelihood of the gold answer the most: this looks at
    the gold answer. The student scores all paths first, into a folder beside the result, named after it with -gains.

    \b
    sert filter mined --set rules.min_tokens=12 --set rules.min_perplexity=1.2 --out filtered
    sert filter mined --set rules.min_tokens=10 --set rules.max_rep_2=0.3 --out filtered-10
    sert filter mined --set 'selection.rules=["length"]' --set selection.order=random --out filtered-random
    sert filter mined --set selection.order=gain --student lab --out filtered-gain
    """
    from sert.paths.filtering import filter_paths
    from sert.store.artifacts import open_artifact

    reads = ("rules", "selection", "student", "execution")
    config = config_of(reads=reads, execution__keep_units=False, **settings)
    found, gains = open_artifact(mined), None
    if config.selection.order == "gain" and names_student(settings["student__path"], settings["overrides"]):
        gains = _gains_of(found, config, out.with_name(f"{out.name}-gains"))
    filtered = filter_paths(
        found, rules=config.rules, selection=config.selection, gains=gains, out=out, reporter=terminal()
    )
    print_artifact(filtered, as_json)


@click.command("gain", cls=Command)
@click.argument("folder", type=InputPath())
@with_options(setting("student.path", "--student", default="lab", show_default=True), WORKERS)
@with_options(OUT, SET, JSON)
def gain_command(folder: Path, out: Path, as_json: bool, **settings: Any) -> None:
    """Say of each text of mine, evaluate or teach how much it raises the likelihood of the gold answer, in nats.

    By the student that wrote them; rationales by any. It needs no form that is read, and no judge; `docs/numbers.md`
    says what it is.

    \b
    sert gain mined --student lab --out gains
    sert gain taught --student lab --out gains-of-rationales
    """
    from sert.store.artifacts import open_artifact

    config = config_of(reads=("student", "execution"), execution__keep_units=False, **settings)
    print_artifact(_gains_of(open_artifact(folder), config, out), as_json)


def _gains_of(source: "Artifact", config: Config, out: Path) -> "Artifact":
    from sert.evaluation.gains import score_gains

    return score_gains(source, config.student, out=out, execution=config.execution, reporter=terminal())


@click.command("train", cls=Command)
@click.option("--examples", type=InputPath(), required=True, help="Folder of `filter` or `teach`, or a file.")
@with_options(STUDENT, OUT, SEED, SET, DRY_RUN, JSON)
def train_command(examples: Path, out: Path, dry_run: bool, as_json: bool, **settings: Any) -> None:
    """Train a student on selected paths, on rationales, or on any prompt-completion file (Parquet, JSONL).

    \b
    sert train --examples filtered --student lab --set training.max_steps=50 --out sert-student
    sert train --examples taught --student sert-student/model --set training.epochs=3 --out distilled
    """
    from sert.student.training.examples import read_examples

    config = config_of(reads=("student", "training", "execution", "seed"), **settings)
    found = read_examples(examples)
    if dry_run:
        check_student(config.student)
        steps = config.training.num_steps(len(found))
        work: dict[str, Any] = {"examples": len(found), "steps": steps, "batch_size": config.training.batch_size}
        return print_plan(out, as_json, **work, **_memory_of(found, config))
    from sert.student.training.stage import train

    trained = train(
        found,
        config.student,
        out=out,
        config=config.training,
        execution=config.execution,
        seed=config.seed,
        reporter=terminal(),
    )
    print_artifact(trained, as_json)


def _memory_of(examples: Sequence[Example], config: Config) -> dict[str, Any]:
    """Guess the memory of a training, and say so if it is not there."""
    from sert.student.load import CHARACTERS_A_TOKEN
    from sert.student.training.memory import WORTH_TELLING, available_by_name, guess_memory, tokens_at_a_time

    longest = max(len(each.prompt) + len(each.completion) for each in examples) // CHARACTERS_A_TOKEN
    tokens = tokens_at_a_time(config.training, longest=longest, num_examples=len(examples))
    need = guess_memory(config.student, config.training, tokens=tokens)
    if need is None:
        return {}
    large = need.total >= WORTH_TELLING
    if large and (lacking := need.lacking(available_by_name(config.student.device))):
        terminal().say(f"Warning: the training {lacking}")
    return {"memory": str(need)}


@click.command("evaluate", cls=Command, rest="--hub --dtype --workers --engine --address --json")
@with_options(TASK, SPLIT, STUDENT, OUT, SEED)
@click.option(
    "--prompt",
    type=click.Choice(["student", "teacher"]),
    default="student",
    show_default=True,
    help="Which template asks; distilled students were trained on `teacher`.",
)
@with_options("evaluation.max_new_tokens", WORKERS, SET, TRYING_DRY_RUN, JSON)
def evaluate_command(out: Path, split: str | None, prompt: str, dry_run: bool, as_json: bool, **settings: Any) -> None:
    """Ask a student the test questions and grade its outputs: one greedy output each, or several that vote.

    \b
    sert evaluate --task lab_choice --student lab --max-new-tokens 64 --set rules.min_tokens=12 --out evaluated
    sert evaluate --task lab_choice --limit 20 --max-new-tokens 64 --set evaluation.votes=5 --seed 1 --out voted
    sert evaluate --task lab_choice --limit 20 --max-new-tokens 64 --set evaluation.harness=compat --out compat
    """
    from sert.runs.checks import check_templates, check_votes

    reads = ("tasks", "student", "evaluation", "mining", "rules", "execution", "seed")
    config = config_of(reads=reads, execution__keep_units=False, **settings)
    check_votes(config.evaluation)
    if config.evaluation.gain:
        raise ConfigError("evaluation.gain = true is for runs; score what this command leaves by `sert gain`.")
    data = data_of(config)
    questions = questions_of(data, config, split or "test")
    if prompt == "teacher":
        from sert.tasks.prompts import asked_as_teacher

        questions = [*asked_as_teacher(questions, only_task(config).prompts)]
    tell_too_long(data, questions, config, "evaluation")
    if dry_run:
        check_student(config.student)
    check_templates(config, at_hand=dry_run)
    from sert.evaluation.prediction import evaluate, evaluation_job

    given: dict[str, Any] = {
        "config": config.evaluation,
        "rules": config.rules,
        "sampling": config.mining,
        "execution": config.execution,
        "seed": config.seed,
    }
    if dry_run:
        tokens = len(questions) * config.evaluation.votes * config.evaluation.max_new_tokens
        is_compat = config.evaluation.harness == "compat"  # which decodes by `generate` alone
        foreseen = {} if is_compat else _foreseen(partial(evaluation_job, questions, **given), config, out)
        work: dict[str, Any] = {"questions": len(questions), "answers": gold_answers(questions)}
        work["tokens_at_most"] = tokens
        return print_plan(out, as_json, first_prompt(questions, config, "evaluation"), foreseen=foreseen, **work)
    print_artifact(evaluate(questions, config.student, out=out, **given, reporter=terminal()), as_json)
