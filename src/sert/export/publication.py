"""What is pushed to the hub: files that are as they were when they were finished, and a card."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from sert.errors import DataError
from sert.export.licences import Licences, Part
from sert.export.markdown import as_code, front_matter
from sert.export.measured import measured, measured_table
from sert.export.sources import Source
from sert.export.tables import USE, contents, opened_table
from sert.export.writing import CARD, TAGS, Exported, configurations, described
from sert.store.artifacts import Artifact, file_hash

_ABOUT = (
    "Results of Self-Enhanced Reasoning Training (arXiv 2502.12744): a small model's own paths of reasoning are mined "
    "by branching on its first token, filtered by rules that do not look at the answer, and trained on."
)
_BY_STUDENT = {"mine", "filter", "evaluate", "likelihood", "gain", "judge"}
_BY_TEACHER = {"teach", "judge"}


class Publication(NamedTuple):
    """A repository as it will be.

    Attributes:
        kind: What the hub calls it.
        files: Name in the repository -> file here.
        card: Its `README.md`.
        licences: Of its parts, and of the whole.
    """

    kind: Literal["model", "dataset"]
    files: Mapping[str, Path]
    card: str
    licences: Licences

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of every file, the card among them."""
        sizes = {name: file.stat().st_size for name, file in self.files.items()}
        return {CARD: len(self.card.encode()), **sizes}


def sealed_files(artifact: Artifact, names: Sequence[str]) -> dict[str, Path]:
    """Take files of a result: name -> file. What others put beside them is none.

    Raises:
        DataError: If one is missing, or is not as it was when the result was finished.
    """
    files = {name: artifact.file(name) for name in names}
    for name, file in files.items():
        try:
            same = file_hash(file) == artifact.manifest["outputs"][name]
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error}") from None
        if not same:
            raise DataError(f"{file} is not as it was when it was finished, and is not pushed so; see `sert verify`.")
    return files


def parts_in(sources: Sequence[Source]) -> list[Part]:
    """Say whose texts tables hold: those of questions always, a student's, a teacher's or a judge's where they do."""
    kinds = {source.kind for source in sources}
    trained = (texts_of_examples(source.artifact) for source in sources if source.kind == "train")
    texts = set[str]().union(*trained)
    parts: list[Part] = ["student"] if kinds & _BY_STUDENT or "path" in texts else []
    parts.append("question")
    return [*parts, "teacher"] if kinds & _BY_TEACHER or "rationale" in texts else parts


def texts_of_examples(trained: Artifact) -> set[str]:
    """Say what a training was on: `label`, `path`, `rationale`."""
    with opened_table(trained.file("examples.parquet")) as opened:
        return set(opened.read(columns=["source"]).column("source").to_pylist())


def publish_tables(sources: Sequence[Source], licences: Licences, *, title: str) -> Publication:
    """Gather the tables of results, each with its name of a configuration, and write the card.

    Raises:
        DataError: If there is no table, or one is damaged.
    """
    files, exported = dict[str, Path](), list[Exported]()
    for source in sources:
        tables = [name for name in source.artifact.manifest["outputs"] if name.endswith(".parquet") and "/" not in name]
        found = sealed_files(source.artifact, tables)
        named = {Path(name).stem: f"{source.name}.{name}" for name in found}
        exported.append(Exported(source, named, [_told(Path(name).stem, file) for name, file in found.items()]))
        files |= {f"{source.name}.{name}": file for name, file in found.items()}
    if not files:
        raise DataError("There is no table to push.")
    card = "\n".join([*_tables_card(exported, licences, title=title), ""])
    return Publication("dataset", files, card, licences)


def _told(name: str, table: Path) -> str:
    with opened_table(table) as opened:
        return contents(name, opened)


def _tables_card(exported: Sequence[Exported], licences: Licences, *, title: str) -> Iterator[str]:
    fields: dict[str, Any] = {**licences.fields, "tags": TAGS, "configs": configurations(exported)}
    yield from front_matter(fields)
    yield from (f"# {as_code(title)}", "", _ABOUT, "", USE)
    yield from licences.section()
    yield from measured_table([(each.source.name, row) for each in exported for row in measured(each.source)])
    yield from described(exported)
