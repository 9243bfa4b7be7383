"""A made-up run for the tests of the report: two tasks, one with a verifier and one without."""

from collections.abc import Collection
from typing import Any

from sert.analysis.grid_numbers import summarize_seeds
from sert.judge.prompt import CRITERIA
from sert.report.examples import ShownPath, ShownPrediction
from shown_examples import shown_path, shown_prediction

HOSTILE = "<script>alert(1)</script></style>|`x`|\x1b[31m\u202etxt.exe\n# head $a_b$ [l](javascript:x) &amp; {{ 7*7 }}"
UNBROKEN = "W" * 4000
BANDS = ("0-2", "2-4", "4-6", "6-8", "8-10")
GROUPS = {"decoding", "mined", "rule", "branch", "budget", "all", "kept", "dropped"}
LOOKS = ("selected", "rule", "branch")
WORDS = {"main", "clean", "compat", "last", "dev", "test-best", "verifier", "judge", "test", *BANDS, *LOOKS}
"""What metrics define themselves; every other text comes from a user, a file or a model."""

_WITHOUT = {"zero_shot": (60, 20), "sert": (12, 8)}
"""Outputs of 400 that are unread, and cut; of the other methods none is."""
_METHODS = {
    # method: correct of 400, interval, strict, format, length, repetition, reasoned, true paths
    "zero_shot": (211, (0.479, 0.576), 203, 0.97, 1.2, 0.01, 0.015, 0.005),
    "finetune": (219, (0.498, 0.596), 219, 1.0, 0.0, None, 0.0, 0.0),
    "sert": (284, (0.664, 0.752), 280, 0.96, 38.4, 0.31, 0.985, 0.42),
    "rd": (262, (0.607, 0.7), 262, 0.99, 61.7, 0.35, 1.0, 0.33),
    "sert+rd": (291, (0.683, 0.769), 290, 1.0, 60.1, 0.34, 1.0, 0.47),
}


def make_metrics(task: str = "lab_yes_no") -> dict[str, Any]:
    """A run of every method on one task with a verifier, and of two on a task without one."""
    metrics = {
        "name": "demo",
        "student": "lab",
        "seed": 0,
        "seeds": [0],
        "created": "2026-01-02T03:04:05Z",
        "sert_version": "0.1.0",
        "config_key": "0123456789ab",
        "tasks": [_task(task, majority="no", share=0.5275, left_out={"no answer given": 3}), _task("quiz")],
        "rows": [
            *(_row(task, method) for method in _METHODS),
            *(_row("quiz", method) | {"true_paths": None, "majority_accuracy": 0.25} for method in ("zero_shot", "rd")),
        ],
        "comparisons": [
            _comparison(task, "sert", "zero_shot", 0.1825, (0.1205, 0.2431), 0.00000004),
            _comparison(task, "rd", "finetune", 0.1075, (0.0436, 0.1704), 0.0011),
            _comparison(task, "sert+rd", "sert", 0.0175, (-0.0304, 0.0652), 0.5203),
        ],
        "funnel": [_funnel(task, *row) for row in _FUNNEL],
        "standings": make_standings(task),
        "latent": [
            _latent(task, "greedy", 1, 0.015, 6, 0.005, 0.005),
            _latent(task, "raw sampling", 5, 0.0895, 142, 0.021, 0.095),
            _latent(task, "branching", 5, 0.31, 371, 0.118, 0.49),
            _latent(task, "SERT greedy", 1, 0.985, 394, 0.42, 0.42),
        ],
        "selection": [
            {
                "task": task,
                "student": "lab",
                "variant": "main",
                "group": None,
                "questions": 800,
                "with_selected": 771,
                "selected_agree": 409,
                "selected_wrong": 301,
                "selected_unread": 55,
                "selected_cut": 6,
                "selected_true_share": 0.287,
                "mined_true_share": 0.083,
            }
        ],
        "judged": [make_judged(task) | {"seed": 0}],
        "warnings": [f"{task}: 29 train questions have no surviving path and train nothing"],
    }
    return summed(metrics)


def summed(metrics: dict[str, Any]) -> dict[str, Any]:
    """The same numbers, with the rows of single seeds summed up again."""
    return metrics | {"summary": summarize_seeds(metrics["rows"])}


def make_judged(task: str) -> dict[str, Any]:
    """Four hundred outputs and twelve planted texts, judged twice; eight replies failed."""
    agreement = {"mean_difference": 0.5, "equal_share": 0.6, "within_one_share": 0.9, "num_pairs": 408}
    gap = {"gap": 6.5, "good_mean": 8.5, "bad_mean": 2.0}
    return {
        "task": task,
        "student": "lab",
        "judge": "grader",
        "output": "lines",
        "replies": 824,
        "failures": {"no answer given": 8},
        "rows": [
            {"source": source, "n": n} | {name: _scores(n - failed, failed, mean) for name in CRITERIA}
            for source, n, failed, mean in (("good", 6, 0, 8.5), ("bad", 6, 0, 2.0), ("sert", 400, 4, 6.25))
        ],
        "calibration": {"separates": True, **dict.fromkeys(CRITERIA, gap)},
        "agreement": dict.fromkeys(CRITERIA, agreement),
    }


def _scores(scored: int, failed: int, mean: float) -> dict[str, Any]:
    return {"num_scored": scored, "num_failed": failed, "mean": mean, "interval": [mean - 0.2, mean + 0.2]}


_FUNNEL = [
    ("mined", 20000, 0, 0.083),
    ("imitation", 18240, 1760, 0.091),
    ("option_repetition", 18240, 0, 0.091),
    ("direct_response", 6310, 11930, 0.251),
    ("length", 5120, 1190, 0.261),
    ("repetition", 4470, 650, 0.27),
    ("perplexity", 4302, 168, 0.268),
    ("selected", 771, 3531, 0.287),
]


def make_paths(task: str = "lab_yes_no", text: str = " Mara keeps an owl.\nOwls fear thunder.") -> list[ShownPath]:
    """One path of every kind; the kept ones come last, so that the report has to sort."""
    ends = [(rule, False) for rule, *_ in _FUNNEL[1:-1]] + [(None, False), (None, True)]
    return [
        shown_path(
            task,
            f"q{number}",
            question="Does the pet of Mara fear thunder?",
            branch=number % 5,
            text=text,
            reason=reason,
            selected=selected,
            true=selected,
            num_tokens=30 + number,
            perplexity=float("inf") if number == 0 else 9.25,
        )
        for number, (reason, selected) in enumerate(ends)
    ]


def make_predictions(task: str = "lab_yes_no", text: str = " So the answer is no.") -> list[ShownPrediction]:
    """A wrong and a right output of two methods."""
    return [
        shown_prediction(
            task,
            f"t{number}",
            method=method,
            question="Does the pet of Otto like rain?",
            completion=text,
            gold="no",
            answer="no" if correct else None,
            correct=correct,
        )
        for method in ("zero_shot", "sert")
        for number, correct in enumerate((False, True))
    ]


def make_hostile(text: str = HOSTILE) -> tuple[dict[str, Any], list[ShownPath], list[ShownPrediction]]:
    """The same run with one text in every text field that a user, a file or a model fills."""
    metrics = make_metrics()
    standings = fill(metrics.pop("standings"), text, WORDS | GROUPS)
    metrics = fill(metrics, text, WORDS) | {"standings": standings}
    paths = [
        shown_path(text, text, question=text, text=text, reason=text),
        shown_path(text, text, question=text, text=text, selected=True, true=True),
    ]
    predictions = [
        shown_prediction(
            text, text, method=text, question=text, completion=text, gold=text, answer=answer, correct=True
        )
        for answer in (text, None)
    ]
    return metrics, paths, predictions


def fill(value: Any, text: str, kept: Collection[str] = ()) -> Any:
    """Put one text in place of every other, but of those that are kept."""
    if isinstance(value, dict):
        return {(text if key == "no answer given" else key): fill(each, text, kept) for key, each in value.items()}
    if isinstance(value, list):
        return [fill(each, text, kept) for each in value]
    return text if isinstance(value, str) and value not in kept else value


def _task(task: str, *, majority: str = "A", share: float = 0.25, left_out: dict[str, int] | None = None) -> dict:
    return {
        "task": task,
        "num_train": 1600,
        "num_dev": 0,
        "num_test": 400,
        "majority_answer": majority,
        "majority_accuracy": share,
        "chance_accuracy": 0.5 if majority == "no" else None,
        "chance_best": share,
        "left_out": left_out or {},
    }


def _row(task: str, method: str) -> dict[str, Any]:
    correct, interval, strict, fmt, length, repetition, reasoned, true_paths = _METHODS[method]
    trained = method != "zero_shot"
    return {
        "task": task,
        "student": "lab",
        "variant": "main",
        "group": None,
        "method": method,
        "seed": 0,
        "split": "test",
        "epoch_choice": "last" if trained else None,
        "primary": True,
        "harness": "clean",
        "votes": 1,
        "step": 4000 if trained else None,
        "n": 400,
        "correct": correct,
        "accuracy": correct / 400,
        "ci95": list(interval),
        "correct_strict": strict,
        "accuracy_strict": strict / 400,
        **_standing(strict, *_WITHOUT.get(method, (0, 0))),
        "format": fmt,
        "mean_length": length,
        "repetition": repetition,
        "reasoned": reasoned,
        "majority_accuracy": 0.5275,
        "train_examples": 1600 if trained else None,
        "train_steps": 4000 if trained else None,
        "true_paths": true_paths,
    }


def _standing(right: int, unread: int, cut: int) -> dict[str, Any]:
    answered = 400 - unread - cut
    shares = {"right": right, "wrong": answered - right, "unread": unread, "cut": cut}
    share = right / answered
    return {
        **{name: number / 400 for name, number in shares.items()},
        "answered": answered,
        "right_of_answered": share,
        "right_of_answered_ci95": [share - 0.05, share + 0.05],
    }


def _comparison(
    task: str, a: str, b: str, difference: float, interval: tuple[float, float], p_value: float
) -> dict[str, Any]:
    return {
        "task": task,
        "student": "lab",
        "group": None,
        "a": a,
        "b": b,
        "method": None,
        "difference": difference,
        "ci95": list(interval),
        "p_value": p_value / 2,
        "p_holm": p_value,
        "seeds": 1,
        "by_seed": [difference],
        "sd": None,
        "ci95_seeds": None,
        "n": 400,
        "detectable": 0.125,
        "test": "exact McNemar, paired by question",
        "standings": {"a": _shares(a), "b": _shares(b)},
        "both_answered": {
            "difference": difference,
            "ci95": list(interval),
            "p_value": p_value / 2,
            "p_holm": p_value,
            "n": 400,
            "share": 1.0,
        },
        "within_chance": False,
        "only_form": False,
    }


def _shares(method: str) -> dict[str, float]:
    row = _standing(_METHODS[method][2], *_WITHOUT.get(method, (0, 0)))
    return {name: row[name] for name in ("right", "wrong", "unread", "cut")}


def _group(task: str, of: str, name: str, hits: tuple[int, int, int, int], stopped: int = 0) -> dict[str, Any]:
    """Four numbers of one group of sampled outputs, of 400 questions; intervals are two points to each side."""
    total, answered = sum(hits) + stopped, hits[0] + hits[1]
    shares = dict(zip(("right", "wrong", "unread", "cut"), hits, strict=True))
    return {
        "task": task,
        "student": "lab",
        "of": of,
        "name": name,
        "paths": total,
        "questions": 400,
        **{each: _share(number, total) for each, number in shares.items()},
        "answered": _share(answered, total),
        "right_of_answered": _share(hits[0], answered),
        "stopped": _share(stopped, total) if stopped else None,
    }


def _share(hits: int, total: int) -> dict[str, Any]:
    share = hits / total
    return {"hits": hits, "of": total, "share": share, "ci95": [share - 0.02, share + 0.02], "questions": 400}


def make_standings(task: str = "lab_yes_no") -> list[dict[str, Any]]:
    """How sampled outputs stand, by decoding and of mined paths by what became of them, by rule and by branch."""
    return [
        _group(task, "decoding", "greedy", (203, 117, 60, 20)),
        _group(task, "decoding", "branching", (800, 700, 400, 100)),
        _group(task, "mined", "all", (8000, 7000, 3000, 1000), stopped=1000),
        _group(task, "mined", "kept", (3000, 1000, 300, 2)),
        _group(task, "mined", "dropped", (5000, 6000, 2700, 998), stopped=1000),
        _group(task, "rule", "length", (500, 500, 190, 0)),
        _group(task, "rule", "imitation", (900, 860, 0, 0)),
        _group(task, "branch", "0", (2000, 1500, 300, 200)),
        _group(task, "budget", "main", (8000, 7000, 3000, 1000), stopped=1000),
    ]


def _funnel(task: str, rule: str, remaining: int, dropped: int, true_share: float) -> dict[str, Any]:
    return {
        "task": task,
        "student": "lab",
        "rule": rule,
        "remaining": remaining,
        "share": remaining / 20000,
        "dropped": dropped,
        "true_share": true_share,
    }


def _latent(
    task: str, decoding: str, samples: int, reasoned: float, questions_reasoned: int, true: float, any_true: float
) -> dict[str, Any]:
    return {
        "task": task,
        "student": "lab",
        "decoding": decoding,
        "questions": 400,
        "samples": samples,
        "reasoned_share": reasoned,
        "questions_reasoned": questions_reasoned,
        "questions_reasoned_share": questions_reasoned / 400,
        "true_share": true,
        "questions_true_share": any_true,
    }
