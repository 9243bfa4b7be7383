"""Self-Enhanced Reasoning Training: make a small language model reason, and measure it honestly.

Each stage of the method is one function; each leaves one folder. See `sert.method` for how they fit together.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sert.config.load import load_config
    from sert.config.tree import (
        Config,
        EvaluationConfig,
        MiningConfig,
        RulesConfig,
        StudentConfig,
        TaskConfig,
        TeacherConfig,
        TrainingConfig,
    )
    from sert.errors import SertError
    from sert.evaluation.prediction import evaluate
    from sert.paths.filtering import filter_paths
    from sert.paths.mining import mine
    from sert.runs.run import report_run, run
    from sert.store.artifacts import Artifact, open_artifact
    from sert.student.source import trained_student
    from sert.student.training.examples import read_examples
    from sert.student.training.stage import train
    from sert.tasks.load import load_task
    from sert.teacher.rationales import teach

# Where each public name lives. Names are imported when they are first used: importing sert must not import torch.
_HOMES = {
    "Artifact": "sert.store.artifacts",
    "Config": "sert.config.tree",
    "EvaluationConfig": "sert.config.tree",
    "MiningConfig": "sert.config.tree",
    "RulesConfig": "sert.config.tree",
    "SertError": "sert.errors",
    "StudentConfig": "sert.config.tree",
    "TaskConfig": "sert.config.tree",
    "TeacherConfig": "sert.config.tree",
    "TrainingConfig": "sert.config.tree",
    "evaluate": "sert.evaluation.prediction",
    "filter_paths": "sert.paths.filtering",
    "load_config": "sert.config.load",
    "load_task": "sert.tasks.load",
    "mine": "sert.paths.mining",
    "open_artifact": "sert.store.artifacts",
    "read_examples": "sert.student.training.examples",
    "report_run": "sert.runs.run",
    "run": "sert.runs.run",
    "teach": "sert.teacher.rationales",
    "train": "sert.student.training.stage",
    "trained_student": "sert.student.source",
}

__all__ = [
    "Artifact",
    "Config",
    "EvaluationConfig",
    "MiningConfig",
    "RulesConfig",
    "SertError",
    "StudentConfig",
    "TaskConfig",
    "TeacherConfig",
    "TrainingConfig",
    "evaluate",
    "filter_paths",
    "load_config",
    "load_task",
    "mine",
    "open_artifact",
    "read_examples",
    "report_run",
    "run",
    "teach",
    "train",
    "trained_student",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sert' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
