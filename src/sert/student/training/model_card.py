"""The model card of a trained student: where it started, what it was trained on, with which recipe."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sert.config.tree import StudentConfig, TrainingConfig
from sert.store.stage import named_values

_PACKAGES = ("sert", "torch", "transformers")


def write_model_card(
    file: Path, *, label: str, student: StudentConfig, config: TrainingConfig, counts: Mapping[str, Any]
) -> None:
    """Write `README.md` with front matter that the hub reads. Only `lab` and hub ids are named, never local folders."""
    adapters = config.lora is not None and config.lora.output == "adapter"
    local = student.path != "lab" and Path(student.path).expanduser().exists()
    base = "a local folder" if local else student.path
    rows = [
        ("started from", base),
        *named_values(config.model_dump(exclude={"forgetting"})),
        *((name.replace("_", " "), value) for name, value in counts.items()),
        *((package, version(package)) for package in (*_PACKAGES, *(["peft"] if config.lora else []))),
    ]
    library = "peft" if adapters else "transformers"
    front_matter = ["---", f"library_name: {library}", "pipeline_tag: text-generation", "tags: [sert, reasoning]"]
    if not local and student.path != "lab":
        front_matter.append(f"base_model: {student.path}")
    lines = [
        *front_matter,
        "---",
        "",
        f"# {label}",
        "",
        "A student trained by Self-Enhanced Reasoning Training (arXiv 2502.12744).",
        "",
        "| what | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        "It answers prompts of the form it was trained on; see `examples.parquet` beside this folder.",
        "",
    ]
    file.write_text("\n".join(lines), encoding="utf-8")
