"""Limits of rules that are percentiles of the mined paths, as numbers."""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from sert.config.rules import RulesConfig
from sert.errors import DataError
from sert.paths.rules import perplexity_of
from sert.records import Path


def named_limits(config: RulesConfig) -> str:
    """Name the limits that are percentiles, as they were set."""
    return " and ".join(f'rules.{setting} = "{getattr(config, setting)}"' for setting in config.percentiles)


def found_limits(paths: Iterable[Path], config: RulesConfig) -> dict[str, float]:
    """Find the limits that are percentiles: setting -> perplexity. The paths are gone through only if there are any.

    A percentile is that of all the paths with a finite perplexity (`RulesConfig.perplexity_over` says of which tokens),
    before any rule: between two of them it is interpolated linearly, as `numpy.percentile` does by default.

    Raises:
        DataError: If paths were cut short while mining, so that their perplexity is not known, or none has one.
    """
    if not config.percentiles:
        return {}
    known, cut_short = list[float](), 0
    for path in paths:
        measured = perplexity_of(path, config)
        cut_short += path.stopped_early
        if math.isfinite(measured):
            known.append(measured)
    if cut_short:
        raise DataError(
            f"{named_limits(config)}: a percentile is one of all paths, but {cut_short} were cut short while mining, "
            "and their perplexity is unknown. Give a number, or mine again with `--keep-all`."
        )
    if not known:
        raise DataError(
            f"{named_limits(config)}: no path has a finite perplexity to take a percentile of. Give a number."
        )
    return {setting: float(np.percentile(known, percentage)) for setting, percentage in config.percentiles.items()}


def with_limits(config: RulesConfig, limits: Mapping[str, float]) -> RulesConfig:
    """Put the limits that were found in the places of the percentiles."""
    return config.model_copy(update=dict(limits))
