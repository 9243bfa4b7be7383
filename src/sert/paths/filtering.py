"""The filter stage: apply the rules to the mined paths, keep one a question, count what each rule dropped."""

import itertools
import json
import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from sert.config.limits import is_above
from sert.config.prompts import PromptTemplates
from sert.config.rules import USUAL, RulesConfig, SelectionConfig
from sert.errors import DataError
from sert.paths.gains import LOOKS_AT_GOLD, PathGains
from sert.paths.limits import found_limits, with_limits
from sert.paths.rules import OUTRUN, REJECTED, RULE_TABLE, apply_rules
from sert.paths.selection import Chosen, select, selected_examples
from sert.records import Example, Path, PathKey, Question, Verdict
from sert.store.artifacts import Artifact, Draft, artifact_key, write_json
from sert.store.stage import Inputs, Job, Result, dumped
from sert.store.tables import StoredTable, TableWriter, read_table, write_table
from sert.tasks.answers import READING
from sert.terminal.progress import Reporter, Silent
from sert.terminal.text import counted, cut

SHOWN_EXAMPLES = 3
SHOWN_CHARACTERS = 100
OF_SOME_QUESTIONS = (
    "selection.only_sometimes_right looks at the gold answer: paths are selected only of questions of whose paths "
    "some, and not all, conclude it"
)
"""What people are told where questions are chosen so."""
TOLERATED_UNFINISHED = 0.05
"""Share of the selected paths above which half sentences in front of their conclusions are warned of."""


class FunnelRow(NamedTuple):
    """One step of the funnel: `remaining` paths after the rule, their share of all mined, and how many it dropped."""

    rule: str
    remaining: int
    share: float
    dropped: int


class ImplausibleRule(NamedTuple):
    """A rule that dropped nearly all of the `reached` paths that came to it, with keys of dropped paths to look at."""

    rule: str
    dropped: int
    reached: int
    examples: list[PathKey]


class Tally:
    """What is counted of verdicts as they come: the reasons, how many are selected, how many of those agree.

    Attributes:
        unfinished: How many of the selected paths break off within a sentence.
        questions: Those that have a selected path.
    """

    def __init__(self, verdicts: Iterable[Verdict] = (), rules: Sequence[str] = USUAL) -> None:
        """Count verdicts by these rules, in their order."""
        self.reasons: Counter[str | None] = Counter()
        self.selected = self.agreeing = self.unfinished = 0
        self.questions = set[str]()
        self._rules = rules
        self.add(verdicts)

    def add(self, verdicts: Iterable[Verdict]) -> None:
        """Count more of them."""
        for verdict in verdicts:
            self.reasons[verdict.reason] += 1
            self.selected += verdict.selected
            self.agreeing += verdict.selected and verdict.agrees is True
            self.unfinished += verdict.selected and verdict.whole_characters is not None
            if verdict.selected:
                self.questions.add(verdict.question_id)

    def funnel(self) -> list[FunnelRow]:
        """Count what is left after each rule: first `mined`, then the rules in order, last `selected`.

        Rows `outrun` and `rejected` come before the last when paths were cut short while mining: because they could not
        be selected any more, or under stricter rules than these. Shares are 0 when nothing was mined.
        """
        total = remaining = self.reasons.total()
        cut_short = (cut for cut in (OUTRUN, REJECTED) if self.reasons[cut])
        dropped = {"mined": 0} | {rule: self.reasons[rule] for rule in (*self._rules, *cut_short)}
        rows = []
        for step, number in (dropped | {"selected": self.reasons[None] - self.selected}).items():
            remaining -= number
            rows.append(FunnelRow(step, remaining, remaining / total if total else 0.0, number))
        return rows

    def counts(self, *, questions: int) -> dict[str, Any]:
        """Sum up for the manifest; so many questions were mined."""
        return {
            "paths": self.reasons.total(),
            "kept": self.reasons[None],
            "selected": self.selected,
            "questions": questions,
            "questions_without_path": questions - len(self.questions),
            "dropped": {row.rule: row.dropped for row in self.funnel() if row.rule not in ("mined", "selected")},
            "selected_agree": self.agreeing,
            "selected_unfinished": self.unfinished,
        }


def implausible_rules(verdicts: Iterable[Verdict], config: RulesConfig, *, tally: Tally) -> list[ImplausibleRule]:
    """Find rules that dropped more than `max_dropped_share` of the paths that reached them.

    No rule was asked about outrun paths. The examples are spread evenly over the dropped paths, in their order: the
    verdicts, counted already (`tally`), are gone through once for each rule that is found.
    """
    found = []
    reached = tally.reasons.total() - tally.reasons[OUTRUN]
    for rule in config.names:
        dropped = tally.reasons[rule]
        if dropped > config.max_dropped_share * reached:
            shown = min(SHOWN_EXAMPLES, dropped)
            wanted = {number * dropped // shown for number in range(shown)}
            keys = (each.key for each in verdicts if each.reason == rule)
            examples = [key for number, key in enumerate(keys) if number in wanted]
            found.append(ImplausibleRule(rule, dropped, reached, examples))
        reached -= dropped
    return found


@dataclass(frozen=True)
class FilterJob(Job):
    """Apply the rules to every mined path and select the ones to train on.

    Leaves `verdicts.parquet`, `examples.parquet` (the selected paths as training examples), `questions.parquet` and
    `funnel.json`; warns through the reporter of rules that drop nearly everything.

    Attributes:
        mined: The result of mining.
        rules: Thresholds and switches.
        selection: Which rules are asked, and which of the kept paths is taken; the paper's choice by default.
        seed: That of mining.
        gains: How much each path raises the likelihood of the gold answer; looked at where `selection.order = "gain"`.
    """

    kind: ClassVar[str] = "filter"
    mined: Result
    rules: RulesConfig
    selection: SelectionConfig
    seed: int = 0
    step: str = "filter"
    gains: Result | None = None

    @property
    def work(self) -> str:
        """How much there is to do, for people."""
        rules = self.selection.with_rules(self.rules).rules
        most = self.selection.max_per_question
        each = "one path" if most == 1 else f"at most {most} paths"
        return f"{counted(len(rules), 'rules')}, then {each} of each question"

    def settings(self) -> dict[str, Any]:
        """What the verdicts depend on, and in which form the examples are: earlier ones had no tokens."""
        return self._judging() | {"reading": READING, "examples": "tokens"}

    def _judging(self) -> dict[str, Any]:
        return dumped(rules=self.rules, selection=self.selection.with_rules(self.rules))

    def inputs(self) -> Inputs:
        """The mined paths, and their gains where the selection goes by them."""
        mined: Inputs = {self.mined.step: self.mined}
        if self.gains is None or self.selection.order != "gain":
            return mined
        return mined | {self.gains.step: self.gains}

    def earlier_key(self) -> str:
        """The key in version 0.1."""
        settings = self._judging() | self._notes(self.step)
        return artifact_key(self.kind, config=settings, inputs={self.mined.step: self.mined.key}, seed=self.seed)

    def _notes(self, label: str) -> dict[str, Any]:
        return dumped(prompts=_prompts_of(self.mined.open()))

    def _fill(self, draft: Draft, *, label: str, reporter: Reporter) -> Mapping[str, Any]:
        mined = self.mined.open()
        questions = read_table(mined.file("questions.parquet"), Question)
        paths = StoredTable(mined.file("paths.parquet"), Path)
        tally, selected = Tally(rules=self.rules.names), list[tuple[Question, Chosen]]()
        if self.selection.only_sometimes_right:
            reporter.say(f"{label}: {OF_SOME_QUESTIONS}")
        limits = found_limits(paths, self.rules)
        rules = with_limits(self.rules, limits)
        _tell_limits(limits, self.rules, label=label, reporter=reporter)
        gains = PathGains(self.gains, mined) if self.selection.order == "gain" else None
        if gains is not None:
            reporter.say(f"{label}: {LOOKS_AT_GOLD}")
        with (
            reporter.track(label, len(paths), "paths") as advance,
            TableWriter(draft.folder / "verdicts.parquet", Verdict) as verdicts,
        ):
            for question, of_question in _by_question(paths, questions, source=mined.folder):
                judged = [apply_rules(path, question, rules, asked=self.selection.rules) for path in of_question]
                known = gains.of(of_question) if gains else None
                judged = select(judged, self.selection, seed=self.seed, gains=known)
                verdicts.add(judged)
                pairs = zip(of_question, judged, strict=True)
                selected += [(question, self._chosen(path, verdict)) for path, verdict in pairs if verdict.selected]
                tally.add(judged)
                advance(len(judged))
        examples = selected_examples(selected, _prompts_of(mined), shuffled=self.selection.shuffled, seed=self.seed)
        write_table(draft.folder / "examples.parquet", examples, Example)
        written = StoredTable(draft.folder / "verdicts.parquet", Verdict)
        _warn(implausible_rules(written, self.rules, tally=tally), rules, paths, reporter)
        _warn_of_cut_short(tally, mined, self, label=label, reporter=reporter)
        _warn_of_unfinished(tally, self, label=label, reporter=reporter)
        write_table(draft.folder / "questions.parquet", questions, Question)
        write_json(draft.folder / "funnel.json", [row._asdict() for row in tally.funnel()])
        return tally.counts(questions=len(questions)) | ({"limits": limits} if limits else {})

    def _chosen(self, path: Path, verdict: Verdict) -> Chosen:
        end = verdict.whole_characters if trims(self.rules, self.selection) else None
        return Chosen(path.text[:end], path.token_ids)


def trims(rules: RulesConfig, selection: SelectionConfig) -> bool:
    """Tell whether selected paths that break off are cut back to their last whole sentence."""
    return rules.unfinished == "trim" and "unfinished" in selection.rules


def _prompts_of(mined: Artifact) -> PromptTemplates:
    """Read the templates of the examples out of the manifest of mining."""
    if mined.manifest["stage"] != "mine":
        raise DataError(
            f"{mined.folder} was made by the step {mined.manifest['stage']!r}, and paths can only be filtered from "
            "a folder that `sert mine` wrote; give that one."
        )
    try:
        return PromptTemplates.model_validate(mined.manifest["config"]["prompts"])
    except (KeyError, TypeError, ValueError):
        raise DataError(f"The manifest of {mined.folder} was changed: it names no prompts. Mine again.") from None


def filter_paths(
    mined: Artifact,
    *,
    rules: RulesConfig,
    selection: SelectionConfig | None = None,
    gains: Artifact | None = None,
    out: pathlib.Path,
    label: str = "filter",
    reporter: Reporter | None = None,
) -> Artifact:
    """Apply the rules to what `mine` left and select the paths to train on, into the folder `out` (see `FilterJob`).

    Raises:
        ConfigError: If the selection goes by gains and there are none.
        DataError: If `mined` comes from another stage, or its tables do not belong together.
    """
    selection, seed = selection or SelectionConfig(), int(mined.manifest["seed"])
    job = FilterJob(Result.of(mined), rules, selection, seed, gains=None if gains is None else Result.of(gains))
    return job.make(out, label=label, reporter=reporter or Silent())


def _by_question(
    paths: Iterable[Path], questions: Iterable[Question], *, source: pathlib.Path
) -> Iterator[tuple[Question, list[Path]]]:
    """Take the paths of one question at a time."""
    by_id = {question.question_id: question for question in questions}
    seen = set()
    for question_id, of_question in itertools.groupby(paths, key=lambda path: path.question_id):
        if question_id not in by_id or question_id in seen:
            wrong = "more than one block of paths" if question_id in seen else "a path"
            lack = "" if question_id in seen else ", which is not in its questions.parquet"
            raise DataError(
                f"{source / 'paths.parquet'} holds {wrong} of question {question_id!r}{lack}; "
                "the folder is damaged, mine again."
            )
        seen.add(question_id)
        yield by_id[question_id], list(of_question)


def _tell_limits(limits: Mapping[str, float], rules: RulesConfig, *, label: str, reporter: Reporter) -> None:
    """Print the limits that are percentiles as numbers, and warn if they leave nothing between them."""
    for setting, limit in limits.items():
        reporter.say(f"{label}: rules.{setting} = {getattr(rules, setting)} is {limit:.4g} here")
    found = with_limits(rules, limits)
    if is_above(found.min_perplexity, found.max_perplexity):
        reporter.say(
            f"warning: {label}: rules.min_perplexity = {rules.min_perplexity} is above rules.max_perplexity = "
            f"{rules.max_perplexity} here, so that every path is dropped"
        )


def _warn_of_unfinished(tally: Tally, job: FilterJob, *, label: str, reporter: Reporter) -> None:
    """Warn if many examples have their conclusion behind half a sentence."""
    if not trims(job.rules, job.selection) and tally.unfinished > TOLERATED_UNFINISHED * tally.selected:
        reporter.say(
            f"warning: {label}: {tally.unfinished} of the {tally.selected} selected paths break off within a sentence "
            'at mining.max_new_tokens, and are trained on so; rules.unfinished = "trim" cuts them back to their last '
            "whole one"
        )


def _warn_of_cut_short(tally: Tally, mined: Artifact, job: FilterJob, *, label: str, reporter: Reporter) -> None:
    """Warn if nothing is left, and of paths of which nobody knows what these rules would have said."""
    if not tally.selected:
        dropped = ", ".join(f"{row.rule} {row.dropped}" for row in tally.funnel() if row.dropped)
        reporter.say(f"warning: {label}: no path is kept, there is nothing to train on; dropped: {dropped}")
    cut_short = tally.reasons[REJECTED]
    rules = dumped(rules=job.rules)["rules"]
    papers = SelectionConfig().with_rules(job.rules)
    if mined.manifest["config"].get("rules", rules) != rules or job.selection.with_rules(job.rules) != papers:
        cut_short += tally.reasons[OUTRUN]
    if cut_short:
        reporter.say(
            f"warning: {cut_short} paths were cut short while mining, under other rules or for another selection, and "
            "cannot be judged by these; mine with mining.keep_all = true to compare them"
        )


_PERCENTILES = {
    "min_perplexity": 'Students differ in how sure they are of their texts: rules.min_perplexity = "p25" drops '
    "the quarter of its own paths that this one is surest of (they are mined anew for it, all to their ends).",
    "max_perplexity": 'Students differ in how sure they are of their texts: rules.max_perplexity = "p95" drops '
    "the twentieth of its own paths that this one is least sure of (they are mined anew for it, all to their ends).",
}
"""What mends a limit of perplexity that does not fit the student."""


def _warn(implausible: list[ImplausibleRule], config: RulesConfig, paths: Iterable[Path], reporter: Reporter) -> None:
    settings: dict[str, str] = {rule.name: rule.setting for rule in RULE_TABLE}
    shown = {key for rule in implausible for key in rule.examples}
    texts = {key: path.text for path in paths if (key := path.key) in shown} if shown else {}
    for rule in implausible:
        setting = settings[rule.rule]
        value = json.dumps(getattr(config, setting))
        remedy = _PERCENTILES.get(setting, "`sert prospect` tells what its paths measure.")
        reporter.say(
            f"warning: the rule {rule.rule} (rules.{setting} = {value}) dropped {rule.dropped} of the {rule.reached} "
            f"paths that reached it. Does it fit this student and task? {remedy} For example:"
        )
        for key in rule.examples:
            short = cut(" ".join(texts[key].split()), most=SHOWN_CHARACTERS)
            reporter.say(f"  {key.question_id}, branch {key.branch}, sample {key.sample}: {short}")
