"""The filter stage: judge the mined paths, keep one a question, count what each rule dropped."""

import pathlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sert.config import PromptTemplates, RulesConfig
from sert.errors import DataError
from sert.paths.rules import OUTRUN, REJECTED, RULES, judge
from sert.progress import Advance, Reporter, Silent
from sert.records import Example, Path, Question, Verdict
from sert.store.artifacts import Artifact, commit, write_json
from sert.store.tables import read_table, write_table
from sert.tasks.prompts import path_example

STAGE = "filter"
SHOWN_EXAMPLES = 3
SHOWN_CHARACTERS = 100
REPORT_EVERY = 1000


class FunnelRow(NamedTuple):
    """One step of the funnel: `remaining` paths after the rule, their share of all mined, and how many it dropped."""

    rule: str
    remaining: int
    share: float
    dropped: int


class PathKey(NamedTuple):
    """Names one path of a task."""

    question_id: str
    branch: int
    sample: int


class ImplausibleRule(NamedTuple):
    """A rule that dropped nearly all of the `reached` paths that came to it, with keys of dropped paths to look at."""

    rule: str
    dropped: int
    reached: int
    examples: list[PathKey]


def select(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Mark one kept path a question: the lowest rep-2, then the lower branch, then the lower sample.

    All verdicts come back in their order; a question without a kept path gets no mark.
    """
    verdicts = list(verdicts)
    best: dict[str, Verdict] = {}
    for verdict in verdicts:
        if verdict.reason is None:
            rival = best.setdefault(verdict.question_id, verdict)
            best[verdict.question_id] = min(rival, verdict, key=preference)
    return [
        replace(verdict, selected=True) if best.get(verdict.question_id) is verdict else verdict for verdict in verdicts
    ]


def funnel(verdicts: Iterable[Verdict]) -> list[FunnelRow]:
    """Count what is left after each rule: first `mined`, then the rules in order, last `selected`.

    Rows `outrun` and `rejected` come before the last when paths were cut short while mining: because they could not be
    selected any more, or under stricter rules than these. Shares are 0 when nothing was mined.
    """
    verdicts = list(verdicts)
    dropped = Counter(verdict.reason for verdict in verdicts if verdict.reason)
    total = remaining = len(verdicts)
    rows = [_row("mined", total, total, 0)]
    for rule in (*RULES, *(cut for cut in (OUTRUN, REJECTED) if dropped[cut])):
        remaining -= dropped[rule]
        rows.append(_row(rule, remaining, total, dropped[rule]))
    selected = sum(verdict.selected for verdict in verdicts)
    return [*rows, _row("selected", selected, total, remaining - selected)]


def implausible_rules(verdicts: Sequence[Verdict], config: RulesConfig) -> list[ImplausibleRule]:
    """Find rules that dropped more than `max_dropped_share` of the paths that reached them.

    No rule was asked about outrun paths. The examples are spread evenly over the dropped paths, in their order.
    """
    found = []
    reached = sum(verdict.reason != OUTRUN for verdict in verdicts)
    for rule in RULES:
        keys = [PathKey(each.question_id, each.branch, each.sample) for each in verdicts if each.reason == rule]
        if len(keys) > config.max_dropped_share * reached:
            shown = min(SHOWN_EXAMPLES, len(keys))
            examples = [keys[number * len(keys) // shown] for number in range(shown)]
            found.append(ImplausibleRule(rule, len(keys), reached, examples))
        reached -= len(keys)
    return found


def filter_paths(
    mined: Artifact,
    *,
    rules: RulesConfig,
    out: pathlib.Path,
    label: str = "filter",
    reporter: Reporter | None = None,
) -> Artifact:
    """Judge every mined path and select the ones to train on.

    Writes `verdicts.parquet`, `examples.parquet` (the selected paths as training examples), `questions.parquet` and
    `funnel.json`; warns through the reporter of rules that drop nearly everything.

    Args:
        mined: What the mining stage made; its prompts are used again.
        rules: The filter.
        out: Folder of the new artifact.
        label: What the progress is called.
        reporter: Told of progress and warnings.

    Raises:
        DataError: If `mined` comes from another stage, or its tables do not belong together.
    """
    if mined.manifest["stage"] != "mine":
        raise DataError(
            f"{mined.folder} was made by the step {mined.manifest['stage']!r}, and paths can only be filtered from "
            "a folder that `sert mine` wrote; give that one."
        )
    prompts = PromptTemplates.model_validate(mined.manifest["config"]["prompts"])
    teller = reporter or Silent()
    settings = rules.model_dump(mode="json")

    def fill(folder: pathlib.Path) -> Mapping[str, Any]:
        questions = read_table(mined.file("questions.parquet"), Question)
        paths = read_table(mined.file("paths.parquet"), Path)
        with teller.track(label, len(paths), "paths") as advance:
            judged = _judge_all(paths, questions, rules=rules, advance=advance, source=mined.folder)
        verdicts = select(judged)
        _warn(implausible_rules(verdicts, rules), paths, teller)
        if not any(verdict.selected for verdict in verdicts):
            dropped = ", ".join(f"{row.rule} {row.dropped}" for row in funnel(verdicts) if row.dropped)
            teller.say(f"warning: {label}: no path is kept, there is nothing to train on; dropped: {dropped}")
        cut_short = sum(verdict.reason == REJECTED for verdict in verdicts)
        if mined.manifest["config"].get("rules", settings) != settings:
            cut_short += sum(verdict.reason == OUTRUN for verdict in verdicts)
        if cut_short:
            teller.say(
                f"warning: {cut_short} paths were cut short while mining, under other rules, and cannot be judged "
                "by these; mine with keep_all to compare thresholds"
            )
        write_table(folder / "verdicts.parquet", verdicts, Verdict)
        write_table(folder / "examples.parquet", _examples(paths, verdicts, questions, prompts), Example)
        write_table(folder / "questions.parquet", questions, Question)
        write_json(folder / "funnel.json", [row._asdict() for row in funnel(verdicts)])
        return _count(verdicts, questions)

    return commit(
        out,
        fill,
        stage=STAGE,
        config={"rules": settings, "prompts": prompts.model_dump(mode="json")},
        inputs={"mine": mined.key},
        seed=mined.manifest["seed"],
    )


def preference(verdict: Verdict) -> tuple[float, int, int]:
    """Order the kept paths of a question; the least is selected: rep-2, branch, sample."""
    return (verdict.rep_2, verdict.branch, verdict.sample)


def _row(rule: str, remaining: int, total: int, dropped: int) -> FunnelRow:
    return FunnelRow(rule, remaining, remaining / total if total else 0.0, dropped)


def _judge_all(
    paths: list[Path], questions: list[Question], *, rules: RulesConfig, advance: Advance, source: pathlib.Path
) -> list[Verdict]:
    by_id = {question.question_id: question for question in questions}
    verdicts: list[Verdict] = []
    for path in paths:
        if path.question_id not in by_id:
            raise DataError(
                f"{source / 'paths.parquet'} holds a path of question {path.question_id!r}, which is not in its "
                "questions.parquet; the folder is damaged, mine again."
            )
        verdicts.append(judge(path, by_id[path.question_id], rules))
        if len(verdicts) % REPORT_EVERY == 0:
            advance(REPORT_EVERY)
    advance(len(verdicts) % REPORT_EVERY)
    return verdicts


def _examples(
    paths: list[Path], verdicts: list[Verdict], questions: list[Question], prompts: PromptTemplates
) -> Iterable[Example]:
    by_id = {question.question_id: question for question in questions}
    for path, verdict in zip(paths, verdicts, strict=True):
        if verdict.selected:
            yield path_example(by_id[path.question_id], path.text, prompts)


def _count(verdicts: list[Verdict], questions: list[Question]) -> dict[str, Any]:
    selected = [verdict for verdict in verdicts if verdict.selected]
    dropped = {row.rule: row.dropped for row in funnel(verdicts) if row.rule not in ("mined", "selected")}
    return {
        "paths": len(verdicts),
        "kept": sum(verdict.reason is None for verdict in verdicts),
        "selected": len(selected),
        "questions": len(questions),
        "questions_without_path": len(questions) - len(selected),
        "dropped": dropped,
        "selected_agree": sum(verdict.agrees is True for verdict in selected),
    }


def _warn(implausible: list[ImplausibleRule], paths: list[Path], reporter: Reporter) -> None:
    shown = {key for rule in implausible for key in rule.examples}
    texts = {key: path.text for path in paths if (key := PathKey(path.question_id, path.branch, path.sample)) in shown}
    for rule in implausible:
        reporter.say(
            f"warning: the rule {rule.rule} dropped {rule.dropped} of the {rule.reached} paths that reached it. "
            "Does it fit this student and task? For example:"
        )
        for key in rule.examples:
            line = " ".join(texts[key].split())
            short = line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"
            reporter.say(f"  {key.question_id}, branch {key.branch}, sample {key.sample}: {short}")
