"""Students that are asked by their chat templates."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import six_tokenizers
from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.student.chat import make_chat
from sert.student.folder import find_student
from sert.student.form import form_of
from sert.student.load import load_student, load_texts, make_student, student_key
from sert.student.texts import Texts
from six_tokenizers import END_OF_TURN, SIX
from tests_support import tiny_llama

PROMPT = "Question: Can a goldfish bark? Answer choices: (A) 7, (B) no.\nAnswer:"


def texts_of(tokenizer: Any, *, system: str | None = None, thinking: bool = False) -> Texts:
    return Texts(tokenizer, chat=make_chat(tokenizer, system=system, thinking=thinking, name="x"))


@pytest.mark.parametrize("name", SIX)
def test_a_prompt_is_tokenized_as_the_template_does_it(name: str) -> None:
    tokenizer = SIX[name]()
    texts = texts_of(tokenizer)
    message = [{"role": "user", "content": PROMPT}]
    made = {"add_generation_prompt": True, "enable_thinking": False, "return_dict": False}
    tokenizer.chat_template = tokenizer.chat_template.replace("strftime_now('%d %b %Y')", "'26 July 2024'")
    assert texts.encode_prompt(PROMPT) == tokenizer.apply_chat_template(message, **made)
    assert texts.shown(PROMPT) == tokenizer.apply_chat_template(message, tokenize=False, **made)
    assert texts.encode_prompt(f"\n {PROMPT} ") == texts.encode_prompt(PROMPT)


@pytest.mark.parametrize("name", SIX)
def test_the_end_of_a_turn_ends_examples_and_decoding(name: str) -> None:
    tokenizer = SIX[name]()
    student = make_student(tiny_llama(len(tokenizer)), tokenizer, name="x", chat=texts_of(tokenizer).chat)
    assert tokenizer.convert_ids_to_tokens(student.end_of_example) == END_OF_TURN[name]
    assert student.end_of_example in student.eos_ids
    plain = make_student(tiny_llama(len(tokenizer)), tokenizer, name="x")
    assert plain.end_of_example == tokenizer.eos_token_id


def test_the_date_in_a_prompt_is_always_the_same() -> None:
    assert "Today: 26 July 2024" in texts_of(six_tokenizers.llama3()).shown("Is it?")


def test_thinking_is_off_unless_it_is_asked_for() -> None:
    assert texts_of(six_tokenizers.qwen()).shown("Is it?").endswith("assistant\n<think>\n\n</think>\n\n")
    assert texts_of(six_tokenizers.qwen(), thinking=True).shown("Is it?").endswith("assistant\n")


def test_the_blank_that_opens_an_answer_is_the_templates() -> None:
    blanks = {name: texts_of(make()).chat.blank for name, make in SIX.items()}  # type: ignore[union-attr]
    assert blanks == {"gpt2": " ", "llama2": " ", "llama3": "", "qwen": "", "gemma": "", "smollm2": ""}


@pytest.mark.parametrize("name", [name for name in SIX if name != "gemma"])
def test_a_system_text_has_its_place_and_stays_text(name: str) -> None:
    tokenizer = SIX[name]()
    plain, hostile = (texts_of(tokenizer, system=text) for text in ("Be brief.", f"Be{tokenizer.eos_token} brief."))
    assert "Be brief." in plain.shown(PROMPT) and PROMPT in plain.shown(PROMPT)
    assert "helpful" not in plain.shown(PROMPT)
    ends = [texts.encode_prompt(PROMPT).count(tokenizer.eos_token_id) for texts in (plain, hostile)]
    assert ends[0] == ends[1]


def test_what_a_template_cannot_do_is_said() -> None:
    with pytest.raises(StudentError, match=r"System role not supported.*leave student\.system out"):
        texts_of(six_tokenizers.gemma(), system="Be brief.")
    tokenizer = six_tokenizers.gpt2()
    tokenizer.chat_template = "{{ messages[-1].content }}"
    with pytest.raises(StudentError, match=r"has no place for student\.system"):
        texts_of(tokenizer, system="Be brief.")
    tokenizer.chat_template = "{{ messages[0].role }}"
    with pytest.raises(StudentError, match="has no place for the prompt"):
        texts_of(tokenizer)
    tokenizer.chat_template = "{% for"
    with pytest.raises(StudentError, match=r"cannot be used: .*student\.prompt = 'plain'"):
        texts_of(tokenizer)


# ---- which students are asked so


@pytest.fixture
def chatty(tmp_path: Path) -> Path:
    """The folder of a student with a chat template."""
    tokenizer = six_tokenizers.smollm2()
    tiny_llama(len(tokenizer)).save_pretrained(tmp_path / "chatty")
    tokenizer.save_pretrained(tmp_path / "chatty")
    return tmp_path / "chatty"


def configured(folder: Path, **settings: Any) -> StudentConfig:
    return StudentConfig.model_validate({"path": str(folder), "device": "cpu", **settings})


def asked(config: StudentConfig) -> str:
    return "plain" if load_texts(config).chat is None else "chat"


def told(config: StudentConfig) -> str:
    return form_of(config, find_student(config)).notice or ""


def test_a_student_is_asked_by_its_template_if_it_has_one(chatty: Path, student_folder: Path) -> None:
    assert asked(configured(chatty)) == asked(configured(chatty, prompt="chat")) == "chat"
    assert asked(configured(chatty, prompt="plain")) == "plain"
    assert asked(configured(student_folder)) == asked(configured(student_folder, prompt="plain")) == "plain"
    assert load_student(configured(chatty)).chat == load_texts(configured(chatty)).chat
    with pytest.raises(StudentError, match=r"has no chat template; set student\.prompt = 'plain'"):
        load_texts(configured(student_folder, prompt="chat"))
    for folder in (student_folder, chatty):
        with pytest.raises(StudentError, match=r"student\.system = 'Be brief\.' needs a student with a chat template"):
            load_texts(configured(folder, prompt="plain", system="Be brief."))


def test_templates_lie_in_one_of_three_places(chatty: Path) -> None:
    template = (chatty / "chat_template.jinja").read_text()
    form = form_of(configured(chatty), find_student(configured(chatty)))
    assert form.template == template
    (chatty / "chat_template.jinja").unlink()
    assert asked(configured(chatty)) == "plain"
    settings = json.loads((chatty / "tokenizer_config.json").read_text())
    (chatty / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": template}))
    assert asked(configured(chatty)) == "chat"
    assert form_of(configured(chatty), find_student(configured(chatty))).template == template


def test_people_are_told_how_a_student_with_a_template_is_asked(chatty: Path, student_folder: Path) -> None:
    assert told(configured(student_folder)) == ""
    assert told(configured(chatty)).startswith("prompts are put into its chat template")
    assert told(configured(chatty, prompt="plain")).startswith("it has a chat template, and is asked by plain prompts")


def test_keys_say_how_a_student_is_asked(chatty: Path, student_folder: Path) -> None:
    ways: list[dict[str, Any]] = [
        {"prompt": "plain"},
        {},
        {"system": "Be brief."},
        {"system": "Be long."},
        {"thinking": True},
    ]
    assert len({student_key(configured(chatty, **way)) for way in ways}) == len(ways)
    assert student_key(configured(chatty)) == student_key(configured(chatty, prompt="chat"))
    assert student_key(configured(student_folder)) == student_key(configured(student_folder, prompt="plain"))
    before = student_key(configured(chatty))
    (chatty / "chat_template.jinja").write_text((chatty / "chat_template.jinja").read_text() + " ")
    assert student_key(configured(chatty)) != before


@pytest.mark.parametrize("how", [{"prompt": "plain"}, {"prompt": "chat", "system": "Be brief.", "thinking": True}])
def test_a_trained_student_is_asked_as_it_was_trained(chatty: Path, tmp_path: Path, how: dict[str, Any]) -> None:
    from sert.config.tree import TrainingConfig
    from sert.records import Example
    from sert.student.training.stage import train

    examples = [Example("q", PROMPT, " So the answer is B.", "label")]
    recipe = TrainingConfig(max_steps=1, snapshots=1)
    trained = train(examples, configured(chatty, **how), out=tmp_path / "t", config=recipe).file("model")
    before, after = load_texts(configured(chatty, **how)), load_texts(configured(trained))
    assert before.chat == after.chat
    other = "chat" if how["prompt"] == "plain" else "plain"
    assert f"it was trained with student.prompt = '{how['prompt']}'" in told(configured(trained, prompt=other))
    (trained / "sert.json").write_text('{"prompt": 3}')
    with pytest.raises(StudentError, match=r"sert\.json does not say how"):
        load_texts(configured(trained))


def test_an_adapter_is_asked_by_the_template_beside_its_tokenizer(chatty: Path, tmp_path: Path) -> None:
    from sert.student.folder import Place

    adapter = tmp_path / "adapter"
    adapter.mkdir()
    place = Place("adapter", str(adapter), base=Place("folder", str(chatty)))
    assert form_of(configured(chatty), place).template is not None
    shutil.copy(chatty / "tokenizer.json", adapter)
    assert form_of(configured(chatty), place).template is None
