"""The public surface, pinned: a name is added or removed here on purpose or not at all."""

import ast
import importlib
import inspect
import pkgutil
from pathlib import Path

import pytest

import sert

NAMES = [
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
    "explore",
    "filter_paths",
    "load_config",
    "load_task",
    "mine",
    "open_artifact",
    "prospect",
    "read_examples",
    "report_run",
    "run",
    "teach",
    "train",
    "trained_student",
]


def test_the_list_is_pinned_and_sorted():
    assert sert.__all__ == NAMES == sorted(NAMES)
    assert list(sert._HOMES) == NAMES


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(sert.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "typing"]
    seen = {alias.name: node.module for node in imports for alias in node.names}
    assert seen == sert._HOMES


def test_no_name_is_also_a_module():
    # Importing such a module would put it in the place of the name: `sert.x()` works once, then never again.
    assert {module.name for module in pkgutil.iter_modules(sert.__path__)} & set(NAMES) == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_name_resolves_to_its_home_and_is_documented(name):
    home = importlib.import_module(sert._HOMES[name])
    public = getattr(sert, name)
    assert public is getattr(home, name)
    assert public.__module__ == sert._HOMES[name]
    assert inspect.getdoc(public)
    # A dataclass without a docstring is given its signature as one.
    assert not public.__doc__.startswith(f"{name}(")


def test_functions_take_at_most_two_positional_arguments():
    for name in filter(str.islower, NAMES):
        function = getattr(importlib.import_module(sert._HOMES[name]), name)
        kinds = [parameter.kind for parameter in inspect.signature(function).parameters.values()]
        assert kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD) <= 2, name


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'mien'"):
        _ = sert.mien
