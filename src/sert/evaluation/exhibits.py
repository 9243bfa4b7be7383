"""What the figures show of one run of a task, as counts, so that runs with several seeds can be added up."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from math import exp
from typing import Any

from sert.config import RULES, RulesConfig
from sert.evaluation.summary import TaskResults
from sert.paths.rules import is_reasoned

BANDS = ("0-2", "2-4", "4-6", "6-8", "8-10")
"""Ranges of scores, each with its lower end and without its upper one; 10 is in the last."""
PROBABILITIES = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Edges of the ranges of first tokens' probabilities, the last one included."""

Row = dict[str, Any]


def band_of(score: float) -> str:
    """Name the band of a score of 0 to 10."""
    return BANDS[min(int(score // 2), len(BANDS) - 1)]


def band_rows(result: TaskResults) -> Iterator[Row]:
    """Count the questions with at least one path in each band: by branch, by all branches, and raw (figure 1)."""
    if result.scorer is None:
        return
    by_id = {question.question_id: question for question in result.test}
    for decoding, paths in result.scored.items():
        found: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        asked: set[str] = set()
        counts: Counter[str] = Counter()
        for path in paths:
            asked.add(path.question_id)
            band = band_of(result.scorer(by_id[path.question_id], path.text))
            named = [f"branch {path.branch}", "all branches"] if decoding == "branching" else [decoding]
            for source in named:
                found[source][band].add(path.question_id)
                counts[source] += 1
        for source in sorted(counts, key=lambda source: (source == "all branches", source)):
            for band in BANDS:
                yield {
                    "source": source,
                    "band": band,
                    "hits": len(found[source][band]),
                    "questions": len(asked),
                    "samples": counts[source] // len(asked),
                    "scorer": "verifier",
                }


def filtering_rows(result: TaskResults) -> Iterator[Row]:
    """Count the mined paths in each band that are left after each rule (figure 4). Nothing where lanes were stopped."""
    if result.scorer is None or not result.verdicts:
        return
    by_id = {question.question_id: question for question in result.train}
    scores, ends = [], []
    for path, verdict in zip(result.paths, result.verdicts, strict=True):
        if path.stopped_early:
            return
        scores.append(result.scorer(by_id[path.question_id], path.text))
        ends.append("selected" if verdict.selected else verdict.reason or "kept")
    dropped: set[str] = set()
    for after in ("mined", *RULES, "selected"):
        dropped |= {"kept", *RULES} if after == "selected" else {after}
        left = [score for score, end in zip(scores, ends, strict=True) if end not in dropped]
        bands = Counter(map(band_of, left))
        for band in BANDS:
            yield {
                "after": after,
                "band": band,
                "hits": bands[band],
                "paths": len(left),
                "score": sum(left),
                "scorer": "verifier",
                "criterion": None,
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
        if result.verifier is not None and not path.stopped_early:
            counts["verified"] += 1
            counts["true"] += result.verifier(by_id[path.question_id], path.text)
        place = next(place for place, high in enumerate(PROBABILITIES[1:]) if probability < high or high == 1.0)
        by_bin[place]["paths"] += 1
        by_bin[place]["kept"] += verdict.reason is None
    branches = [{"branch": branch, **_numbers(counts)} for branch, counts in sorted(by_branch.items())]
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
        if result.verifier is not None and not path.stopped_early and result.verifier(question, path.text):
            counts["true"] += 1
            with_true.add(path.question_id)
    return {
        **_numbers(counts),
        "questions": len(result.train),
        "questions_reasoned": len(with_reasoned),
        "questions_kept": len(with_kept),
        "questions_true": len(with_true),
        "verified": result.verifier is not None and not any(path.stopped_early for path in result.paths),
    }


def selection_counts(result: TaskResults) -> Row:
    """Count the questions with a selected path, and of these paths the true ones and those that agree with gold."""
    by_id = {question.question_id: question for question in result.train}
    chosen = [(path, verdict) for path, verdict in zip(result.paths, result.verdicts, strict=True) if verdict.selected]
    verify = result.verifier
    return {
        "questions": len(result.train),
        "with_selected": len(chosen),
        "selected_agree": sum(verdict.agrees is True for _, verdict in chosen),
        "selected_true": sum(verify(by_id[path.question_id], path.text) for path, _ in chosen) if verify else None,
    }


def _numbers(counts: Mapping[str, Any]) -> Row:
    return {key: counts.get(key, 0) for key in ("paths", "probability", "kept", "verified", "true", "reasoned")}
