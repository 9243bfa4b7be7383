"""Jobs are data: every stage of what is shipped can be made in another process, to the same bytes."""

import json
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from recorded_log import log_of, make_block
from sert.config.grid import Grid, load_grid, shipped_grids
from sert.config.load import load_config
from sert.config.tree import Config, StudentConfig
from sert.lab import DEMO_CONFIG
from sert.runs.build import build_arms, distinct_stages
from sert.runs.request import Request
from sert.store.artifacts import content_key, open_artifact
from sert.store.stage import Stage, key_of
from sert.terminal.progress import Silent

CONFIGS = [DEMO_CONFIG, *sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))]
SMALL = [
    "mining.max_new_tokens=12",
    "mining.samples=2",
    "training.max_steps=2",
    "evaluation.max_new_tokens=12",
    "rules.min_tokens=2",
    "rules.min_perplexity=1.0",
]


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Small files of the forms and names that the shipped configurations read, in the current folder."""
    folder = tmp_path_factory.mktemp("run")
    for name in ("strategyqa", "commonsenseqa", "teacher", "arc-easy", "multiarith"):
        (folder / "data" / name).mkdir(parents=True)
    asked = [f"Could {content_key(number)} be {content_key(-number)}?" for number in range(1, 301)]
    scores = [{"Yes": 1 - place % 2, "No": place % 2} for place in range(len(asked))]
    examples = [{"input": text, "target_scores": score} for text, score in zip(asked, scores, strict=True)]
    (folder / "data/strategyqa/task.json").write_text(json.dumps({"examples": examples}))
    (folder / "data/strategyqa/split.json").write_text(json.dumps({"train": [*range(296)], "test": [*range(296, 300)]}))
    log = log_of(*(make_block(question, " It has legs.") for question in asked[:296]))
    (folder / "data/teacher/strategyqa_zero_shot_cot.log").write_text(log)
    for split, places in (("train", range(296)), ("dev", range(296, 300))):
        choices = [{"label": letter, "text": f"{letter.lower()} thing"} for letter in "ABCDE"]
        rows = [
            {"id": f"{split}{place}", "question": {"stem": asked[place], "choices": choices}, "answerKey": "B"}
            for place in places
        ]
        (folder / f"data/commonsenseqa/{split}_rand_split.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
        hub_rows = [
            {
                "id": row["id"],
                "question": row["question"]["stem"],
                "choices": {"text": [choice["text"] for choice in choices], "label": [*"ABCDE"]},
                "answerKey": "B",
            }
            for row in rows
        ]
        file = folder / f"data/arc-easy/{'train' if split == 'train' else 'test'}.jsonl"
        file.write_text("\n".join(map(json.dumps, hub_rows)) + "\n")
    sums = [{"iIndex": number, "sQuestion": text, "lSolutions": [number]} for number, text in enumerate(asked)]
    (folder / "data/multiarith/MultiArith.json").write_text(json.dumps(sums))
    (folder / "data/teacher/multiarith_zero_shot_cot.log").write_text(log)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


def shipped(*overrides: str, limit: int | None = None) -> Iterator[Config | Grid]:
    for file in CONFIGS:
        config = load_config(file, overrides=overrides, limit=limit)
        yield config.model_copy(update={"student": without_file(config.student)})
    for name in shipped_grids():
        grid = load_grid(name, overrides=overrides, limit=limit)
        students = {label: without_file(student) for label, student in grid.students.items()}
        yield grid.model_copy(update={"students": students})


def without_file(student: StudentConfig) -> StudentConfig:
    """Name a student on the hub instead of a file that is fetched first."""
    return student.model_copy(update={"path": "gpt2"}) if student.path.endswith(".gguf") else student


def stages_of(asked: Config | Grid, out: Path) -> list[Stage]:
    return distinct_stages(build_arms(Request.of(asked).arms, out=out, reporter=Silent()))


def few(asked: Config | Grid) -> Config | Grid:
    """Take one seed and one student of a grid."""
    if isinstance(asked, Config):
        return asked.model_copy(update={"student": asked.student.model_copy(update={"path": "lab"})})
    student = next(iter(asked.students.values())).model_copy(update={"path": "lab"})
    variants = {name: each.model_copy(update={"seeds": 1}) for name, each in asked.variants.items()}
    return asked.model_copy(update={"students": {"lab": student}, "seeds": asked.seeds[:1], "variants": variants})


def outputs(stages: Iterable[Stage]) -> dict[str, object]:
    return {stage.folder.name: open_artifact(stage.folder).manifest["outputs"] for stage in stages}


class Travelled(NamedTuple):
    """Stages that went to another process: those whose keys it told, the keys, and those that it made, by this one."""

    told: list[Stage]
    keys: list[str]
    made: list[tuple[list[Stage], list[Stage]]]


ELSEWHERE = """
import pickle, sys
from sert.store.stage import key_of
from sert.terminal.progress import Silent
told, made = pickle.load(sys.stdin.buffer)
print(*[key_of(stage.job) for stage in told])
for stage in made:
    stage.make(Silent())
"""


@pytest.fixture(scope="module")
def travelled(data: Path, full: bool) -> Travelled:
    told = [stage for asked in shipped() for stage in stages_of(asked, data / "out")]
    one_task = "tasks={lab-choice = {kind = 'lab_choice', limit = 2}}"
    every = shipped(*SMALL, limit=2) if full else [load_config(DEMO_CONFIG, overrides=[*SMALL, one_task])]
    places = [
        (stages_of(asked, data / f"here{number}"), stages_of(asked, data / f"there{number}"))
        for number, asked in enumerate(map(few, every))
    ]
    sent = pickle.dumps((told, [stage for _, there in places for stage in there]))
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], input=sent, stdout=subprocess.PIPE, check=True)
    return Travelled(told, done.stdout.decode().split(), places)


def test_every_shipped_stage_pickles_and_knows_its_key_in_another_process(travelled: Travelled) -> None:
    assert len(travelled.told) > 900
    assert {stage.job.kind for stage in travelled.told} == {"mine", "filter", "train", "teach", "evaluate"}
    assert travelled.keys == [key_of(stage.job) for stage in travelled.told]


@pytest.mark.soak
def test_every_shipped_stage_makes_the_same_bytes_in_another_process(travelled: Travelled) -> None:
    assert travelled.made
    for here, there in travelled.made:
        for stage in here:
            stage.make(Silent())
        assert outputs(here) == outputs(there)
