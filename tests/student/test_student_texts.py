"""Texts stay texts, and stand where they stand, for six types of tokenizers."""

from collections.abc import Iterator
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import six_tokenizers
from sert.errors import StudentError
from sert.student.chat import control_names, make_chat
from sert.student.texts import Texts, refuse_control_tokens
from six_tokenizers import SIX

PLAIN = ["Can a goldfish bark?", "Question: Is it? Answer choices: (A) 7, (B) no.\nAnswer:", "Zürich\t\n\n ☃ a  b"]


@pytest.fixture(params=SIX)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tokenizer(name: str) -> Any:
    return SIX[name]()


@pytest.fixture(params=["plain", "chat"])
def texts(request: pytest.FixtureRequest, tokenizer: Any) -> Texts:
    if request.param == "plain":
        return Texts(tokenizer)
    return Texts(tokenizer, chat=make_chat(tokenizer, system=None, thinking=False, name="x"))


def controls_in(tokenizer: Any, token_ids: list[int]) -> list[str]:
    named = {number: name for name, number in control_names(tokenizer).items()}
    return [named[each] for each in token_ids if each in named]


def hostile_texts() -> Iterator[str]:
    """Names of control tokens of all six, as they come, in words, in rows, in pieces that join, and cut short."""
    names = sorted({name for make in SIX.values() for name in control_names(make())})
    for name in names:
        yield from (
            name,
            f" {name} ",
            f"a{name}b",
            f"{name}{name}",
            f"Is {name}\n\n{name}it?",
            name[0] + name,
            name + name[1:],
        )
    yield "".join(names)
    yield "".join(names[::-1])
    yield "<|im_<|im_end|>end|>"
    yield "<<s>/s>"


HOSTILE = list(hostile_texts())


def test_the_tokens_of_a_harmless_text_are_those_of_the_tokenizer(tokenizer: Any) -> None:
    texts = Texts(tokenizer)
    for text in PLAIN:
        assert texts.encode_prompt(text) == tokenizer(text)["input_ids"]


def test_no_text_becomes_a_control_token(texts: Texts) -> None:
    harmless = controls_in(texts.tokenizer, texts.encode_prompt("Is it?"))
    for text in HOSTILE:
        assert controls_in(texts.tokenizer, texts.encode_prompt(text)) == harmless, text
        assert controls_in(texts.tokenizer, texts.encode_completion(text)) == [], text
        assert texts.decode(texts.encode_completion(text)) == text


def test_a_hostile_text_would_become_a_control_token_by_itself(tokenizer: Any) -> None:
    end = tokenizer.eos_token
    assert controls_in(tokenizer, tokenizer(f"a{end}b", add_special_tokens=False)["input_ids"]) == [end]


def test_a_completion_gets_nothing_in_front(tokenizer: Any) -> None:
    texts = Texts(tokenizer)
    prompt = "Question: Can a goldfish bark?\nAnswer:"
    for completion in (" Fish have no voice.", "Fish have no voice.", "\n\nFish", " So the answer is no.", ".", " "):
        token_ids = texts.encode_completion(completion)
        assert texts.decode(token_ids) == completion
        whole = tokenizer.decode([*texts.encode_prompt(prompt), *token_ids], skip_special_tokens=True)
        assert whole == prompt + completion
    together = tokenizer(f"{prompt} Fish have", add_special_tokens=False)["input_ids"]
    fish = texts.encode_completion(" Fish have")
    assert together[-len(fish) :] == fish


@pytest.mark.parametrize("metaspace", [False, True])
def test_a_blank_that_the_tokenizer_puts_in_front_of_texts_is_in_front_of_no_completion(metaspace: bool) -> None:
    tokenizer = six_tokenizers.llama2(metaspace=metaspace)
    names = tokenizer.convert_ids_to_tokens
    assert names(tokenizer("Fish", add_special_tokens=False)["input_ids"]) == ["▁Fish"]
    texts = Texts(tokenizer)
    assert names(texts.encode_completion(" Fish")) == ["▁Fish"]
    assert "▁" not in names(texts.encode_completion("no"))[0]
    assert names(texts.encode_prompt("Fish"))[:2] == ["<s>", "▁Fish"]  # at its beginning a text has it


def unigram() -> Any:
    """A tokenizer whose model itself holds the names of its control tokens, as those of XGLM do."""
    pieces = [("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((letter, -3.0) for letter in "abc</s>▁")]
    raw = Tokenizer(models.Unigram(list(dict(pieces).items()), unk_id=1))
    raw.pre_tokenizer = pre_tokenizers.Metaspace()
    raw.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", unk_token="<unk>")


def test_names_that_the_model_of_a_tokenizer_knows_itself_are_cut_too() -> None:
    texts = Texts(unigram())
    assert 0 in texts.tokenizer("a</s>b", split_special_tokens=True, add_special_tokens=False)["input_ids"]
    for text in ("a</s>b", "</s>", "a </s></s>"):
        assert 0 not in texts.encode_prompt(text) + texts.encode_completion(text)
        assert texts.tokenizer.decode(texts.encode_completion(text)).strip() == text


def test_a_text_that_cannot_be_kept_from_it_is_refused() -> None:
    raw = Tokenizer(models.WordLevel({"</s>": 0, "a": 1, "b": 2}, unk_token="</s>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    texts = Texts(PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="</s>", unk_token="</s>"))
    assert texts.encode_completion("a b a") == [1, 2, 1]
    with pytest.raises(StudentError, match=r"becomes the control token '</s>' .*however it is cut.*'a zebra'"):
        texts.encode_completion("a zebra")


def test_templates_of_prompts_hold_no_control_tokens(tokenizer: Any) -> None:
    texts, end = Texts(tokenizer), tokenizer.eos_token
    refuse_control_tokens(texts, [("tasks.t.prompts.student", "Q: {question}\nA:")])
    with pytest.raises(StudentError, match=r"tasks\.t\.prompts\.student holds .*, which would be read as text"):
        refuse_control_tokens(texts, [("tasks.t.prompts.student", f"{{question}}{end}\nA:")])


def test_turns_written_by_hand_are_refused_with_what_to_set() -> None:
    by_hand = "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    with pytest.raises(StudentError, match=r"holds '<\|im_start\|>'.*student\.prompt = 'chat'"):
        refuse_control_tokens(Texts(six_tokenizers.smollm2()), [("tasks.t.prompts.student", by_hand)])
