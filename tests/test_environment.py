"""A run gives the same bytes whatever its environment says."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sert.lab import DEMO_CONFIG

ENVIRONMENT = {
    # What `accelerate launch` exports.
    "ACCELERATE_MIXED_PRECISION": "bf16",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "4",
    "ACCELERATE_GRADIENT_CLIPPING": "0.01",
    "ACCELERATE_DYNAMO_BACKEND": "EAGER",
    "ACCELERATE_DYNAMO_USE_FULLGRAPH": "true",
    "ACCELERATE_USE_CPU": "true",
    "ACCELERATE_USE_FSDP": "true",
    "ACCELERATE_USE_DEEPSPEED": "true",
    "ACCELERATE_USE_MEGATRON_LM": "true",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "true",
    "ACCELERATE_TORCH_DEVICE": "meta",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "true",
    "PARALLELISM_CONFIG_TP_SIZE": "2",
    # What schedulers of jobs give processes that are alone.
    "RANK": "1",
    "WORLD_SIZE": "4",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "1",
    "OMPI_COMM_WORLD_SIZE": "4",
    "PMI_SIZE": "4",
    # Other numbers in torch and transformers.
    "DNNL_DEFAULT_FPMATH_MODE": "BF16",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "NVIDIA_TF32_OVERRIDE": "1",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": "1",
    "TRANSFORMERS_SDPA_FORCE_GQA": "1",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "USE_HUB_KERNELS": "NO",
    "USE_TORCH_XLA": "0",
    "TORCH_COMPILE_DISABLE": "1",
    "TORCHDYNAMO_DISABLE": "1",
    "PYTORCH_JIT": "0",
    "TORCH_SHOW_CPP_STACKTRACES": "1",
    # Threads, where `student.num_threads` says how many.
    "OMP_NUM_THREADS": "2",
    "MKL_NUM_THREADS": "2",
    "OMP_DYNAMIC": "true",
    "MKL_DYNAMIC": "TRUE",
    "TOKENIZERS_PARALLELISM": "true",
    "RAYON_NUM_THREADS": "3",
    # Places, the language and Python itself.
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HOME": "{folder}/hub",
    "HF_ENDPOINT": "http://127.0.0.1:1",
    "XDG_CACHE_HOME": "{folder}/cache",
    "MPLBACKEND": "pdf",
    "SOURCE_DATE_EPOCH": "0",
    "CI": "true",
    "CC": "false",
    "COLUMNS": "40",
    "LC_ALL": "tr_TR.UTF-8",
    "LANG": "C",
    "TZ": "Pacific/Kiritimati",
    "PYTHONHASHSEED": "7",
    "PYTHONUTF8": "0",
    "PYTHONIOENCODING": "ascii",
}
SMALL = {
    "mining.branches": 2,
    "mining.samples": 2,
    "mining.max_new_tokens": 24,
    "rules.min_perplexity": 0,
    "training.max_steps": 2,
    "evaluation.max_new_tokens": 24,
    "evaluation.probe_samples": 0,
    "tasks.lab-yes-no.limit": 4,
    "tasks.lab-choice.limit": 4,
}


def outputs(folder: Path, environment: dict[str, str]) -> dict[str, dict[str, str]]:
    """Run the method on the lab, and return for each stage the hashes of what it left."""
    settings = (part for name, value in SMALL.items() for part in ("--set", f"{name}={value}"))
    command = [sys.executable, "-m", "sert", "run", str(DEMO_CONFIG), "--out", str(folder), *settings]
    plain = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    done = subprocess.run(
        command, env=plain | environment, capture_output=True, check=False, encoding="utf-8", timeout=240
    )
    assert done.returncode == 0, done.stderr
    assert ("ACCELERATE_MIXED_PRECISION='bf16' changes nothing" in done.stderr) is bool(environment)
    manifests = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("[!.]*/manifest.json"))]
    return {each["key"]: each["outputs"] for each in manifests}


@pytest.mark.slow
def test_the_environment_changes_no_byte(tmp_path: Path) -> None:
    environment = {name: value.format(folder=tmp_path) for name, value in ENVIRONMENT.items()}
    plain, surrounded = (outputs(tmp_path / name, given) for name, given in (("plain", {}), ("other", environment)))
    assert len(plain) >= 20
    assert surrounded == plain
