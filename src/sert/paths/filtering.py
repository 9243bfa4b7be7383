"""The filter stage: judge the mined paths, keep one a question, count what each rule dropped."""

import itertools
import pathlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from sert.config.tree import RULES, PromptTemplates, RulesConfig, SelectionConfig
from sert.errors import DataError
from sert.paths.rules import OUTRUN, REJECTED, judge
from sert.records import Example, Path, PathKey, Question, Verdict
from sert.seeds import derive_seed
from sert.store.artifacts import Artifact, Draft, commit, write_json
from sert.store.tables import StoredTable, TableWriter, read_table, write_table
from sert.tasks.prompts import path_example
from sert.terminal.progress import Reporter, Silent

STAGE = "filter"
SHOWN_EXAMPLES = 3
SHOWN_CHARACTERS = 100
PAPERS = SelectionConfig().model_dump(mode="json")
"""The selection that mining foresees when it stops lanes early."""


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


def select(verdicts: Iterable[Verdict], config: SelectionConfig | None = None, *, seed: int = 0) -> list[Verdict]:
    """Mark one kept path a question: by default the lowest rep-2, then the lower branch, then the lower sample.

    All verdicts come back in their order; a question without a path to select gets no mark.

    Args:
        verdicts: What the rules said.
        config: Which kept path is preferred, and whether it must agree with the gold answer.
        seed: Decides where the order is random.
    """
    verdicts, config = list(verdicts), config or SelectionConfig()
    best: dict[str, Verdict] = {}
    for verdict in verdicts:
        if verdict.reason is None and (verdict.agrees is True or not config.only_agreeing):
            rival = best.setdefault(verdict.question_id, verdict)
            best[verdict.question_id] = min(rival, verdict, key=lambda each: _rank(each, config.order, seed))
    return [
        replace(verdict, selected=True) if best.get(verdict.question_id) is verdict else verdict for verdict in verdicts
    ]


class _Tally:
    """What is counted of verdicts as they come: the reasons, how many are selected, how many of those agree."""

    def __init__(self, verdicts: Iterable[Verdict] = ()) -> None:
        self.reasons: Counter[str | None] = Counter()
        self.selected = self.agreeing = 0
        self.add(verdicts)

    def add(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            self.reasons[verdict.reason] += 1
            self.selected += verdict.selected
            self.agreeing += verdict.selected and verdict.agrees is True

    def funnel(self) -> list[FunnelRow]:
        total = remaining = self.reasons.total()
        rows = [_row("mined", total, total, 0)]
        for rule in (*RULES, *(cut for cut in (OUTRUN, REJECTED) if self.reasons[cut])):
            remaining -= self.reasons[rule]
            rows.append(_row(rule, remaining, total, self.reasons[rule]))
        return [*rows, _row("selected", self.selected, total, remaining - self.selected)]

    def counts(self, *, questions: int) -> dict[str, Any]:
        return {
            "paths": self.reasons.total(),
            "kept": self.reasons[None],
            "selected": self.selected,
            "questions": questions,
            "questions_without_path": questions - self.selected,
            "dropped": {row.rule: row.dropped for row in self.funnel() if row.rule not in ("mined", "selected")},
            "selected_agree": self.agreeing,
        }


def funnel(verdicts: Iterable[Verdict]) -> list[FunnelRow]:
    """Count what is left after each rule: first `mined`, then the rules in order, last `selected`.

    Rows `outrun` and `rejected` come before the last when paths were cut short while mining: because they could not be
    selected any more, or under stricter rules than these. Shares are 0 when nothing was mined.
    """
    return _Tally(verdicts).funnel()


def implausible_rules(verdicts: Collection[Verdict], config: RulesConfig) -> list[ImplausibleRule]:
    """Find rules that dropped more than `max_dropped_share` of the paths that reached them.

    No rule was asked about outrun paths. The examples are spread evenly over the dropped paths, in their order.
    """
    return _implausible(_Tally(verdicts), verdicts, config)


def _implausible(tally: _Tally, verdicts: Iterable[Verdict], config: RulesConfig) -> list[ImplausibleRule]:
    """Find the rules by what was counted; go through the verdicts, again for each rule, only for examples."""
    found = []
    reached = tally.reasons.total() - tally.reasons[OUTRUN]
    for rule in RULES:
        dropped = tally.reasons[rule]
        if dropped > config.max_dropped_share * reached:
            shown = min(SHOWN_EXAMPLES, dropped)
            wanted = {number * dropped // shown for number in range(shown)}
            keys = (each.key for each in verdicts if each.reason == rule)
            examples = [key for number, key in enumerate(keys) if number in wanted]
            found.append(ImplausibleRule(rule, dropped, reached, examples))
        reached -= dropped
    return found


def filter_paths(
    mined: Artifact,
    *,
    rules: RulesConfig,
    selection: SelectionConfig | None = None,
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
        selection: Which rules are asked, and which of the kept paths is taken; the paper's choice by default.
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
    try:
        prompts = PromptTemplates.model_validate(mined.manifest["config"]["prompts"])
    except (KeyError, TypeError, ValueError):
        raise DataError(f"The manifest of {mined.folder} was changed: it names no prompts. Mine again.") from None
    teller, selection = reporter or Silent(), selection or SelectionConfig()
    settings = {"rules": rules.model_dump(mode="json"), "selection": selection.model_dump(mode="json")}
    seed = int(mined.manifest["seed"])

    def fill(draft: Draft) -> Mapping[str, Any]:
        questions = read_table(mined.file("questions.parquet"), Question)
        paths = StoredTable(mined.file("paths.parquet"), Path)
        tally, chosen = _Tally(), _Chosen(prompts, shuffled=selection.shuffled, seed=seed)
        with (
            teller.track(label, len(paths), "paths") as advance,
            TableWriter(draft.folder / "verdicts.parquet", Verdict) as verdicts,
            TableWriter(draft.folder / "examples.parquet", Example) as examples,
        ):
            for question, of_question in _by_question(paths, questions, source=mined.folder):
                judged = [judge(path, question, rules, asked=selection.rules) for path in of_question]
                judged = select(judged, selection, seed=seed)
                verdicts.add(judged)
                examples.add(chosen.examples(of_question, judged, question))
                tally.add(judged)
                advance(len(judged))
            examples.add(chosen.rest())
        written = StoredTable(draft.folder / "verdicts.parquet", Verdict)
        _warn(_implausible(tally, written, rules), paths, teller)
        _warn_of_unjudged(tally, mined, settings, label=label, reporter=teller)
        write_table(draft.folder / "questions.parquet", questions, Question)
        write_json(draft.folder / "funnel.json", [row._asdict() for row in tally.funnel()])
        return tally.counts(questions=len(questions))

    return commit(
        out,
        fill,
        stage=STAGE,
        config={**settings, "prompts": prompts.model_dump(mode="json")},
        inputs={"mine": mined.key},
        seed=seed,
    )


def preference(verdict: Verdict) -> tuple[float, int, int]:
    """Order the kept paths of a question as the paper does; the least is selected: rep-2, branch, sample."""
    return (verdict.rep_2, verdict.branch, verdict.sample)


def _rank(verdict: Verdict, order: str, seed: int) -> tuple[float, int, int]:
    """Order the kept paths of a question; the least is selected."""
    if order == "random":
        drawn = derive_seed(seed, "selection", verdict.question_id, verdict.branch, verdict.sample)
        return (drawn, verdict.branch, verdict.sample)
    if order == "mean_logprob":
        return (verdict.perplexity, verdict.branch, verdict.sample)
    return preference(verdict)


def _row(rule: str, remaining: int, total: int, dropped: int) -> FunnelRow:
    return FunnelRow(rule, remaining, remaining / total if total else 0.0, dropped)


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


class _Chosen:
    """Makes the examples of the selected paths; shuffled ones when all are known."""

    def __init__(self, prompts: PromptTemplates, *, shuffled: bool, seed: int) -> None:
        self._prompts, self._shuffled, self._seed = prompts, shuffled, seed
        self._waiting: list[tuple[Question, str]] = []

    def examples(self, paths: list[Path], verdicts: list[Verdict], question: Question) -> Iterator[Example]:
        for path, verdict in zip(paths, verdicts, strict=True):
            if verdict.selected and self._shuffled:
                self._waiting.append((question, path.text))
            elif verdict.selected:
                yield path_example(question, path.text, self._prompts)

    def rest(self) -> Iterator[Example]:
        """Give each question the path of the next one of a circle that the seed draws, so that none keeps its own."""
        circle = sorted(self._waiting, key=lambda pair: derive_seed(self._seed, "shuffle", pair[0].question_id))
        after = {here[0].question_id: there[1] for here, there in zip(circle, circle[1:] + circle[:1], strict=True)}
        for question, _ in self._waiting:
            yield path_example(question, after[question.question_id], self._prompts)


def _warn_of_unjudged(
    tally: _Tally, mined: Artifact, settings: Mapping[str, Any], *, label: str, reporter: Reporter
) -> None:
    """Warn if nothing is left, and of paths of which nobody knows what these rules would have said."""
    if not tally.selected:
        dropped = ", ".join(f"{row.rule} {row.dropped}" for row in tally.funnel() if row.dropped)
        reporter.say(f"warning: {label}: no path is kept, there is nothing to train on; dropped: {dropped}")
    cut_short = tally.reasons[REJECTED]
    as_mined = {"rules": mined.manifest["config"].get("rules", settings["rules"]), "selection": PAPERS}
    if as_mined != settings:
        cut_short += tally.reasons[OUTRUN]
    if cut_short:
        reporter.say(
            f"warning: {cut_short} paths were cut short while mining, under other rules or for another selection, and "
            "cannot be judged by these; mine with keep_all to compare them"
        )


def _warn(implausible: list[ImplausibleRule], paths: Iterable[Path], reporter: Reporter) -> None:
    shown = {key for rule in implausible for key in rule.examples}
    texts = {key: path.text for path in paths if (key := path.key) in shown} if shown else {}
    for rule in implausible:
        reporter.say(
            f"warning: the rule {rule.rule} dropped {rule.dropped} of the {rule.reached} paths that reached it. "
            "Does it fit this student and task? For example:"
        )
        for key in rule.examples:
            line = " ".join(texts[key].split())
            short = line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"
            reporter.say(f"  {key.question_id}, branch {key.branch}, sample {key.sample}: {short}")
