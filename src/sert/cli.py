"""The commands. No logic: each one reads its options, calls one function, and prints what came back."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from sert import signals
from sert.errors import SertError
from sert.progress import printable, readable

if TYPE_CHECKING:
    from sert.config import Config
    from sert.progress import Reporter
    from sert.store.artifacts import Artifact

EPILOG = """\b
Exit codes: 0 done, 2 wrong command line, 3 configuration, 4 data, 5 student,
6 teacher, 8 run folder in use, 9 disk full, 10 loss not finite, 130 Ctrl-C, 143 terminated.
"""


def main() -> NoReturn:
    """Run the command line and exit with the documented code."""
    signals.watch()
    try:
        result = cli(standalone_mode=False)
        sys.exit(result if isinstance(result, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted; finished stages are kept, the same command goes on with the rest.", err=True)
        signals.exit_interrupted()
    except SertError as error:
        click.echo(f"Error: {printable(str(error))}", err=True)
        sys.exit(error.exit_code)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="sert")
def cli() -> None:
    """Make a small language model reason: mine its latent reasoning, train on it, distil a teacher, measure honestly.

    \b
    sert demo                          the whole method on the embedded lab, about two minutes
    sert run configs/strategyqa-gpt2.toml --dry-run
    sert mine --task commonsenseqa --data FILE --student gpt2 --limit 8 --out DIR
    """


def _options(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


_SET = click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Override a setting; repeatable.")
_DRY_RUN = click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing, load no model.")
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
_OUT = click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the result.")
_LIMIT = click.option("--limit", type=click.IntRange(min=1), help="Use only the first questions of each split.")
_SEED = click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
_STUDENT = _options(
    click.option("--student", default="lab", show_default=True, help="Hub id, local folder, or `lab`."),
    click.option(
        "--dtype", type=click.Choice(["float32", "bfloat16", "float16", "int8"]), default="float32", show_default=True
    ),
)
_TASK = _options(
    click.option("--task", required=True, help="Kind of question set; see `sert tasks`."),
    click.option("--data", type=click.Path(path_type=Path), help="File with the questions."),
    _LIMIT,
)
_SPLIT = click.option(
    "--split", type=click.Choice(["train", "test"]), help="Which split; `mine` takes train, `evaluate` test by default."
)


@cli.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/demo"), show_default=True)
@_options(_SET, _DRY_RUN, _JSON)
def demo(out: Path, overrides: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Run the whole method on the embedded lab: no download, no key, no GPU.

    \b
    sert demo
    sert demo --set seed=1 --out runs/demo-1
    """
    from sert.lab import DEMO_CONFIG

    _run(DEMO_CONFIG, out, overrides, None, dry_run, as_json)


@cli.command("run")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/<name of the config>]")
@_options(_LIMIT, _SET, _DRY_RUN, _JSON)
def run_command(
    config: Path, out: Path | None, limit: int | None, overrides: tuple[str, ...], dry_run: bool, as_json: bool
) -> None:
    """Run the whole method as a configuration says; finished stages are skipped.

    \b
    sert run configs/lab.toml
    sert run configs/strategyqa-gpt2.toml --limit 200 --set training.epochs=1
    sert run configs/commonsenseqa-gpt2.toml --dry-run
    """
    _run(config, out, overrides, limit, dry_run, as_json)


def _run(
    file: Path, out: Path | None, overrides: tuple[str, ...], limit: int | None, dry_run: bool, as_json: bool
) -> None:
    from sert.config import load_config
    from sert.report.table import terminal_table
    from sert.runs import plan, run

    config = load_config(file, overrides=overrides, limit=limit)
    folder = out or Path("runs") / config.name
    if dry_run:
        stages = plan(config, out=folder)
        if as_json:
            return _print_json([stage._asdict() for stage in stages])
        for stage in stages:
            click.echo(f"{'finished' if stage.finished else 'to do':8}  {printable(stage.stage)}: {stage.work}")
        return click.echo(f"Would be written to {folder}")
    result = run(config, out=folder, reporter=_terminal())
    if as_json:
        return _print_json({"folder": str(result.folder), "report": str(result.report), "metrics": result.metrics})
    click.echo(terminal_table(result.metrics))
    click.echo(f"\nStages made: {result.stages_made}, skipped: {result.stages_skipped}")
    click.echo(f"Report: {result.report}")


@cli.command("mine")
@_options(_TASK, _SPLIT, _STUDENT, _OUT, _SEED)
@click.option(
    "--branches", type=click.IntRange(min=0), help="First tokens to branch on; 0 = raw sampling.  [default: 5]"
)
@click.option("--samples", type=click.IntRange(min=1), help="Continuations a branch.  [default: 5]")
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Longest path.  [default: 128]")
@click.option("--keep-all", is_flag=True, help="Decode every path to its end, also one that cannot be selected.")
@_options(_SET, _DRY_RUN, _JSON)
def mine_command(
    out: Path,
    seed: int,
    branches: int | None,
    samples: int | None,
    max_new_tokens: int | None,
    keep_all: bool,
    overrides: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Sample a student's paths: branch on its top first tokens, continue each several times.

    \b
    sert mine --task lab_yes_no --limit 20 --max-new-tokens 48 --out mined
    sert mine --task commonsenseqa --data train_rand_split.jsonl --student gpt2 \\
        --limit 8 --branches 5 --samples 5 --keep-all --out mined
    """
    mining = {"branches": branches, "samples": samples, "max_new_tokens": max_new_tokens, "keep_all": keep_all or None}
    reads = ("tasks", "student", "mining", "rules", "seed")
    config = _config_of(options, overrides, reads=reads, seed=seed, mining=_given(mining))
    questions = _questions_of(config, options["split"] or "train")
    if dry_run:
        paths = len(questions) * (config.mining.branches or 1) * config.mining.samples
        tokens = paths * config.mining.max_new_tokens
        return _print_plan(out, as_json, questions=len(questions), paths=paths, tokens_at_most=tokens)
    from sert.paths.mining import mine

    mined = mine(
        questions,
        config.student,
        out=out,
        config=config.mining,
        rules=config.rules,
        prompts=_only_task(config).prompts,
        seed=config.seed,
        reporter=_terminal(),
    )
    _print_artifact(mined, as_json)


@cli.command("filter")
@click.argument("mined", type=click.Path(path_type=Path))
@_options(_OUT, _SET, _JSON)
def filter_command(mined: Path, out: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Apply the rules to mined paths and select one path a question. Loads no model.

    \b
    sert filter mined --set rules.min_tokens=12 --set rules.min_perplexity=1.2 --out filtered
    sert filter mined --set rules.min_tokens=10 --set rules.max_rep_2=0.3 --out filtered-10
    """
    from sert.paths.selection import filter_paths
    from sert.store.artifacts import open_artifact

    config = _config_of({"task": "lab_yes_no"}, overrides, reads=("rules",))
    _print_artifact(filter_paths(open_artifact(mined), rules=config.rules, out=out, reporter=_terminal()), as_json)


@cli.command("train")
@click.option(
    "--examples", type=click.Path(path_type=Path), required=True, help="Folder of `filter` or `teach`, or a file."
)
@_options(_STUDENT, _OUT, _SEED, _SET, _DRY_RUN, _JSON)
def train_command(
    examples: Path,
    out: Path,
    seed: int,
    overrides: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a student on selected paths, on rationales, or on any prompt-completion file (Parquet, JSONL).

    \b
    sert train --examples filtered --student lab --set training.max_steps=50 --out sert-student
    sert train --examples taught --student sert-student/model --set training.epochs=3 --out distilled
    """
    from sert.student.examples import read_examples

    reads = ("student", "training", "seed")
    config = _config_of({"task": "lab_yes_no", **options}, overrides, reads=reads, seed=seed)
    found = read_examples(examples)
    if dry_run:
        steps = config.training.num_steps(len(found))
        return _print_plan(out, as_json, examples=len(found), steps=steps, batch_size=config.training.batch_size)
    from sert.student.stage import train

    trained = train(found, config.student, out=out, config=config.training, seed=config.seed, reporter=_terminal())
    _print_artifact(trained, as_json)


@cli.command("teach")
@_options(_TASK, _OUT)
@click.option("--recorded", type=click.Path(path_type=Path), help="Recorded answers; without it the lab's oracle.")
@_options(_SET, _DRY_RUN, _JSON)
def teach_command(
    out: Path, recorded: Path | None, overrides: tuple[str, ...], dry_run: bool, as_json: bool, **options: Any
) -> None:
    """Get a teacher's rationales for the train questions: from recorded answers, or in the lab from its oracle.

    \b
    sert teach --task lab_choice --out taught
    sert teach --task strategyqa --data task.json --set tasks.strategyqa.split_file=split.json \\
        --recorded strategyqa_zero_shot_cot.log --out taught
    """
    kind = "recorded" if recorded else "lab"
    config = _config_of(options, overrides, reads=("tasks", "teacher"), teacher={"kind": kind})
    questions = _questions_of(config, "train")
    if dry_run:
        return _print_plan(out, as_json, questions=len(questions), teacher=kind)
    from sert.teacher.rationales import teach

    taught = teach(
        questions,
        out=out,
        teacher=config.teacher,
        recorded=recorded or _only_task(config).rationales,
        prompts=_only_task(config).prompts,
        reporter=_terminal(),
    )
    _print_artifact(taught, as_json)


@cli.command("evaluate")
@_options(_TASK, _SPLIT, _STUDENT, _OUT)
@click.option(
    "--prompt",
    type=click.Choice(["student", "teacher"]),
    default="student",
    show_default=True,
    help="Which template asks; distilled students were trained on `teacher`.",
)
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Longest output.  [default: 256]")
@_options(_SET, _DRY_RUN, _JSON)
def evaluate_command(
    out: Path,
    prompt: str,
    max_new_tokens: int | None,
    overrides: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Ask a student the test questions greedily and grade its outputs.

    \b
    sert evaluate --task lab_choice --student lab --max-new-tokens 64 --set rules.min_tokens=12 --out evaluated
    """
    reads = ("tasks", "student", "evaluation", "rules")
    evaluation = _given({"max_new_tokens": max_new_tokens})
    config = _config_of(options, overrides, reads=reads, evaluation=evaluation)
    questions = _questions_of(config, options["split"] or "test")
    if prompt == "teacher":
        from sert.evaluation.prediction import with_prompt
        from sert.tasks.prompts import teacher_prompt

        templates = _only_task(config).prompts
        questions = with_prompt(questions, [teacher_prompt(question, templates) for question in questions])
    if dry_run:
        tokens = len(questions) * config.evaluation.max_new_tokens
        return _print_plan(out, as_json, questions=len(questions), tokens_at_most=tokens)
    from sert.evaluation.prediction import evaluate

    evaluated = evaluate(
        questions, config.student, out=out, config=config.evaluation, rules=config.rules, reporter=_terminal()
    )
    _print_artifact(evaluated, as_json)


@cli.command("report")
@click.argument("folder", type=click.Path(path_type=Path))
@_JSON
def report_command(folder: Path, as_json: bool) -> None:
    """Write the report of a finished run again.

    \b
    sert report runs/demo
    """
    from sert.report.table import terminal_table
    from sert.runs import report_run

    result = report_run(folder)
    if as_json:
        return _print_json(result.metrics)
    click.echo(terminal_table(result.metrics))
    click.echo(f"\nReport: {result.report}")


@cli.command("tasks")
@_JSON
def tasks_command(as_json: bool) -> None:
    """List the kinds of question sets.

    \b
    sert tasks
    """
    from sert.tasks import TASK_KINDS

    if as_json:
        return _print_json(TASK_KINDS)
    for kind, description in TASK_KINDS.items():
        click.echo(f"{kind:14} {description}")


@cli.group("lab")
def lab_group() -> None:
    """The embedded lab."""


@lab_group.command("build")
@_options(_OUT, _SEED)
@click.option("--steps", type=click.IntRange(min=1), help="Optimizer steps.  [default: those of the shipped student]")
@_options(_DRY_RUN, _JSON)
def lab_build(out: Path, seed: int, steps: int | None, dry_run: bool, as_json: bool) -> None:
    """Rebuild the lab student from a seed, and compare it with the shipped one.

    \b
    sert lab build --out lab-student
    """
    from sert.lab.build import STEPS, build_lab_student, compare_with_shipped

    if dry_run:
        return _print_plan(out, as_json, steps=steps or STEPS)
    built = build_lab_student(out=out, seed=seed, steps=steps or STEPS, reporter=_terminal())
    _print_artifact(built, as_json, **compare_with_shipped(built))


def _config_of(
    options: Mapping[str, Any], overrides: tuple[str, ...], *, reads: tuple[str, ...], **sections: Any
) -> "Config":
    from sert.config import stage_config

    task = _given({"kind": options["task"], "data": options.get("data"), "limit": options.get("limit")})
    student = _given({"path": options.get("student"), "dtype": options.get("dtype")})
    tree = {"tasks": {options["task"]: task}, "student": student, **sections}
    return stage_config(tree, overrides=overrides, reads=reads)


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _only_task(config: "Config") -> Any:
    return next(iter(config.tasks.values()))


def _questions_of(config: "Config", split: str) -> list[Any]:
    from sert.errors import DataError
    from sert.tasks.base import load_task

    name, settings = next(iter(config.tasks.items()))
    questions = list(load_task(name, settings).split(split))
    if not questions:
        raise DataError(
            f"{name} has no {split} questions; choose another --split, or give the task's test data by --set."
        )
    return questions


def _terminal() -> "Reporter":
    from sert.progress import Silent, Terminal
    from sert.student.stage import process_rank

    return Terminal(check=signals.raise_arrived) if process_rank() == 0 else Silent()


def _print_plan(out: Path, as_json: bool, **work: Any) -> None:
    if as_json:
        return _print_json({"out": str(out), **work})
    click.echo(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in work.items()))
    click.echo(f"Would be written to {out}")


def _print_artifact(artifact: "Artifact", as_json: bool, **extra: Any) -> None:
    from sert.student.stage import process_rank

    if process_rank() > 0:
        return
    if as_json:
        return _print_json({"folder": str(artifact.folder), "key": artifact.key, **artifact.counts, **extra})
    for name, value in {**artifact.counts, **extra}.items():
        click.echo(f"{name.replace('_', ' ')}: {printable(readable(value))}")
    click.echo(f"Written to {artifact.folder}")


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))
