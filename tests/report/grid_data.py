"""A made-up grid for the tests of its report: numbers of every section, plausible and the same each time."""

from dataclasses import replace
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

from report_data import BANDS, GROUPS, HOSTILE, WORDS, fill, make_judged, make_paths, make_predictions, make_standings

from sert.report.examples import ShownPath, ShownPrediction

N = 687
METHODS = {
    # method: right of 687 for each seed, format, length, repetition, reasoned, true paths
    "zero_shot": ([349], 0.03, 1.2, 0.01, 0.015, 0.004),
    "finetune": ([368, 362, 374], 1.0, 0.0, None, 0.0, 0.0),
    "sert": ([371, 380, 377], 0.91, 145.3, 0.53, 0.97, 0.31),
    "rd": ([362, 351, 372], 0.92, 116.2, 0.52, 0.99, 0.28),
    "sert+rd": ([395, 401, 388], 0.99, 116.6, 0.5, 1.0, 0.36),
}
VARIANTS = {
    # variant: (group, right of 687 for each seed, p corrected by Holm, share of selected paths that is true)
    "no filter": ("filter", [352, 360, 349], 0.012, 0.11),
    "only agreeing": ("filter", [383, 379, 390], 0.61, 0.58),
    "shuffled paths": ("paths", [350, 344, 356], 0.0004, None),
}
RULES = ("imitation", "option_repetition", "direct_response", "length", "repetition", "perplexity")
FOUR = {"right": 0.51, "wrong": 0.4, "unread": 0.06, "cut": 0.03}
SOURCES = (*(f"branch {rank}" for rank in range(5)), "all branches", "raw sampling", "raw sampling, SERT student")
CHOICES = {"last": -3, "dev": 0, "test-best": 9}  # epoch choice -> questions more than the dev-chosen one
EXHIBITS = (
    "comparisons means funnel selection bands filtering first_tokens first_token_bins by_length by_repetition "
    "steps amounts budget judged likelihood gain gain_looks forgetting standings"
).split()


def make_grid(
    students: tuple[str, ...] = ("gpt2",), tasks: tuple[str, ...] = ("strategyqa",), shift: int = 11
) -> dict[str, Any]:
    """A grid of every method and section; each further student is right on `shift` questions more."""
    metrics: dict[str, Any] = {
        "name": "paper grid",
        "created": "2026-01-02T03:04:05Z",
        "sert_version": "0.1.0",
        "config_key": "0123456789ab",
        "seeds": [0, 1, 2],
        "warnings": ["gpt2 on strategyqa: 29 train questions have no surviving path and train nothing"],
        "tasks": [_task(task) for task in tasks],
    }
    sections = ("rows", "summary", *EXHIBITS)
    metrics |= {section: [] for section in sections}
    for task in tasks:
        for place, student in enumerate(students):
            filled = {"rows": _rows(shift * place), "summary": _summary(shift * place), **_exhibits(task, place)}
            for section, rows in filled.items():
                metrics[section] += [{"student": student, "task": task} | row for row in rows]
    return metrics


def make_shown(student: str = "gpt2", task: str = "strategyqa") -> tuple[list[ShownPath], list[ShownPrediction]]:
    """Examples of one student."""
    return (
        [each._replace(student=student) for each in make_paths(task)],
        [each._replace(student=student) for each in make_predictions(task)],
    )


def _task(task: str) -> dict[str, Any]:
    return {
        "task": task,
        "num_train": 1443,
        "num_dev": 160,
        "num_test": N,
        "majority_answer": "no",
        "majority_accuracy": 361 / N,
        "chance_accuracy": 0.5,
        "chance_best": 361 / N,
        "left_out": {"also in the test split": 2},
    }


def measure(values: list[float]) -> dict[str, Any]:
    """A number over seeds, with an interval of two standard deviations."""
    mean, sd = fmean(values), stdev(values) if len(values) > 1 else None
    interval = None if sd is None else [mean - 2 * sd, mean + 2 * sd]
    return {"mean": mean, "sd": sd, "lowest": min(values), "highest": max(values), "ci95": interval}


def _entries(shift: int) -> list[tuple[dict[str, Any], list[int], tuple[Any, ...]]]:
    """Name every row of the grid, with the right answers of each seed and the other measures."""
    entries = []
    for method, (correct, *others) in METHODS.items():
        main = {"variant": "main", "group": None, "method": method, "harness": "clean"}
        if method == "zero_shot":
            entries.append((main | {"epoch_choice": None, "primary": True}, correct, tuple(others)))
            continue
        for choice, more in CHOICES.items():
            right = [each + more + shift for each in correct]
            entries.append((main | {"epoch_choice": choice, "primary": choice == "dev"}, right, tuple(others)))
    for variant, (group, correct, *_) in VARIANTS.items():
        row = {"variant": variant, "group": group, "method": "sert", "harness": "clean"}
        right = [each + shift for each in correct]
        for choice in ("last", "test-best"):  # variants have one snapshot
            about = row | {"epoch_choice": choice, "primary": choice == "last"}
            entries.append((about, right, tuple(METHODS["sert"][1:])))
    compat = {"variant": "as compat", "group": "harness", "method": "sert", "harness": "compat"}
    for choice, more in (("last", 5), ("test-best", 20)):
        right = [each + more + shift for each in METHODS["sert"][0]]
        about = compat | {"epoch_choice": choice, "primary": choice == "test-best"}
        entries.append((about, right, tuple(METHODS["sert"][1:])))
    return entries


def _rows(shift: int) -> list[dict[str, Any]]:
    rows = []
    for about, correct, (fmt, length, repetition, reasoned, true) in _entries(shift):
        trained = about["method"] != "zero_shot"
        for seed, right in enumerate(correct):
            share = right / N
            rows.append(
                about
                | {
                    "seed": seed,
                    "n": N,
                    "correct": right,
                    "accuracy": share,
                    "ci95": [share - 0.037, share + 0.037],
                    "correct_strict": right - 7,
                    "accuracy_strict": (right - 7) / N,
                    **_stands(right),
                    "right_of_answered_ci95": [(right - 7) / (N - 17) - 0.037, (right - 7) / (N - 17) + 0.037],
                    "answered": N - 17,
                    "format": fmt,
                    "mean_length": length,
                    "repetition": repetition,
                    "reasoned": reasoned,
                    "true_paths": true,
                    "majority_accuracy": 361 / N,
                    "train_examples": 1443 if trained else None,
                    "train_steps": 3600 if trained else None,
                    "step": 1800 if trained else None,
                    "votes": 1,
                }
            )
    return rows


def _stands(right: int) -> dict[str, float]:
    """Of the right ones seven are not stated; those and five others are unread, and five are cut."""
    shares = {"right": right - 7, "wrong": N - 17 - (right - 7), "unread": 12, "cut": 5}
    return {name: number / N for name, number in shares.items()} | {"right_of_answered": (right - 7) / (N - 17)}


def _summary(shift: int) -> list[dict[str, Any]]:
    rows = []
    for about, correct, others in _entries(shift):
        named = dict(zip(("format", "mean_length", "repetition", "reasoned", "true_paths"), others, strict=True))
        wobble = [1.0] if len(correct) == 1 else [0.99, 1.0, 1.01]
        rows.append(
            about
            | {
                "n": N,
                "seeds": len(correct),
                "correct": correct,
                "accuracy": measure([each / N for each in correct]),
                "accuracy_strict": measure([(each - 7) / N for each in correct]),
                "correct_strict": [each - 7 for each in correct],
                "answered": [N - 17 for _ in correct],
                **{name: measure([_stands(each)[name] for each in correct]) for name in _stands(0)},
                **{
                    name: None if value is None else measure([value * each for each in wobble])
                    for name, value in named.items()
                },
            }
        )
    return rows


def _exhibits(task: str, place: int) -> dict[str, list[dict[str, Any]]]:
    return {
        "comparisons": [*_method_comparisons(), *_ablation_comparisons()],
        "means": _means(),
        "funnel": _funnel(),
        "standings": [{key: row[key] for key in row.keys() - {"student", "task"}} for row in make_standings(task)],
        "selection": _selection(),
        "bands": _bands(place),
        "filtering": _filtering(),
        "first_tokens": _first_tokens(),
        "first_token_bins": _first_token_bins(),
        "by_length": _binned(((0, 20), (20, 40), (40, 80), (80, 160), (160, 257)), fall=0.03),
        "by_repetition": _binned(((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 1.0)), fall=0.05),
        "steps": _steps(),
        "amounts": _amounts(),
        "budget": _budget(),
        "judged": [_judging(task, seed, place) for seed in range(2)],
        "likelihood": [
            _likelihood(by, right)
            for by, right in (("generated", 349), ("cloze", 402), ("cloze_raw", 388), ("letter", 351))
        ],
        "gain": [
            _gain(*each)
            for each in (
                ("paths", "all", -0.031),
                ("paths", "selected", 0.214),
                ("sert", "all", 0.4),
                ("rationales", "all", 1),
            )
        ],
        "gain_looks": [
            _gain_look("selected", "selected", None, 0.25),
            _gain_look("rule", "length", None, 0.125),
            _gain_look("branch", "2", None, -0.5),
            _gain_look("perplexity", "4", [9.5, None], 0.0),
        ],
        "forgetting": [_forgetting(method, lost) for method, lost in (("finetune", 21), ("sert", 3), ("sert+rd", 9))],
    }


def _likelihood(by: str, right: int) -> dict[str, Any]:
    share, compared = right / N, by != "generated"
    return {
        "variant": "main",
        "method": "zero_shot",
        "measure": by,
        "n": N,
        "seeds": 1,
        "correct": [right],
        "accuracy": measure([share]),
        "interval": [share - 0.037, share + 0.037],
        "difference": (right - 349) / N if compared else None,
        "ci95": [(right - 349) / N - 0.04, (right - 349) / N + 0.04] if compared else None,
        "p_value": 0.5 / right if compared else None,
        "p_holm": 1.5 / right if compared else None,
    }


def _share(hits: int, of: int) -> dict[str, Any]:
    return {"hits": hits, "of": of, "share": hits / of, "ci95": [hits / of - 0.02, hits / of + 0.02], "questions": 90}


def _gain_numbers(nats: float) -> dict[str, Any]:
    return {
        "texts": 1800,
        "questions": 90,
        "nats": nats,
        "ci95": [nats - 0.05, nats + 0.05],
        "right": _share(774, 1800),
        "right_without": _share(720, 1800),
        "agree": _share(405, 900),
    }


def _gain(source: str, part: str, nats: float) -> dict[str, Any]:
    tested = {"p_value": 0.02, "p_holm": 0.08, "right_p_value": 0.001, "right_p_holm": 0.008}
    return {"source": source, "part": part, **_gain_numbers(nats), **tested}


def _gain_look(kind: str, name: str, ends: list[float | None] | None, difference: float) -> dict[str, Any]:
    tested = {"ci95": [difference - 0.1, difference + 0.1], "p_value": 0.01, "p_holm": 0.04, "questions": 80}
    return {
        "kind": kind,
        "name": name,
        "ends": ends,
        "inside": _gain_numbers(0.1 + difference),
        "outside": _gain_numbers(0.1),
        "difference": {"nats": {"difference": difference, **tested}, "agree": None},
    }


def _forgetting(method: str, lost: int) -> dict[str, Any]:
    before, after = [112, 112, 112], [112 - lost, 110 - lost, 113 - lost]
    return {
        "method": method,
        "seeds": 3,
        "choices": 200,
        "correct_before": before,
        "correct_after": after,
        "accuracy_before": measure([k / 200 for k in before]),
        "accuracy_after": measure([k / 200 for k in after]),
        "interval_before": [0.49, 0.63],
        "interval_after": [0.49 - lost / 200, 0.63 - lost / 200],
        "difference": -lost / 200,
        "ci95": [-lost / 200 - 0.04, -lost / 200 + 0.04],
        "p_value": 0.3 / lost**2,
        "p_holm": 0.9 / lost**2,
        "texts": 150,
        "perplexity_before": measure([14.25, 14.25, 14.25]),
        "perplexity_after": measure([14.25 + lost, 14.0 + lost, 14.5 + lost]),
        "nats": -lost / 20,
        "nats_ci95": [-lost / 20 - 0.1, -lost / 20 + 0.1],
        "nats_p_value": 0.15 / lost,
        "nats_p_holm": 0.3 / lost,
    }


def _comparison(a: str, b: str, by_seed: list[float], p_holm: float, **more: Any) -> dict[str, Any]:
    mean = fmean(by_seed)
    return {
        "group": None,
        "a": a,
        "b": b,
        "method": None,
        "difference": mean,
        "ci95": [mean - 0.026, mean + 0.026],
        "p_value": p_holm / 4,
        "p_holm": p_holm,
        "seeds": len(by_seed),
        "by_seed": by_seed,
        "sd": stdev(by_seed),
        "ci95_seeds": [mean - 0.01, mean + 0.01],
        "n": N,
        "detectable": 0.0425,
        "test": "exact sign flips over questions, answers averaged over seeds",
        "standings": {side: {"right": 0.5, "wrong": 0.475, "unread": 0.0175, "cut": 0.0075} for side in "ab"},
        "both_answered": {
            "difference": mean,
            "ci95": [mean - 0.026, mean + 0.026],
            "p_value": p_holm / 4,
            "p_holm": p_holm,
            "n": N,
            "share": 1.0,
        },
        "within_chance": False,
        "only_form": False,
    } | more


def _method_comparisons() -> list[dict[str, Any]]:
    pairs = (("sert", "zero_shot", 0.02), ("sert", "finetune", 0.61), ("rd", "finetune", 0.88))
    pairs += (("sert+rd", "rd", 0.0003), ("sert+rd", "sert", 0.043))
    rows = []
    for a, b, p_holm in pairs:
        of_b = METHODS[b][0] * (3 if b == "zero_shot" else 1)
        by_seed = [(left - right) / N for left, right in zip(METHODS[a][0], of_b, strict=True)]
        rows.append(_comparison(a, b, by_seed, p_holm))
    return rows


def _ablation_comparisons() -> list[dict[str, Any]]:
    rows = []
    for variant, (group, correct, p_holm, _) in VARIANTS.items():
        main = [right + CHOICES["last"] for right in METHODS["sert"][0]]
        by_seed = [(left - right) / N for left, right in zip(correct, main, strict=True)]
        rows.append(_comparison(variant, "main", by_seed, p_holm, group=group, method="sert"))
    return rows


def _means() -> list[dict[str, Any]]:
    return [
        {
            "a": "sert+rd",
            "b": "rd",
            "measure": measure,
            "difference": difference,
            "ci95": [difference - abs(difference) / 4, difference + abs(difference) / 4],
            "p_value": 0.01,
            "p_holm": 0.03,
            "n": N,
        }
        for measure, difference in (("mean_length", -64.41), ("repetition", -0.035), ("coherence", 0.52))
    ]


def _funnel() -> list[dict[str, Any]]:
    left = (36075, 33180, 33180, 12403, 9877, 8541, 8102, 1380)
    true = (0.083, 0.091, 0.091, 0.251, 0.261, 0.27, 0.268, 0.31)
    return [
        {
            "group": None,
            "rule": rule,
            "remaining": remaining,
            "share": remaining / left[0],
            "dropped": left[max(place - 1, 0)] - remaining,
            "true_share": share,
        }
        for place, (rule, remaining, share) in enumerate(zip(("mined", *RULES, "selected"), left, true, strict=True))
    ]


def _selection() -> list[dict[str, Any]]:
    named = {"main": (None, 0.31)} | {name: (group, true) for name, (group, _, _, true) in VARIANTS.items()}
    return [
        {
            "variant": variant,
            "group": group,
            "questions": 1443,
            "with_selected": 1380,
            "selected_agree": 733,
            "selected_wrong": 587,
            "selected_unread": 50,
            "selected_cut": 10,
            "selected_true_share": true,
            "mined_true_share": 0.083,
        }
        for variant, (group, true) in named.items()
        if true is not None
    ]


def _bands(place: int) -> list[dict[str, Any]]:
    shares = {
        "branch 0": (0.52, 0.31, 0.22, 0.16, 0.12),
        "branch 1": (0.55, 0.3, 0.24, 0.18, 0.14),
        "branch 2": (0.5, 0.33, 0.21, 0.19, 0.15),
        "branch 3": (0.57, 0.36, 0.26, 0.17, 0.13),
        "branch 4": (0.6, 0.38, 0.25, 0.2, 0.16),
        "all branches": (0.93, 0.81, 0.7, 0.58, 0.46),
        "raw sampling": (0.96, 0.62, 0.4, 0.25, 0.14),
        "raw sampling, SERT student": (0.71, 0.66, 0.52, 0.33, 0.17),
    }
    return [
        {
            "source": source,
            "band": band,
            "share": shares[source][number] * (1 - 0.1 * place),
            "questions": 100,
            "samples": 5 if source.startswith("branch") else 25,
            "scorer": "judge",
        }
        for source in SOURCES
        for number, band in enumerate(BANDS)
    ]


def _filtering() -> list[dict[str, Any]]:
    rows = []
    for scorer, criterion in (("verifier", None), ("judge", "coherence"), ("judge", "logical_consistency")):
        for place, after in enumerate(("mined", *RULES)):
            low = 0.62 - 0.07 * place
            shares = (low, (1 - low) * 0.3, (1 - low) * 0.25, (1 - low) * 0.25, (1 - low) * 0.2)
            for band, share in zip(BANDS, shares, strict=True):
                rows.append(
                    {
                        "after": after,
                        "band": band,
                        "share": share,
                        "paths": 36075 // (place + 1),
                        "mean_score": 2.5 + 0.4 * place,
                        "scorer": scorer,
                        "criterion": criterion,
                    }
                )
    return rows


def _first_tokens() -> list[dict[str, Any]]:
    probabilities = (0.31, 0.094, 0.041, 0.022, 0.013)
    return [
        {
            "branch": branch,
            "mean_probability": probability,
            "paths": 7215,
            "kept_share": 0.09 + 0.06 * branch,
            "true_share": 0.04 + 0.02 * branch,
        }
        for branch, probability in enumerate(probabilities)
    ]


def _first_token_bins() -> list[dict[str, Any]]:
    edges = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    return [
        {"low": low, "high": high, "paths": 9000 // (place + 1), "kept_share": 0.36 - 0.05 * place}
        for place, (low, high) in enumerate(pairwise(edges))
    ]


def _binned(edges: tuple[tuple[float, float], ...], *, fall: float) -> list[dict[str, Any]]:
    rows = []
    for number, method in enumerate(("sert", "rd", "sert+rd")):
        for place, (low, high) in enumerate(edges):
            share, half = 0.6 + 0.02 * number - fall * place, 0.03 + 0.02 * place
            rows.append(
                {"method": method, "low": low, "high": high, "n": 900 // (place + 2), "accuracy": share}
                | {"ci95": [share - half, share + half], **FOUR}
            )
    return rows


def _steps() -> list[dict[str, Any]]:
    return [
        {
            "method": method,
            "step": step,
            "split": split,
            "mean": 0.5 + rise * step / (step + 600) - (0.01 if split == "test" else 0),
            "sd": 0.012,
            "seeds": 3,
            **FOUR,
        }
        for method, rise in (("finetune", 0.05), ("sert", 0.06), ("rd", 0.04), ("sert+rd", 0.1))
        for split in ("dev", "test")
        for step in (180, 360, 720, 1440, 2520, 3600)
    ]


def _amounts() -> list[dict[str, Any]]:
    return [
        {
            "method": method,
            "rationales": rationales,
            "accuracy": measure([base + gain * place + wobble for wobble in (-0.012, 0.0, 0.012)]),
            **FOUR,
        }
        for method, base, gain in (("rd", 0.5, 0.012), ("sert+rd", 0.545, 0.01))
        for place, rationales in enumerate((100, 200, 400, 800, 1443))
    ]


def _budget() -> list[dict[str, Any]]:
    shares = {
        "5x5": (5, 5, 0.34, 0.083, 0.52, 0.22, 0.93),
        "1x25": (1, 25, 0.21, 0.041, 0.33, 0.12, 0.71),
        "25x1": (25, 1, 0.38, 0.092, 0.55, 0.25, 0.95),
        "raw": (1, 25, 0.19, 0.037, 0.31, 0.11, 0.66),
    }
    return [
        {
            "variant": variant,
            "branches": branches,
            "samples": samples,
            "paths": 36075,
            "reasoned_share": reasoned,
            "true_share": true,
            "questions_true_share": questions_true,
            "kept_share": kept,
            "questions_kept_share": questions_kept,
        }
        for variant, (branches, samples, reasoned, true, questions_true, kept, questions_kept) in shares.items()
    ]


def _judging(task: str, seed: int, place: int) -> dict[str, Any]:
    """The judge's scores of two methods in one seed; the second is better, and so are further students."""
    judged = make_judged(task)
    planted, like = judged["rows"][:2], judged["rows"][2]
    rows = []
    for method, base in (("rd", 5.1), ("sert+rd", 5.9)):
        row = {"source": method, "n": like["n"]}
        for number, criterion in enumerate(("coherence", "relevance", "logical_consistency", "completeness")):
            mean = base + 0.3 * number + 0.4 * place + 0.15 * seed
            row[criterion] = like[criterion] | {"mean": mean, "interval": [mean - 0.2, mean + 0.2]}
        rows.append(row)
    del judged["task"], judged["student"]
    return judged | {"seed": seed, "rows": [*planted, *rows]}


def make_hostile_grid(text: str = HOSTILE) -> tuple[dict[str, Any], list[ShownPath], list[ShownPrediction]]:
    """The same grid with one text in every text field, but for the words that the metrics define."""
    paths, predictions = make_shown()
    metrics = make_grid()
    judged, standings = metrics.pop("judged"), metrics.pop("standings")
    filled = fill(metrics, text, kept=WORDS) | {"judged": fill(judged, text, kept={"good", "bad"})}
    filled["standings"] = fill(standings, text, kept=GROUPS)
    shown = [
        each._replace(
            student=text,
            task=text,
            question=replace(each.question, question=text),
            path=replace(each.path, text=text),
        )
        for each in paths
    ]
    outputs = [
        each._replace(
            student=text,
            task=text,
            question=replace(each.question, question=text, answer=text),
            prediction=replace(each.prediction, completion=text),
        )
        for each in predictions
    ]
    return filled, shown, outputs
