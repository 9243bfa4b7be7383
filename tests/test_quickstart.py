"""The notebook: kept without outputs, and it runs as it stands."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parent.parent / "examples/quickstart.ipynb"
RUN = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=240, kernel_name="python3").execute()
nbformat.write(notebook, "run.ipynb")
"""


def cells_of(file: Path) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(file.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_is_kept_without_outputs() -> None:
    cells = cells_of(NOTEBOOK)
    assert len(cells) > 5
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


@pytest.mark.slow
def test_the_notebook_runs_and_its_student_learns(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    variables = os.environ | {"HF_HUB_OFFLINE": "1", "IPYTHONDIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)}
    command = [sys.executable, "-c", RUN, str(NOTEBOOK)]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    outputs = [output for cell in cells_of(tmp_path / "run.ipynb") for output in cell["outputs"]]
    said = "".join("".join(output["text"]) for output in outputs if output.get("name") == "stdout")
    right = {name: int(count) for name, count in re.findall(r"^(before|after): (\d+) of 60 right", said, re.MULTILINE)}
    assert right["after"] > 2 * right["before"]
    assert (tmp_path / "runs/quickstart/explore.html").is_file()
