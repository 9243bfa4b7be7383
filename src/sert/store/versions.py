"""The versions of Python and of packages, as manifests tell them."""

import platform
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("sert", "torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy", "pyarrow")
_OPTIONAL = ("causal-conv1d", "flash-attn", "flash-linear-attention", "gguf", "kernels", "mamba-ssm", "peft", "triton")


@cache
def versions() -> dict[str, str]:
    """Tell the versions of what computes; with others no unfinished work is continued."""
    return {"python": platform.python_version(), **_installed(_PACKAGES)}


@cache
def optional_versions() -> dict[str, str]:
    """Tell those of packages that some students are read or computed with where they happen to be installed."""
    return _installed(_OPTIONAL)


def _installed(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
