"""Question sets on the hub and in local data set folders, as the `datasets` package reads them."""

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from sert.config.tree import TaskConfig
from sert.errors import DataError
from sert.tasks.features import class_names, with_class_names
from sert.tasks.rows import Record, bounded
from sert.terminal.text import cut, shorten

_SCRIPT, _NO_NETWORK = "scripts are no longer supported", "Couldn't reach "  # as `datasets` puts it


def read_hub(config: TaskConfig, split: str) -> Iterator[Record]:
    """Read one split of a hub set or a local data set folder.

    Raises:
        DataError: If the `datasets` package is missing, or the set or its split cannot be loaded, with what mends it.
    """
    assert config.hub is not None
    try:
        import datasets
    except ImportError:
        raise DataError(
            f"Reading {config.hub} needs the `datasets` package: pip install 'sert[hub]'. Files need it not."
        ) from None
    hub = os.path.expanduser(config.hub)
    try:
        rows = datasets.load_dataset(hub, config.hub_config, revision=config.hub_revision, split=split)
        names = class_names(rows.features.to_dict())
        for index, columns in enumerate(bounded(rows, config.hub)):
            where = f"{config.hub}, split {split}, row {index + 1}"
            yield Record(where, index, with_class_names(columns, names))
    except DataError:
        raise
    # A set's files are read by libraries of many kinds, whose errors have no common type.
    except Exception as error:
        remedy = _remedy(datasets, hub, config, str(error))
        said = cut(" ".join(f"{type(error).__name__}: {error}".split()), most=400)
        raise DataError(f"The split {split!r} of {config.hub} cannot be loaded{remedy} ({said})") from None


def _remedy(datasets: Any, hub: str, config: TaskConfig, said: str) -> str:
    if _SCRIPT in said:
        return (
            ": it comes with a loading script, a program, which is not run. Set hub_revision = "
            "'refs/convert/parquet', where the hub keeps copies of sets as Parquet, or download such a copy and give "
            "its files as data and test_data."
        )
    if _NO_NETWORK in said:
        return (
            ": the hub cannot be reached from here. Without a network give files of the same questions: data = 'FILE'."
        )
    names = list[str]()
    with suppress(Exception):  # whatever keeps the set from being loaded may keep its configurations from being listed
        names = datasets.get_dataset_config_names(hub, revision=config.hub_revision)
    if config.hub_config is None and len(names) > 1:
        return f": it has several configurations; set hub_config to one of {shorten(names, most=400)[1:-1]}."
    if config.hub_config is not None and names and config.hub_config not in names:
        return f": it has no configuration {config.hub_config!r}; set hub_config to one of {shorten(names)[1:-1]}."
    return "."
