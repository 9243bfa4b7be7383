"""Self-Enhanced Reasoning Training: make a small language model reason, and measure it honestly.

Each stage of the method is one function; each leaves one folder. See `sert.method` for how they fit together.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sert.config.load import load_config as load_config
    from sert.config.mining import MiningConfig as MiningConfig
    from sert.config.rules import RulesConfig as RulesConfig
    from sert.config.tree import Config as Config
    from sert.config.tree import EvaluationConfig as EvaluationConfig
    from sert.config.tree import StudentConfig as StudentConfig
    from sert.config.tree import TaskConfig as TaskConfig
    from sert.config.tree import TeacherConfig as TeacherConfig
    from sert.config.tree import TrainingConfig as TrainingConfig
    from sert.errors import SertError as SertError
    from sert.evaluation.prediction import evaluate as evaluate
    from sert.paths.filtering import filter_paths as filter_paths
    from sert.paths.mining import mine as mine
    from sert.runs.explore import explore as explore
    from sert.runs.prospect import prospect as prospect
    from sert.runs.run import report_run as report_run
    from sert.runs.run import run as run
    from sert.store.artifacts import Artifact as Artifact
    from sert.store.artifacts import open_artifact as open_artifact
    from sert.student.source import trained_student as trained_student
    from sert.student.training.examples import read_examples as read_examples
    from sert.student.training.stage import train as train
    from sert.tasks.load import load_task as load_task
    from sert.teacher.rationales import teach as teach

# Where each public name lives. Names are imported when they are first used: importing sert must not import torch.
_HOMES = {
    "Artifact": "sert.store.artifacts",
    "Config": "sert.config.tree",
    "EvaluationConfig": "sert.config.tree",
    "MiningConfig": "sert.config.mining",
    "RulesConfig": "sert.config.rules",
    "SertError": "sert.errors",
    "StudentConfig": "sert.config.tree",
    "TaskConfig": "sert.config.tree",
    "TeacherConfig": "sert.config.tree",
    "TrainingConfig": "sert.config.tree",
    "evaluate": "sert.evaluation.prediction",
    "explore": "sert.runs.explore",
    "filter_paths": "sert.paths.filtering",
    "load_config": "sert.config.load",
    "load_task": "sert.tasks.load",
    "mine": "sert.paths.mining",
    "open_artifact": "sert.store.artifacts",
    "prospect": "sert.runs.prospect",
    "read_examples": "sert.student.training.examples",
    "report_run": "sert.runs.run",
    "run": "sert.runs.run",
    "teach": "sert.teacher.rationales",
    "train": "sert.student.training.stage",
    "trained_student": "sert.student.source",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sert' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
