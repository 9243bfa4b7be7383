"""The house rules of `docs/design.md`, read from the source itself."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "sert"
FILES = sorted(SOURCE.rglob("*.py"))

# The house from the ground up: a room imports rooms of lower rows, and what is in itself. Rooms of one row do not know
# each other. The longest name that fits a module is its room.
ROOMS = """
errors records seeds lab lab.world
files stats terminal lab.corpus
config
store
endpoint tasks student.kernels
lab.verifier student.speed
lab.oracle student
student.decoding
student.training student.served
lab.build doctor teacher judge evaluation paths export
method
report
analysis
runs
cli
__main__
"""
HEIGHTS = {f"sert.{room}": height for height, row in enumerate(ROOMS.strip().splitlines()) for room in row.split()}
HEIGHTS["sert"] = len(HEIGHTS)  # the public names, of every room
MAX_ROOT_MODULES = 8
MAX_METHOD_LINES = 130

# Stages meet in folders. What one may still take from another is pure and has one definition for both.
SHARED_BY_STAGES = {
    ("sert.evaluation.grading", "sert.paths.rules"): {"is_reasoned", "rep_n", "words_of"},  # predictions as paths are
}

# Code that works on any question set knows nothing of the lab; these are the doors.
LAB_DOORS = {
    ("sert.tasks.lab", "sert.lab.world"),
    ("sert.teacher.sources", "sert.lab.oracle"),
    ("sert.teacher.sources", "sert.lab.world"),
    ("sert.analysis.results", "sert.lab.verifier"),
    ("sert.analysis.results", "sert.lab.world"),
    ("sert.cli.runs", "sert.lab"),
    ("sert.cli.listings", "sert.lab.build"),
}

HEAVY = {"torch", "transformers", "accelerate", "tokenizers", "datasets", "httpx2", "anyio", "ray"}
# The rooms in which a module may load torch when it is imported.
TORCH_ROOMS = {"sert.student.kernels", "sert.student.speed", "sert.student.decoding", "sert.student.training"}

UNSAFE_IMPORTS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
UNSAFE_CALLS = {"eval", "exec", "torch.load", "pickle.load", "pickle.loads"}
PRINTING_MODULES = {"sert.terminal.progress"}

MAX_LINES = 350


def name_of(file: Path) -> str:
    parts = ["sert", *file.relative_to(SOURCE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {name_of(file): ast.parse(file.read_text(encoding="utf-8")) for file in FILES}


def imports_of(tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """Yield (module, imported name) of each import anywhere below; the name is None for plain imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used here"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield (whole, None) if whole in TREES else (str(node.module), alias.name)


def on_import(tree: ast.Module) -> ast.Module:
    """Keep what runs when the module is imported: no functions, nothing for type checkers."""

    class Pruner(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        visit_AsyncFunctionDef = visit_FunctionDef

        def visit_If(self, node: ast.If) -> ast.AST | None:
            is_typing = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
            return None if is_typing else self.generic_visit(node)

    return Pruner().visit(ast.parse(ast.unparse(tree)))


def room_of(module: str) -> str:
    """Name the room of a module; `sert` itself stands for the package file alone."""
    known = [room for room in HEIGHTS if module == room or (room != "sert" and module.startswith(f"{room}."))]
    return max(known, key=len)


def wrong_imports(module: str, tree: ast.AST) -> list[str]:
    """Name the imports of one module that run upwards, or across to another room of its row."""
    wrong, room = [], room_of(module)
    for target, imported in imports_of(tree):
        if target.split(".")[0] != "sert" or room_of(target) == room:
            continue
        shared = imported in SHARED_BY_STAGES.get((module, target), set())
        if not shared and HEIGHTS[room_of(target)] >= HEIGHTS[room]:
            wrong.append(f"{module} imports {imported or 'all'} of {target}")
    return wrong


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Find the circles of a graph: a depth-first search meets what it has not left yet."""
    found: list[list[str]] = []
    left, way = set[str](), list[str]()

    def visit(name: str) -> None:
        if name in way:
            found.append([*way[way.index(name) :], name])
        elif name not in left:
            way.append(name)
            for target in sorted(edges.get(name, ())):
                visit(target)
            left.add(way.pop())

    for name in edges:
        visit(name)
    return found


@cache
def heavy_modules() -> set[str]:
    """Find the modules that load a large library when they are imported, themselves or by what they import."""
    loaded = {module: {target for target, _ in imports_of(on_import(tree))} for module, tree in TREES.items()}
    heavy = set[str]()
    while new := {module for module in loaded.keys() - heavy if is_heavy(loaded[module], heavy)}:
        heavy |= new
    return heavy


def is_heavy(targets: set[str], heavy: set[str]) -> bool:
    return any(target.split(".")[0] in HEAVY or target in heavy for target in targets)


def heavy_imports(module: str, tree: ast.Module) -> list[str]:
    """Name the imports by which importing this module loads torch or another large library."""
    if room_of(module) in TORCH_ROOMS:
        return []
    found = (target for target, _ in imports_of(on_import(tree)))
    return [target for target in found if is_heavy({target}, heavy_modules())]


def unsafe_uses(tree: ast.AST) -> list[str]:
    """Name what could run code out of data."""
    imported = [target for target, _ in imports_of(tree) if target.split(".")[0] in UNSAFE_IMPORTS]
    called = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [*imported, *(name for name in called if name in UNSAFE_CALLS)]


def prints(tree: ast.AST) -> list[int]:
    """Find the lines that call `print`."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


def test_every_module_is_read_and_every_room_is_there():
    assert {"sert", "sert.method", "sert.student.decoding.engine", "sert.lab.build"} <= TREES.keys()
    assert {room_of(module) for module in TREES} == HEIGHTS.keys()


def test_no_modules_import_each_other():
    """In no room and at no time: imports within functions count, too."""
    edges = {module: {target for target, _ in imports_of(tree)} - {module} for module, tree in TREES.items()}
    assert circles(edges) == []


def test_the_root_holds_few_modules():
    assert len(list(SOURCE.glob("*.py"))) <= MAX_ROOT_MODULES


def test_the_method_fits_one_screen():
    assert len((SOURCE / "method.py").read_text(encoding="utf-8").splitlines()) <= MAX_METHOD_LINES
    graph = TREES["sert.method"]
    kinds = [type(node) for node in graph.body]
    assert (kinds.count(ast.FunctionDef), kinds.count(ast.ClassDef)) == (1, 1)
    assert not [node for node in ast.walk(graph) if isinstance(node, ast.Lambda)]


@pytest.mark.parametrize("module", TREES)
def test_imports_run_one_way(module):
    assert wrong_imports(module, TREES[module]) == []


def test_what_stages_share_is_still_shared():
    used = {
        (module, target): {name for found, name in imports_of(TREES[module]) if found == target}
        for module, target in SHARED_BY_STAGES
    }
    assert used == SHARED_BY_STAGES


def test_the_lab_is_entered_by_its_doors():
    entries = {
        (module, target)
        for module, tree in TREES.items()
        for target, _ in imports_of(tree)
        if target.startswith("sert.lab") and not module.startswith("sert.lab")
    }
    assert entries == LAB_DOORS


@pytest.mark.parametrize("module", TREES)
def test_large_libraries_are_imported_where_they_are_used(module):
    assert heavy_imports(module, TREES[module]) == []


@pytest.mark.parametrize("module", TREES)
def test_nothing_runs_code_out_of_data(module):
    assert unsafe_uses(TREES[module]) == []


def test_only_the_reporter_prints():
    assert [module for module, tree in TREES.items() if prints(tree) and module not in PRINTING_MODULES] == []


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_modules_are_short(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("sert.student.load", "from sert.paths import mining"),
        ("sert.store.tables", "def late():\n    import sert.tasks.load"),
        ("sert.teacher.rationales", "from sert.paths.rules import rep_n"),
        ("sert.evaluation.grading", "from sert.paths.filtering import filter_paths"),
        ("sert.lab.world", "from sert.lab.build import STEPS"),
        ("sert.student.decoding.engine", "from sert.paths import mining"),
        ("sert.records", "import sert"),
    ],
)
def test_a_wrong_import_is_seen(module, code):
    assert len(wrong_imports(module, ast.parse(code))) == 1


def test_a_circle_is_seen():
    assert circles({"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set()}) == [["a", "b", "c", "a"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize(
    "code",
    [
        "from torch import Tensor",
        "import torch.nn",
        "try:\n    import datasets\nexcept ImportError:\n    pass",
        "from sert.student.training.loop import loss_sum",
        "class Late:\n    import transformers",
    ],
)
def test_a_heavy_import_is_seen(code):
    assert len(heavy_imports("sert.paths.mining", ast.parse(code))) == 1


def test_a_late_import_is_not_heavy():
    code = "if TYPE_CHECKING:\n    import torch\ndef late():\n    import torch"
    assert heavy_imports("sert.paths.mining", ast.parse(code)) == []


@pytest.mark.parametrize("code", ["import pickle", "x = torch.load(f)", "eval('1')", "def f():\n    exec(text)"])
def test_an_unsafe_use_is_seen(code):
    assert len(unsafe_uses(ast.parse(code))) == 1


def test_an_evaluation_mode_is_no_eval():
    assert unsafe_uses(ast.parse("model.eval()\nre.compile('x')")) == []


def test_a_print_is_seen():
    assert prints(ast.parse("x = 1\nprint(x)\nconsole.print(x)")) == [2]


# ---- in a fresh interpreter

LOADED = f"import sys; sys.stdout.write(' '.join(sorted({HEAVY!r} & sys.modules.keys())))"


def loaded_after(code: str) -> str:
    """Name the large libraries that are loaded in a new process after `code`."""
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{LOADED}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    return result.stdout.splitlines()[-1] if result.stdout else ""


def test_help_loads_no_torch():
    code = """
import sert, sys
from sert.cli import main
sys.argv = ["sert", "--help"]
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
print()
"""
    assert loaded_after(code) == ""


def test_the_api_loads_no_torch_before_it_needs_a_model():
    code = """
import sert, sert.tasks.load, sert.paths.rules, sert.report.page, sert.runs.run, sert.method
for name in sert.__all__:
    getattr(sert, name)
"""
    assert loaded_after(code) == ""


def test_a_loaded_library_is_seen():
    assert loaded_after("import tokenizers") == "tokenizers"
