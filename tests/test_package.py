"""What is packaged: the files of both distributions, the extras that the page names, and the workflows."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
MADE = {"PKG-INFO"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both distributions, built without a network."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return folder


def test_the_source_distribution_is_the_checkout(built: Path) -> None:
    (file,) = built.glob("*.tar.gz")
    assert file.name == f"sert-{PROJECT['version']}.tar.gz"
    with tarfile.open(file) as archive:
        members = {member.name.partition("/")[2]: member for member in archive}
    assert [name for name, member in members.items() if not member.isfile()] == ["configs/lab.toml"]  # a link, as there
    held = members.keys() - MADE
    assert {"tests/test_package.py", "docs/design.md", "src/sert/student/kernels/common.h", ".ci/run"} <= held
    try:
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no checkout of git to compare with")
    tracked = {name for name in listed.splitlines() if (ROOT / name).is_file()}
    assert tracked - held == set()
    assert {name.partition("/")[0] for name in held} <= {name.partition("/")[0] for name in tracked}
    assert [name for name in held if re.search(r"^(build|dist|runs|\.venv)/|(^|/)__pycache__/|\.(so|pyc)$", name)] == []


def test_the_wheel_holds_the_package_and_its_data(built: Path) -> None:
    (file,) = built.glob("*.whl")
    assert file.name == f"sert-{PROJECT['version']}-py3-none-any.whl"
    held = {name for name in zipfile.ZipFile(file).namelist() if ".dist-info/" not in name}
    files = [each for each in (ROOT / "src").rglob("*") if each.is_file() and "__pycache__" not in each.parts]
    assert held == {str(each.relative_to(ROOT / "src")) for each in files}
    assert {"sert/py.typed", "sert/lab/student/model.safetensors", "sert/report/explorer/app.js"} <= held


def test_the_page_names_every_extra_and_the_built_file() -> None:
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    extras = page.partition("## Extras")[2]
    assert set(re.findall(r"^\| `(\w+)` \|", extras, re.MULTILINE)) == set(PROJECT["optional-dependencies"])
    assert set(re.findall(r"sert-[\d.]+-py3-none-any\.whl", page)) == {f"sert-{PROJECT['version']}-py3-none-any.whl"}


def test_this_version_has_its_changes() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[{re.escape(PROJECT['version'])}\] - \d{{4}}-\d\d-\d\d$", changes, re.MULTILINE)


def read_workflow(file: Path) -> dict[str, Any]:
    """Read a workflow; `on` is a truth value in YAML 1.1."""
    read = yaml.safe_load(file.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in read.items()}


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_workflows_run_what_is_there_and_may_write_nothing(file: Path) -> None:
    workflow = read_workflow(file)
    assert workflow["permissions"] == {"contents": "read"}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for job in workflow["jobs"].values():
        assert "timeout-minutes" in job
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v1)", step.get("uses", "a/b@v1"))
            assert set(re.findall(r"^make ([a-z-]+)", step.get("run", ""), re.MULTILINE)) <= targets
            for script in re.findall(r"\.ci/[\w-]+", step.get("run", "")):
                assert (ROOT / script).stat().st_mode & 0o111


def test_tests_run_on_every_python_and_system_that_is_named() -> None:
    matrix = read_workflow(ROOT / ".github/workflows/tests.yml")["jobs"]["tests"]["strategy"]["matrix"]
    named = [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if " 3." in each]
    assert matrix == {"system": ["ubuntu-latest", "macos-latest"], "python": named}
    assert named == ["3.11", "3.12", "3.13", "3.14"]


def test_only_publishing_gets_a_token_and_it_publishes_what_was_tried() -> None:
    jobs = read_workflow(ROOT / ".github/workflows/release.yml")["jobs"]
    assert [name for name, job in jobs.items() if "permissions" in job] == ["publish"]
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    assert jobs["publish"]["needs"] == "build" and jobs["publish"]["environment"]["name"] == "pypi"
    assert not any("run" in step for step in jobs["publish"]["steps"])
    assert any(".ci/try-wheel" in step.get("run", "") for step in jobs["build"]["steps"])
