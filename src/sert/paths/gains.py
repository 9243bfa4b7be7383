"""The gains of mined paths, for a selection that goes by them: it looks at the gold answer, and says so."""

import itertools
from collections.abc import Sequence

from sert.errors import ConfigError, DataError
from sert.paths.selection import Gains
from sert.records import Gain, Path, PathKey
from sert.store.artifacts import Artifact
from sert.store.stage import Result
from sert.store.tables import StoredTable

LOOKS_AT_GOLD = (
    'selection.order = "gain" looks at the gold answer: of each question\'s surviving paths the one is selected that '
    "raises its likelihood the most"
)
"""What people are told wherever paths are selected so."""


class PathGains:
    """Hands out the gains of paths in the order in which they were mined.

    Raises:
        ConfigError: If there are none.
        DataError: If they are those of other paths.
    """

    def __init__(self, gains: Result | None, mined: Artifact) -> None:
        if gains is None:
            raise ConfigError(
                'selection.order = "gain" goes by what the student that mined the paths says of the gold answer: give '
                "that student (--student), or the gains that it gave (`sert.evaluation.gains.score_gains`)."
            )
        found = gains.open()
        if found.manifest["stage"] != "gain" or mined.key not in found.manifest.get("inputs", {}).values():
            raise DataError(f"{found.folder} does not hold the gains of the paths in {mined.folder}; score these.")
        self._folder = found.folder
        self._rows = iter(StoredTable(found.file("gains.parquet"), Gain))

    def of(self, paths: Sequence[Path]) -> Gains:
        """Take those of the next paths."""
        rows = itertools.islice(self._rows, len(paths))
        known = {PathKey(each.question_id, each.branch or 0, each.sample or 0): each.nats for each in rows}
        if known.keys() != {path.key for path in paths}:
            raise DataError(f"{self._folder} is damaged: its rows are not those of the paths. Score them again.")
        return known
