"""The numbers of a grid: rows of every seed, their means and spread, comparisons over seeds, and pooled path_counts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sert.analysis import aggregate, path_counts
from sert.analysis.comparisons import Outcome, compare_amounts, compare_main, compare_means, compare_variants
from sert.analysis.path_comparisons import MinedPaths, compare_paths, mined_paths
from sert.analysis.run_numbers import TaskResults, funnel_rows, result_rows, selection_counts, task_row
from sert.config.grid import MAIN, Arm
from sert.config.tree import Method
from sert.stats.seeds import over_seeds

MEASURES = ("accuracy", "accuracy_strict", "format", "mean_length", "repetition", "reasoned", "true_paths")

Row = dict[str, Any]


@dataclass
class GridSummary:
    """Takes the results of one run after the other and keeps only what the tables need."""

    rows: list[Row] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    mined: list[MinedPaths] = field(default_factory=list)
    _tasks: dict[str, Row] = field(default_factory=dict)
    _counted: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    _groups: dict[str, str | None] = field(default_factory=dict)

    def add(self, arm: Arm, result: TaskResults) -> None:
        """Take the results of one run on one task."""
        about = {"student": arm.student, "task": result.task}
        of_variant = {**about, "variant": arm.variant, "group": arm.group}
        self._groups[arm.variant] = arm.group
        self._tasks.setdefault(result.task, task_row(result))
        for row in result_rows(result):
            self.rows.append({**of_variant, "seed": arm.seed, **row})
        self.outcomes += _outcomes(arm, result)
        if result.verdicts:
            self._count("selection", of_variant, [selection_counts(result)])
            if arm.group in (None, "budget"):
                mining = arm.config.mining
                shape = {"branches": mining.branches, "samples": mining.samples}
                self.mined.append(mined_paths(result, student=arm.student, variant=arm.variant, seed=arm.seed))
                self._count("budget", {**of_variant, **shape}, [path_counts.budget_row(result, arm.config.rules)])
        if arm.group == "rationales" or arm.variant == MAIN:
            self._count("amounts", {**of_variant, "seed": arm.seed}, _amounts(result))
        if arm.variant == MAIN:
            self._add_main(about, arm, result)

    def _add_main(self, about: Row, arm: Arm, result: TaskResults) -> None:
        self._count("bands", about, path_counts.band_rows(result))
        self._count("steps", {**about, "seed": arm.seed}, _steps(result))
        self._count("filtering", about, path_counts.filtering_rows(result, arm.config))
        if result.verdicts:
            self._count("funnel", about, funnel_rows(result))
            branches, bins = path_counts.first_token_rows(result)
            self._count("first_tokens", about, branches)
            self._count("first_token_bins", about, bins)
        if result.judged is not None:
            self._count("judged", {**about, "seed": arm.seed}, [dict(result.judged)])

    def _count(self, section: str, about: Mapping[str, Any], rows: Iterable[Row]) -> None:
        self._counted[section] += [{**about, **row} for row in rows]

    def tables(self) -> dict[str, Any]:
        """Build the tables of `metrics.json`; all shares are 0..1, what was not measured is None."""
        counted = self._counted
        main = [outcome for outcome in self.outcomes if outcome.variant == MAIN]
        return {
            "tasks": list(self._tasks.values()),
            "near_duplicates": [
                {"task": task, **pair} for task, row in self._tasks.items() for pair in row["near_duplicates"]
            ],
            "rows": self.rows,
            "summary": self._summary(),
            "comparisons": [*compare_main(main), *compare_variants(self.outcomes, self._groups)],
            "means": compare_means(main),
            "paths": compare_paths(self.mined),
            "amount_comparisons": compare_amounts(self.outcomes, counted["amounts"]),
            "funnel": aggregate.pool_funnel(counted["funnel"]),
            "selection": aggregate.pool_selection(counted["selection"]),
            "bands": aggregate.pool_bands(counted["bands"]),
            "filtering": aggregate.pool_filtering(counted["filtering"]),
            "first_tokens": aggregate.pool_first_tokens(counted["first_tokens"]),
            "first_token_bins": aggregate.pool_first_token_bins(counted["first_token_bins"]),
            "by_length": aggregate.accuracy_by(main, "lengths"),
            "by_repetition": aggregate.accuracy_by(main, "repetitions"),
            "steps": aggregate.pool_steps(counted["steps"]),
            "amounts": aggregate.pool_amounts(counted["amounts"]),
            "budget": aggregate.pool_budget(counted["budget"]),
            "judged": counted["judged"],
        }

    def _summary(self) -> list[Row]:
        keys = ("student", "task", "variant", "group", "method", "epoch_choice", "primary", "harness", "votes")
        grouped: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in self.rows:
            grouped[tuple(row.get(key) for key in keys)].append(row)
        return [
            {
                **dict(zip(keys, place, strict=True)),
                "n": rows[0]["n"],
                "seeds": len(rows),
                "correct": [row["correct"] for row in rows],
                "majority_accuracy": rows[0]["majority_accuracy"],
                "train_examples": [row["train_examples"] for row in rows],
                "untrained": sum(row["train_steps"] == 0 for row in rows),
                **{measure: _spread([row[measure] for row in rows]) for measure in MEASURES},
            }
            for place, rows in grouped.items()
        ]


def _spread(values: Sequence[float | None]) -> Row | None:
    known = [value for value in values if value is not None]
    return aggregate.spread_of(over_seeds(known)) if known else None


def _outcomes(arm: Arm, result: TaskResults) -> list[Outcome]:
    """Keep of each prediction what comparisons need: of the primary snapshot, and of the last one."""
    order = [question.question_id for question in result.test]
    kept = []
    for method, primary in result.predictions.items():
        by_id = {prediction.question_id: prediction for prediction in primary}
        last = {each.question_id: each for each in result.choices(method)[0].predictions}
        kept.append(
            Outcome(
                student=arm.student,
                task=result.task,
                variant=arm.variant,
                method=method,
                seed=arm.seed,
                trained=not result.is_untrained(method),
                correct=[by_id[name].correct_loose for name in order],
                correct_last=[last[name].correct_loose for name in order],
                lengths=[float(by_id[name].reasoning_tokens) for name in order],
                repetitions=[by_id[name].rep_1 if by_id[name].reasoning_tokens else None for name in order],
            )
        )
    return kept


def _amounts(result: TaskResults) -> list[Row]:
    """Say how right the distilled students are that were trained on this many rationales, at their last epoch."""
    methods: tuple[Method, ...] = ("rd", "sert+rd")
    return [
        {
            "method": method,
            "rationales": result.training[method]["examples"],
            "accuracy": sum(each.correct_loose for each in chosen.predictions) / len(chosen.predictions),
        }
        for method in methods
        if method in result.predictions
        for chosen in result.choices(method)[:1]
    ]


def _steps(result: TaskResults) -> list[Row]:
    return [
        {
            "method": method,
            "step": snapshot.step,
            "split": split,
            "accuracy": sum(each.correct_loose for each in predictions) / len(predictions),
        }
        for method, snapshots in result.snapshots.items()
        for snapshot in snapshots
        for split, predictions in (("dev", snapshot.dev), ("test", snapshot.test))
        if predictions
    ]
