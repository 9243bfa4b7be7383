"""Predictions as an evaluation log of inspect_ai, which `inspect view` opens.

The log is the JSON form of version 2. Each output has two scores: `loose`, by which accuracy is counted here, and
`strict`; C is right, I wrong, N none that could be read.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sert.export.sources import Source
from sert.export.writing import Exported
from sert.records import Prediction, Question
from sert.store.artifacts import content_key, write_json
from sert.store.tables import read_table

KINDS = ("evaluate",)
USE = (
    "Evaluation logs of inspect_ai: `inspect view --log-dir FOLDER` shows them, and `inspect_ai.log.read_eval_log` "
    "reads them. Each output has two scores, `loose` (sert's accuracy) and `strict`: C right, I wrong, N none that "
    "could be read."
)
_RIGHT, _WRONG, _NONE = "C", "I", "N"
_STOPS = {"eos": "stop", "length": "max_tokens"}


def write_inspect(source: Source, folder: Path) -> Exported:
    """Write the predictions of an evaluation as one log."""
    questions = {each.question_id: each for each in read_table(source.artifact.file("questions.parquet"), Question)}
    predictions = read_table(source.artifact.file("predictions.parquet"), Prediction)
    manifest = source.artifact.manifest
    task = next(iter(questions.values())).task
    created = str(manifest["created"]).replace("Z", "+00:00")
    model = f"sert/{source.name}"
    samples = [_sample(each, questions[each.question_id], model=model, key=source.artifact.key) for each in predictions]
    identity = content_key([source.artifact.key, "inspect"])
    log = {
        "version": 2,
        "status": "success",
        "eval": {
            "eval_id": identity,
            "run_id": identity,
            "created": created,
            "task": task,
            "task_id": content_key([task, manifest["inputs"]]),
            "task_version": 0,
            "dataset": {"name": task, "samples": len(samples), "sample_ids": [each["id"] for each in samples]},
            "model": model,
            "config": {"epochs": 1},
            "metadata": {"sert": {"key": source.artifact.key, "config": manifest["config"]}},
        },
        "plan": {"name": "plan", "steps": [], "config": _generation(manifest["config"])},
        "results": {
            "total_samples": len(samples),
            "completed_samples": len(samples),
            "scores": [_result(name, samples) for name in ("loose", "strict")],
        },
        "stats": {"started_at": created, "completed_at": created, "model_usage": {}},
        "samples": samples,
    }
    file = f"{created.replace(':', '-')}_{source.name.replace('_', '-')}_{identity}.json"  # by its form they are found
    write_json(folder / file, log)
    right = sum(each.correct_loose for each in predictions)
    return Exported(source, {"log": file}, [f"{right} of {len(predictions)} right"])


def _generation(config: dict[str, Any]) -> dict[str, Any]:
    evaluation = config.get("evaluation", {})
    return {"max_tokens": evaluation.get("max_new_tokens")}


def _sample(prediction: Prediction, question: Question, *, model: str, key: str) -> dict[str, Any]:
    asked = {"role": "user", "content": prediction.prompt}
    said = {"role": "assistant", "content": prediction.completion, "source": "generate", "model": model}
    stop = _STOPS.get(prediction.finish, "unknown")
    return {
        "id": question.question_id,
        "epoch": 1,
        "input": prediction.prompt,
        "choices": list(question.choices) or None,
        "target": question.answer,
        "messages": [asked, said],
        "output": {
            "model": model,
            "choices": [{"message": said, "stop_reason": stop}],
            "completion": prediction.completion,
        },
        "scores": {
            "loose": _score(prediction.answer_loose, right=prediction.correct_loose, said=prediction.completion),
            "strict": _score(prediction.answer_strict, right=prediction.correct_strict, said=prediction.completion),
        },
        "metadata": {
            "question": question.question,
            "finish": prediction.finish,
            "num_tokens": prediction.num_tokens,
            "reasoning_tokens": prediction.reasoning_tokens,
            "reasoned": prediction.reasoned,
            "format_ok": prediction.format_ok,
            "rep_1": prediction.rep_1,
            "votes": prediction.votes,
            "num_outputs": prediction.num_outputs,
        },
        "uuid": content_key([key, question.question_id]),
    }


def _score(answer: str | None, *, right: bool, said: str) -> dict[str, Any]:
    value = _RIGHT if right else _NONE if answer is None else _WRONG
    return {"value": value, "answer": answer, "explanation": said}


def _result(name: str, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sum one score up: the share of the right ones, and its standard error."""
    n = len(samples)
    share = sum(each["scores"][name]["value"] == _RIGHT for each in samples) / n
    error = math.sqrt(share * (1 - share) / (n - 1)) if n > 1 else 0.0
    metrics = {"accuracy": share, "stderr": error}
    return {
        "name": name,
        "scorer": name,
        "params": {},
        "metrics": {metric: {"name": metric, "value": value, "params": {}} for metric, value in metrics.items()},
    }
