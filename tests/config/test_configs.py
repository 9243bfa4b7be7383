from pathlib import Path

import pytest

from sert.config.load import load_config

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


def test_there_are_configs():
    assert {"strategyqa-gpt2.toml", "commonsenseqa-gpt2.toml"} <= {file.name for file in CONFIGS}


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.name)
def test_config_loads(file):
    assert load_config(file).tasks


@pytest.mark.parametrize("name", ["strategyqa-gpt2", "commonsenseqa-gpt2"])
def test_paper_values(name):
    config = load_config(CONFIGS[0].with_name(f"{name}.toml"))
    assert config.student.path == "gpt2"
    assert all(task.near_duplicates is not None for task in config.tasks.values())
    assert (config.mining.branches, config.mining.samples, config.mining.top_k, config.mining.top_p) == (5, 5, 10, 0.95)
    assert (config.rules.min_tokens, config.rules.max_rep_2, config.rules.min_perplexity) == (25, 0.2, 5.0)
    assert (config.training.batch_size, config.training.learning_rate, config.training.epochs) == (8, 3e-4, 20)
