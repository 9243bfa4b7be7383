"""The numbers of a report: rows of every seed, their means and spread, comparisons over seeds, and counts added up.

A run is a grid with one arm: one student, one seed, nothing varied.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sert.analysis import run_numbers
from sert.analysis.aggregate import POOLED, accuracy_by, average_amounts, average_steps, pool, spread_of
from sert.analysis.comparisons import Outcome, compare_amounts, compare_main, compare_means, compare_variants
from sert.analysis.forgetting import HeldOutOutcome, forgetting_rows, held_out_outcomes
from sert.analysis.four_numbers import Group, Standings
from sert.analysis.gains import GainNumbers
from sert.analysis.likelihood import LikelihoodOutcome, likelihood_outcomes, likelihood_rows
from sert.analysis.path_comparisons import MinedPaths, compare_paths, mined_paths
from sert.analysis.scored_paths import band_rows, judged_filtering_rows
from sert.analysis.task_results import TaskResults
from sert.config.grid import MAIN, Arm
from sert.report.columns import MEASURES
from sert.stats.counts import Row, grouped

_SUMMED = ("student", "task", "variant", "group", "method", "epoch_choice", "primary", "harness", "votes")


class GridNumbers:
    """Takes the results of one run after the other and keeps only what the tables need."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._outcomes: list[Outcome] = []
        self._mined: list[MinedPaths] = []
        self._held_out: list[HeldOutOutcome] = []
        self._likelihood: list[LikelihoodOutcome] = []
        self._gains = GainNumbers()
        self._tasks: dict[str, Row] = {}
        self._groups: dict[str, str | None] = {}
        self._counted: dict[str, list[Row]] = defaultdict(list)
        self._standings: dict[tuple[str, str], Standings] = defaultdict(Standings)

    def add(self, arm: Arm, result: TaskResults) -> None:
        """Take the results of one run on one task."""
        about = {"student": arm.student, "task": result.task}
        of_variant = {**about, "variant": arm.variant, "group": arm.group}
        self._groups[arm.variant] = arm.group
        self._tasks.setdefault(result.task, run_numbers.task_row(result))
        self._rows += [{**of_variant, "seed": arm.seed, **row} for row in run_numbers.result_rows(result)]
        self._outcomes += run_numbers.outcomes(arm, result)
        self._count("limits", {**of_variant, "seed": arm.seed}, run_numbers.limit_rows(result))
        self._likelihood += likelihood_outcomes(arm, result)
        if result.trained_on:
            self._count("selection", of_variant, [result.trained_on.selection_row()])
        if arm.group in (None, "budget") and result.mined:
            shape = {"branches": arm.config.mining.branches, "samples": arm.config.mining.samples}
            self._mined.append(mined_paths(arm, result.task, result.mined))
            self._count("budget", {**of_variant, **shape}, [result.mined.budget_row()])
            as_budget: Mapping[Group, Group] = {("mined", "all"): ("budget", arm.variant)}
            self._standings[arm.student, result.task].add_all(result.mined.standings, renamed=as_budget)
        if arm.group == "rationales" or arm.variant == MAIN:
            self._count("amounts", {**of_variant, "seed": arm.seed}, run_numbers.amount_rows(result))
        if arm.variant == MAIN:
            self._add_main(about, arm, result)

    def _add_main(self, about: Row, arm: Arm, result: TaskResults) -> None:
        self._held_out += held_out_outcomes(arm, result)
        self._gains.add(arm, result)
        standings = self._standings[arm.student, result.task]
        decoded = run_numbers.look_at_decodings(result)
        standings.add_all(decoded.standings)
        self._count("latent", about, decoded.rows)
        self._count("bands", about, band_rows(result))
        self._count("steps", {**about, "seed": arm.seed}, run_numbers.step_rows(result))
        if result.mined:
            standings.add_all(result.mined.standings)
            self._count("funnel", about, result.mined.funnel_rows())
            self._count("filtering", about, result.mined.filtering_rows())
            self._count("first_tokens", about, result.mined.branch_rows())
            self._count("first_token_bins", about, result.mined.bin_rows())
        self._count("filtering", about, judged_filtering_rows(result))
        if result.judged is not None:
            self._count("judged", {**about, "seed": arm.seed}, [dict(result.judged)])

    def _count(self, section: str, about: Mapping[str, Any], rows: Iterable[Row]) -> None:
        self._counted[section] += [{**about, **row} for row in rows]

    def tables(self) -> dict[str, Any]:
        """Build the tables of `metrics.json`; all shares are 0..1, what was not measured is None."""
        counted = self._counted
        main = [outcome for outcome in self._outcomes if outcome.variant == MAIN]
        chances = {task: row["chance_best"] for task, row in self._tasks.items()}
        return {
            "tasks": list(self._tasks.values()),
            "near_duplicates": [
                {"task": task, **pair} for task, row in self._tasks.items() for pair in row["near_duplicates"]
            ],
            "rows": self._rows,
            "summary": summarize_seeds(self._rows),
            "standings": [
                {"student": student, "task": task, **row}
                for (student, task), standings in self._standings.items()
                for row in standings.rows()
            ],
            "comparisons": [
                *compare_main(main, chances=chances),
                *compare_variants(self._outcomes, self._groups, chances=chances),
            ],
            "means": compare_means(main),
            "likelihood": likelihood_rows(self._likelihood),
            "forgetting": forgetting_rows(self._held_out),
            **self._gains.tables(),
            "paths": compare_paths(self._mined),
            "amount_comparisons": compare_amounts(self._outcomes, counted["amounts"], chances=chances),
            **{section: pool(section, counted[section]) for section in POOLED},
            "by_length": accuracy_by(main, "lengths"),
            "by_repetition": accuracy_by(main, "repetitions"),
            "steps": average_steps(counted["steps"]),
            "limits": counted["limits"],
            "amounts": average_amounts(counted["amounts"]),
            "judged": counted["judged"],
        }


def summarize_seeds(rows: Sequence[Row]) -> list[Row]:
    """Sum up the rows of single seeds, a row for each student, task, variant, method and choice of the epoch."""
    return [
        {
            **key,
            "n": of_seeds[0]["n"],
            "seeds": len(of_seeds),
            **{count: [row[count] for row in of_seeds] for count in ("correct", "correct_strict", "answered")},
            "majority_accuracy": of_seeds[0]["majority_accuracy"],
            "train_examples": [row["train_examples"] for row in of_seeds],
            "untrained": sum(row["train_steps"] == 0 for row in of_seeds),
            **{measure.key: _spread([row[measure.key] for row in of_seeds]) for measure in MEASURES},
        }
        for key, of_seeds in grouped(rows, *_SUMMED)
    ]


def _spread(values: Sequence[float | None]) -> Row | None:
    known = [value for value in values if value is not None]
    return spread_of(known) if known else None
