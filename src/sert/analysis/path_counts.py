"""What the figures show of one run of a task, as counts, so that runs with several seeds can be added up."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import exp
from statistics import fmean
from typing import Any, NamedTuple

from sert.analysis.run_numbers import TaskResults
from sert.config.tree import RULES, Config, RulesConfig
from sert.judge.prompt import CRITERIA
from sert.paths.rules import apply_rules, is_reasoned
from sert.paths.selection import select
from sert.records import Path, Question, Verdict

BANDS = ("0-2", "2-4", "4-6", "6-8", "8-10")
"""Ranges of scores, each with its lower end and without its upper one; 10 is in the last."""
PROBABILITIES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Edges of the ranges of first tokens' probabilities, the last one included."""

BRANCHING = "branching"
"""The decoding of the paths that were sampled as mining does it."""

Row = dict[str, Any]


def band_of(score: float) -> str:
    """Name the band of a score of 0 to 10."""
    return BANDS[min(int(score // 2), len(BANDS) - 1)]


class _Scorer(NamedTuple):
    """Who scores paths: `score` takes the decoding of a path and the path; None where there is no score."""

    name: str
    criterion: str | None
    score: Callable[[str, Path], float | None]


def _verifier(result: TaskResults, questions: Sequence[Question]) -> list[_Scorer]:
    if (grade := result.scorer) is None:
        return []
    by_id = {question.question_id: question for question in questions}
    return [_Scorer("verifier", None, lambda _, path: grade(by_id[path.question_id], path.text))]


def _judge(result: TaskResults, criterion: str | None = None) -> _Scorer:
    """Take a judge's scores by a criterion, or their mean over all four."""

    def score(decoding: str, path: Path) -> float | None:
        scores = (result.judged_paths or {}).get(decoding, {}).get(path.key)
        if scores is None:
            return None
        return fmean(scores) if criterion is None else scores[CRITERIA.index(criterion)]

    return _Scorer("judge", criterion, score)


def band_rows(result: TaskResults) -> Iterator[Row]:
    """Count the questions with at least one path in each band: by branch, by all branches, and raw (figure 1)."""
    judges = [_judge(result)] if result.judged_paths else []
    for scorer in (*_verifier(result, result.test), *judges):
        for decoding, paths in result.scored.items():
            yield from _bands_of(decoding, paths, scorer)


def _bands_of(decoding: str, paths: Iterable[Path], scorer: _Scorer) -> Iterator[Row]:
    """Count questions; one of which no path has a score is left out, since nobody knows of it."""
    found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    asked: set[str] = set()
    counts: Counter[str] = Counter()
    for path in paths:
        asked.add(path.question_id)
        score = scorer.score(decoding, path)
        for source in [f"branch {path.branch}", "all branches"] if decoding == BRANCHING else [decoding]:
            counts[source] += 1
            if score is not None:
                found[source][band_of(score)].add(path.question_id)
    for source in sorted(found, key=lambda source: (source == "all branches", source)):
        for band in BANDS:
            yield {
                "source": source,
                "band": band,
                "hits": len(found[source][band]),
                "questions": len(set.union(*found[source].values())),
                "samples": counts[source] // len(asked),
                "scorer": scorer.name,
            }


def filtering_rows(result: TaskResults, config: Config) -> Iterator[Row]:
    """Count the paths in each band that are left after each rule (figure 4).

    A verifier scores the mined paths of the train questions, unless lanes were stopped early; a judge those paths of
    the first test questions that it was shown, which the rules are asked about here.
    """
    if not result.some_stopped:
        for scorer in _verifier(result, result.train):
            yield from _left_after_rules(zip(result.paths, result.verdicts, strict=True), scorer)
    if result.judged_paths:
        by_id = {question.question_id: question for question in result.test}
        paths = list(result.scored[BRANCHING])
        verdicts = [
            apply_rules(each, by_id[each.question_id], config.rules, asked=config.selection.rules) for each in paths
        ]
        chosen = select(verdicts, config.selection, seed=config.seed)
        for criterion in CRITERIA:
            yield from _left_after_rules(zip(paths, chosen, strict=True), _judge(result, criterion))


def _left_after_rules(judged: Iterable[tuple[Path, Verdict]], scorer: _Scorer) -> Iterator[Row]:
    scored = [
        (score, "selected" if verdict.selected else verdict.reason or "kept")
        for path, verdict in judged
        if (score := scorer.score(BRANCHING, path)) is not None
    ]
    dropped: set[str] = set()
    for after in ("mined", *RULES, "selected") if scored else ():
        dropped |= {"kept", *RULES} if after == "selected" else {after}
        left = [score for score, end in scored if end not in dropped]
        bands = Counter(map(band_of, left))
        for band in BANDS:
            yield {
                "after": after,
                "band": band,
                "hits": bands[band],
                "paths": len(left),
                "score": sum(left),
                "scorer": scorer.name,
                "criterion": scorer.criterion,
            }


def first_token_rows(result: TaskResults) -> tuple[list[Row], list[Row]]:
    """Count the kept and the true paths by the rank of their first token, and the kept ones by its probability."""
    by_branch: dict[int, Counter[str]] = defaultdict(Counter)
    by_bin: dict[int, Counter[str]] = defaultdict(Counter)
    by_id = {question.question_id: question for question in result.train}
    for path, verdict in zip(result.paths, result.verdicts, strict=True):
        if path.first_token_logprob is None:
            continue
        probability = exp(path.first_token_logprob)
        counts = by_branch[path.branch]
        counts["paths"] += 1
        counts["probability"] += probability  # type: ignore[assignment]
        counts["kept"] += verdict.reason is None
        if result.verifier is not None:
            counts["true"] += result.verifier(by_id[path.question_id], path.text)
        place = next(place for place, high in enumerate(PROBABILITIES[1:]) if probability < high or high == 1.0)
        by_bin[place]["paths"] += 1
        by_bin[place]["kept"] += verdict.reason is None
    unknown = {} if _truth_is_known(result) else {"true": None}
    branches = [{"branch": branch, **_numbers(counts), **unknown} for branch, counts in sorted(by_branch.items())]
    bins = [
        {"low": PROBABILITIES[place], "high": PROBABILITIES[place + 1], **_numbers(counts)}
        for place, counts in sorted(by_bin.items())
    ]
    return branches, bins


def budget_row(result: TaskResults, rules: RulesConfig) -> Row:
    """Count what the mined paths of the train questions are worth: who reasons, what is true, what is kept."""
    by_id = {question.question_id: question for question in result.train}
    counts: Counter[str] = Counter()
    with_true, with_kept, with_reasoned = set(), set(), set()
    for path, verdict in zip(result.paths, result.verdicts, strict=True):
        question = by_id[path.question_id]
        counts["paths"] += 1
        if is_reasoned(path.text, path.num_tokens, question, rules):
            counts["reasoned"] += 1
            with_reasoned.add(path.question_id)
        if verdict.reason is None:
            counts["kept"] += 1
            with_kept.add(path.question_id)
        if result.verifier is not None and result.verifier(question, path.text):
            counts["true"] += 1
            with_true.add(path.question_id)
    unknown = [] if _truth_is_known(result) else ["true", "questions_true"]
    if result.some_stopped:
        unknown += ["reasoned", "questions_reasoned"]
    row = {
        **_numbers(counts),
        "questions": len(result.train),
        "questions_reasoned": len(with_reasoned),
        "questions_kept": len(with_kept),
        "questions_true": len(with_true),
    }
    return {**row, **dict.fromkeys(unknown)}


def _truth_is_known(result: TaskResults) -> bool:
    return result.verifier is not None and not result.some_stopped


def _numbers(counts: Mapping[str, Any]) -> Row:
    return {key: counts.get(key, 0) for key in ("paths", "probability", "kept", "true", "reasoned")}
