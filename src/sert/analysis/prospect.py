"""The numbers of a prospect: what a student's sampled paths on some train questions say before anything is trained.

A pure function of questions, paths, verdicts and predictions. The question is the unit of every interval.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sert.analysis.chance import chance_among, chance_of
from sert.analysis.four_numbers import RIGHT, WRONG, Array, counts_of, cut_warning, four_numbers, read_paths
from sert.analysis.prospect_likelihood import knowing_row, likelihood_rows
from sert.analysis.prospect_looks import look_rows, needed_row
from sert.analysis.prospect_sample import MEASURES, Sample, sample_of
from sert.analysis.prospect_verdict import verdict_row
from sert.analysis.warnings import SERVED
from sert.config.mining import MiningConfig
from sert.config.rules import RULES, RuleName, RulesConfig
from sert.paths.rules import RULE_TABLE
from sert.records import TOO_LONG, Likelihood, Path, Prediction, Question, Verdict
from sert.seeds import derive_seed
from sert.stats.clusters import clustered_share
from sert.stats.counts import Row
from sert.stats.pass_at_k import guessed_pass_at_k, ks_of, pass_at_k
from sert.tasks.prompts import shows_letters
from sert.tasks.standing import standing_of_prediction

BRANCHING, RAW, GREEDY = "branching", "raw sampling", "greedy"
PERCENTILES = (5, 10, 25, 50, 75, 90, 95)
KNOWN = 0.9
"""Share of right greedy outputs from which on the train questions may be known by heart."""
SUGGESTED = {"perplexity": 25, "num_tokens": 25, "rep_2": 75}
"""Percentile of the student's own paths that is suggested as a threshold: each drops a quarter of them."""


class Prospected(NamedTuple):
    """What was sampled and read of a prospect's questions.

    Attributes:
        drawn_from: All train questions.
        questions: Those of them that were asked.
        paths: Paths by branching, each with its verdict.
        raw: As many paths a question by raw sampling.
        greedy: One output a question.
        likelihoods: The scores of the possible answers; None where they were not asked for.
    """

    drawn_from: Sequence[Question]
    questions: Sequence[Question]
    paths: Iterable[tuple[Path, Verdict]]
    raw: Iterable[Path]
    greedy: Sequence[Prediction]
    likelihoods: Sequence[Likelihood] | None = None


def draw_questions(questions: Sequence[Question], number: int, *, seed: int) -> tuple[Question, ...]:
    """Draw questions, and keep their order. A smaller number draws a part of what a larger one draws."""
    ranked = sorted(questions, key=lambda each: derive_seed(seed, "prospect", each.question_id))
    drawn = {question.question_id for question in ranked[:number]}
    return tuple(question for question in questions if question.question_id in drawn)


def prospect_numbers(
    found: Prospected, *, rules: RulesConfig, mining: MiningConfig, asked: Collection[RuleName] = RULES
) -> Row:
    """Make the numbers of `prospect.json`, but for what names the prospect and what the full run takes.

    `asked` are the rules that may drop a path, of those that are on.
    """
    sample = sample_of(found.questions, found.paths, rules)
    answered = [each for each in found.greedy if each.finish != TOO_LONG]
    counts = {
        BRANCHING: sample.counts(),
        RAW: read_paths(found.questions, found.raw),
        GREEDY: counts_of(found.questions, ((each.question_id, standing_of_prediction(each)) for each in answered)),
    }
    chance = chance_row(found)
    chances = [chance_of(question) for question in found.questions]
    likely = None
    if found.likelihoods is not None:
        likely = likelihood_rows(found.questions, found.greedy, found.likelihoods, drawn_from=found.drawn_from)
    numbers: Row = {
        "questions": questions_row(found, too_long=len(found.greedy) - len(answered)),
        "chance": chance,
        "max_new_tokens": mining.max_new_tokens,
        "decodings": [{"decoding": name, **four_numbers(each)} for name, each in counts.items()],
        "pass_at_k": [row for name, each in counts.items() for row in pass_rows(name, each, chances)],
        "likelihood": likely,
        "reasoned": four_numbers(sample.counts(sample.reasoned)),
        "looks": look_rows(sample, chance=chance["best"]),
        "needed": needed_row(sample),
        "rules": rules_row(sample, rules, asked),
        "thresholds": threshold_rows(sample, rules),
    }
    verdict = verdict_row(numbers) | {"knows": knowing_row(likely or [])}
    served = [] if mining.engine == "student" else [SERVED]
    return {**numbers, "verdict": verdict, "warnings": [*served, *_warnings(numbers)]}


def questions_row(found: Prospected, *, too_long: int) -> Row:
    """Count the questions: asked, of how many, and those of them that were too long for the student.

    `choices_as` says how prompts show choices, as the setting calls it; null where no question has any.
    """
    return {
        "asked": len(found.questions),
        "drawn_from": len(found.drawn_from),
        "too_long": too_long,
        "choices_as": _choices_as(found.questions),
    }


def _choices_as(questions: Sequence[Question]) -> str | None:
    with_choices = [question for question in questions if question.choices]
    if not with_choices:
        return None
    if any(map(shows_letters, with_choices)):
        return "lettered"
    shown = (all(choice in question.prompt for choice in question.choices) for question in with_choices)
    return "listed" if any(shown) else "none"


def chance_row(found: Prospected) -> Row:
    """Say what needs no student: guessing, and always the most frequent answer of all train questions.

    `best` is the better one of the two, over the questions that were asked.
    """
    chance = chance_among(found.questions, counted=found.drawn_from)
    always = {"answer": chance.answer, "share": chance.share}
    return {"guessing": chance.guessing, "majority": always, "best": chance.best}


def pass_rows(decoding: str, counts: Array, chances: Sequence[float | None]) -> list[Row]:
    """Say how often at least one of k paths is right, and of one who guesses as often as the paths state an answer.

    Questions without paths, which are too long for the student, are left out.
    """
    totals = counts.sum(axis=1)
    asked = np.flatnonzero(totals)
    most = int(totals[asked].min()) if asked.size else 0
    rows = []
    for k in ks_of(most) if most else ():
        of_each = [pass_at_k(int(totals[row]), int(counts[row, RIGHT]), k) for row in asked]
        weights = totals[asked].tolist()
        hits = [share * weight for share, weight in zip(of_each, weights, strict=True)]
        share = clustered_share(hits, weights)
        ends = None if share.interval is None else list(share.interval)
        about = {"decoding": decoding, "k": k, "share": share.share, "ci95": ends, "questions": len(asked)}
        rows.append({**about, "guessing": _guessed(counts[asked], [chances[row] for row in asked.tolist()], k)})
    return rows


def _guessed(counts: Array, chances: Sequence[float | None], k: int) -> float | None:
    if all(chance is None for chance in chances):
        return None
    guessed = [
        guessed_pass_at_k(int(row.sum()), int(row[RIGHT] + row[WRONG]), k, chance=chance or 0.0)
        for row, chance in zip(counts, chances, strict=True)
    ]
    return sum(guessed) / len(guessed)


def rules_row(sample: Sample, rules: RulesConfig, asked: Collection[RuleName] = RULES) -> Row:
    """Count what the rules keep, and the part of each: what it drops alone, as the first one, and as the only one."""
    dropping = {rule: ~passes for rule, passes in sample.passes.items() if rule in asked}
    paths, times = len(sample.question), np.sum([*dropping.values()], axis=0)
    settings = {rule.name: (rule.setting, getattr(rules, rule.setting)) for rule in RULE_TABLE}
    kept = sample.counts(sample.kept).sum(axis=1)
    return {
        "paths": paths,
        "kept": int(sample.kept.sum()),
        "questions_kept": int((kept > 0).sum()),
        "questions": sample.questions,
        "mean_kept_tokens": float(sample.measured["num_tokens"][sample.kept].mean()) if sample.kept.any() else None,
        "by_rule": [
            {
                "rule": rule,
                "setting": settings[rule][0],
                "value": settings[rule][1],
                "dropped_alone": int(dropped.sum()),
                "dropped_first": int((sample.reason == rule).sum()),
                "dropped_only": int((dropped & (times == 1)).sum()),
            }
            for rule, dropped in dropping.items()
        ],
    }


def threshold_rows(sample: Sample, rules: RulesConfig) -> list[Row]:
    """Give percentiles of what is measured, where the threshold lies among them, and which one drops a quarter.

    `below` is the share of paths below the threshold, `above` that above it. Paths without a token have no perplexity
    and are not among its percentiles.
    """
    first_of = {rule.column: (rule.setting, getattr(rules, rule.setting)) for rule in reversed(RULE_TABLE)}
    rows = []
    for measure in MEASURES:
        values = sample.measured[measure][np.isfinite(sample.measured[measure])]
        setting, limit = first_of[measure]
        found = np.percentile(values, PERCENTILES).tolist() if values.size else [None] * len(PERCENTILES)
        percentiles = dict(zip(map(str, PERCENTILES), found, strict=True))
        rows.append(
            {
                "measure": measure,
                "setting": setting,
                "value": limit,
                "below": float((values < limit).mean()) if values.size else None,
                "above": float((values > limit).mean()) if values.size else None,
                "percentiles": percentiles,
                "suggested": percentiles[str(SUGGESTED[measure])],
                "suggested_percentile": SUGGESTED[measure],
            }
        )
    return rows


def _warnings(numbers: Mapping[str, Any]) -> Iterable[str]:
    """Say what a reader of the numbers should know."""
    asked = numbers["questions"]
    if asked["too_long"]:
        yield f"{asked['too_long']} of {asked['asked']} questions are too long for the student and have no paths"
    greedy = numbers["decodings"][-1]
    if (greedy["right"]["share"] or 0.0) >= KNOWN:
        yield (
            f"the greedy outputs are right on {100 * greedy['right']['share']:.0f} % of these train questions: the "
            "student may know them by heart, and what it does on others these numbers do not say"
        )
    cut = {row["decoding"]: row["cut"]["share"] for row in numbers["decodings"]}
    if told := cut_warning(cut, tokens=numbers["max_new_tokens"], setting="mining.max_new_tokens"):
        yield told
