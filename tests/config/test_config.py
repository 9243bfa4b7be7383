from pathlib import Path

import pytest

from sert.config.endpoints import CallsConfig, EndpointConfig
from sert.config.load import apply_overrides, load_config, validate
from sert.config.tree import Config
from sert.errors import ConfigError

GOOD = 'name = "x"\n[tasks.lab]\nkind = "lab_yes_no"\n'


def load(tmp_path: Path, text: str, *overrides: str, limit: int | None = None) -> Config:
    (tmp_path / "c.toml").write_text(text)
    return load_config(tmp_path / "c.toml", overrides=overrides, limit=limit)


def test_the_defaults_are_the_papers() -> None:
    config = validate(Config, {"name": "x", "tasks": {"t": {"kind": "strategyqa"}}}, source="test")
    assert (config.mining.branches, config.mining.samples, config.mining.top_k, config.mining.top_p) == (5, 5, 10, 0.95)
    assert (config.rules.min_tokens, config.rules.max_rep_2, config.rules.min_perplexity) == (25, 0.2, 5.0)
    assert (config.training.batch_size, config.training.learning_rate, config.training.epochs) == (8, 3e-4, 20)
    assert config.methods == ("zero_shot", "finetune", "sert", "rd", "sert+rd")


def test_overrides_come_last_and_read_toml_values(tmp_path: Path) -> None:
    config = load(
        tmp_path, GOOD, "rules.min_tokens=10", "student.path=gpt2", "methods=['sert']", "mining.keep_all=true"
    )
    assert config.rules.min_tokens == 10 and config.student.path == "gpt2"
    assert config.methods == ("sert",) and config.mining.keep_all is True


def test_limit_reaches_every_task(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD, limit=7).tasks["lab"].limit == 7


@pytest.mark.parametrize(
    ("text", "overrides", "expected"),
    [
        (GOOD + "[rules]\nmin_token = 3\n", (), "unknown key 'rules.min_token'; did you mean 'min_tokens'"),
        (GOOD + "[rulez]\nmin_tokens = 3\n", (), "unknown key 'rulez'; did you mean 'rules'"),
        (GOOD + "qqqqqq = 1\n", (), "unknown key 'tasks.lab.qqqqqq'; allowed: bad_rows, columns, data"),
        (GOOD + "[rules]\nmin_tokens = 'many'\n", (), "'rules.min_tokens' = 'many'"),
        (GOOD + "[rules]\nmax_rep_2 = 20\n", (), "'rules.max_rep_2' = 20"),
        (GOOD, ("mining.samples=0",), "'mining.samples' = 0"),
        (GOOD, ("methods=['magic']",), "'magic'"),
        (GOOD, ("tasks.lab.kind=strategy",), "'tasks.lab.kind' = 'strategy'"),
        (GOOD, ("name=../x",), "'name' = '../x'"),
        (GOOD, ("nonsense",), "section.key=value"),
        (GOOD, ("=3",), "section.key=value"),
        (GOOD, ("name.x=3",), "'name' is a value"),
        ('name = "x"\n', (), "'tasks' is missing"),
        ("name = ", (), "is not a TOML file"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path: Path, text: str, overrides: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, text, *overrides)
    assert expected in str(error.value)


def test_every_problem_is_listed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, GOOD + "[rules]\nmin_tokens = 'x'\nfoo = 1\n")
    assert "rules.min_tokens" in str(error.value) and "rules.foo" in str(error.value)


@pytest.mark.parametrize(("methods", "lines"), [("['foo']", 2), ("['foo', 'bar']", 3), ("[]", 2)])
def test_a_wrong_item_is_not_said_to_be_missing_too(tmp_path: Path, methods: str, lines: int) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, GOOD, f"methods={methods}")
    assert len(str(error.value).splitlines()) == lines
    assert ("at least 1 item" in str(error.value)) == (methods == "[]")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no configuration file"):
        load_config(tmp_path / "no.toml")
    with pytest.raises(ConfigError, match="is a folder"):
        load_config(tmp_path)


def test_overrides_do_not_change_what_they_are_applied_to() -> None:
    tree = {"a": {"b": 1}}
    assert apply_overrides(tree, ["a.b=2", "a.c.d=text"]) == {"a": {"b": 2, "c": {"d": "text"}}}
    assert tree == {"a": {"b": 1}}


def test_steps_are_max_steps_or_whole_epochs() -> None:
    from sert.config.tree import TrainingConfig

    assert TrainingConfig(epochs=2).num_steps(17) == 6
    assert TrainingConfig(epochs=0.5).num_steps(17) == 2
    assert TrainingConfig(max_steps=4).num_steps(17) == 4


@pytest.mark.parametrize("field", ["n", "best_of", "stream", "max_tokens", "messages"])
def test_extra_fields_cannot_multiply_what_an_answer_costs(field: str) -> None:
    with pytest.raises(ConfigError, match=f"may not hold {field}"):
        validate(EndpointConfig, {"url": "http://h/v1", "model": "m", "extra_body": {field: 5}}, source="it")


def test_a_key_in_place_of_its_variable_is_not_repeated() -> None:
    with pytest.raises(ConfigError, match="name of an environment variable") as caught:
        validate(CallsConfig, {"api_key_env": "sk-secret"}, source="it")
    assert "secret" not in str(caught.value)
