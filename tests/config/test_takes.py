"""What a field takes is said where true or false was given for it, for every field there is."""

import pytest

from sert.config.load import stage_config
from sert.config.section import settings_of
from sert.config.takes import takes
from sert.config.tree import Config
from sert.errors import ConfigError

FIELDS = {each.path: each.field for each in settings_of(Config)}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.autocast=true", "it takes 'no' or 'bf16'"),
        ("training.batch_size=true", "it takes a whole number of 1 or more"),
        ("training.max_steps=false", "it takes a whole number of 1 or more"),
        ("training.learning_rate=true", "it takes a number of more than 0"),
        ("training.max_grad_norm=true", "it takes a number of more than 0"),
        ("mining.top_p=true", "it takes a number of more than 0 and at most 1"),
        ("training.adam_betas=true", "it takes a list"),
        ("training.lora=true", "it takes a table with the keys alpha, dora, "),
        ("training.forgetting=true", "it takes the name of a file"),
        (
            "rules.min_perplexity=true",
            "it takes a number of 0 or more, such as 5.0",
        ),
        (
            "rules.max_perplexity=true",
            "it takes a number of 0 or more, such as 5.0",
        ),
        ("teacher.calls.price=true", "it takes a list"),
        ("teacher.calls.max_cost=true", "it takes a number of more than 0"),
        ("student.system=true", "it takes a text"),
        ("tasks.x.columns.question=true", "it takes a text or a list"),
    ],
)
def test_what_is_allowed_is_named_for_a_truth_value(override: str, said: str) -> None:
    reads = ("training", "mining", "rules", "student", "tasks", "teacher")
    with pytest.raises(ConfigError) as refused:
        stage_config({"tasks": {"x": {"kind": "lab_choice"}}}, overrides=[override], reads=reads)
    assert f"true and false are no value for it; {said}" in str(refused.value)


def test_every_field_has_words() -> None:
    assert len(FIELDS) > 100
    assert [path for path, field in FIELDS.items() if takes(field.annotation, field.metadata) == "another value"] == []
