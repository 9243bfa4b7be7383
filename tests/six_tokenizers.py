"""Small tokenizers of the six types that students come with, and the turns that these are asked in."""

from collections.abc import Callable, Sequence
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from sert.student.chat import Chat, control_names, make_chat

CORPUS = [
    "Question: Can a goldfish bark? Answer choices: (A) yes, (B) no.\nAnswer: Fish have no voice.",
    "So the answer is no. So the answer is B.\n\nThink step by step, 7 pens and 12 eggs.",
    "user system assistant You are a helpful assistant.",
] * 4
_WORDS = Regex(r"'s|'t| ?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")

_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\n' }}"
    "{% if message.role == 'assistant' and WITH_THOUGHTS %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ message.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if WITH_THOUGHTS and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
)


def _byte_level(special: Sequence[str], *, pre: Any = None, normalizer: Any = None, ignore_merges: bool = False) -> Any:
    raw = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    raw.normalizer = normalizer
    raw.pre_tokenizer = pre or pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return _trained(raw, special, alphabet=alphabet)


def _split(pattern: Any) -> Any:
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(pattern, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def _trained(raw: Any, special: Sequence[str], *, alphabet: Sequence[str] = (), size: int = 400) -> Any:
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(special), initial_alphabet=list(alphabet), show_progress=False
    )
    raw.train_from_iterator(CORPUS, trainer)
    return raw


def _begun_with(raw: Any, token: str) -> Any:
    raw.post_processor = processors.TemplateProcessing(
        single=f"{token} $A", special_tokens=[(token, raw.token_to_id(token))]
    )
    return raw


def _bytes() -> list[str]:
    return [f"<0x{byte:02X}>" for byte in range(256)]


def gpt2() -> Any:
    """Byte-level BPE, one control token that both begins and ends; a template without turns of its own."""
    ends = {"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    template = (
        "{% for message in messages %}{{ message.role + ': ' + message.content + eos_token + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    return _fast(_byte_level(["<|endoftext|>"]), template, **ends)


def llama2(*, metaspace: bool = False) -> Any:
    """Sentence-piece BPE: a blank is put in front of every text and taken away again, bytes for what is unknown."""
    raw = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if metaspace:
        raw.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    else:
        raw.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    raw.decoder = decoders.Sequence(steps)
    if not metaspace:  # words are kept apart while it learns, so that no token reaches over a blank
        raw.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    raw = _trained(raw, ["</s>", "<s>", "<unk>", *_bytes()], size=600)
    if not metaspace:
        raw.pre_tokenizer = None
    raw = _only_special(raw, {"</s>", "<s>", "<unk>"})
    template = (
        "{{ bos_token }}{% for message in messages %}{% if message.role == 'user' %}{{ '[INST] ' + message.content + "
        "' [/INST]' }}{% elif message.role == 'system' %}{{ '<<SYS>> ' + message.content + ' <</SYS>> ' }}"
        "{% else %}{{ ' ' + message.content + ' ' + eos_token }}{% endif %}{% endfor %}"
    )
    return _fast(_begun_with(raw, "<s>"), template, eos_token="</s>", bos_token="<s>", unk_token="<unk>")


def _only_special(raw: Any, names: set[str]) -> Any:
    """Take what the trainer was told to keep whole, but for these names, out of the added tokens."""
    import json

    tree = json.loads(raw.to_str())
    tree["added_tokens"] = [each for each in tree["added_tokens"] if each["content"] in names]
    return Tokenizer.from_str(json.dumps(tree))


def llama3() -> Any:
    """Byte-level BPE that takes whole words without merging them; headers around each turn, the date within."""
    special = ["<|end_of_text|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    raw = _byte_level(special, pre=_split(_WORDS), ignore_merges=True)
    template = (
        "{{ bos_token + '<|start_header_id|>system<|end_header_id|>\n\nToday: ' + strftime_now('%d %b %Y') + '\n\n' }}"
        "{% if messages[0].role == 'system' %}{{ messages[0].content | trim }}{% set messages = messages[1:] %}"
        "{% endif %}{{ '<|eot_id|>' }}{% for message in messages %}{{ '<|start_header_id|>' + message.role + "
        "'<|end_header_id|>\n\n' + message.content | trim + '<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
    )
    ends = {"eos_token": "<|end_of_text|>", "bos_token": "<|begin_of_text|>"}
    return _fast(_begun_with(raw, "<|begin_of_text|>"), template, **ends)


def qwen() -> Any:
    """Byte-level BPE behind a normalizer; its thoughts stand between added tokens that are not called special."""
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    raw = _byte_level(special, pre=_split(_WORDS), normalizer=normalizers.NFC())
    raw.add_tokens([AddedToken(name, normalized=False, special=False) for name in ("<think>", "</think>")])
    template = _CHATML.replace("WITH_THOUGHTS", "true")
    return _fast(raw, template, eos_token="<|im_end|>", pad_token="<|endoftext|>")


def gemma() -> Any:
    """Sentence-piece BPE without a blank in front; runs of lines and blanks, and tags, are added tokens of text."""
    raw = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    raw.normalizer = normalizers.Replace(" ", "▁")
    raw.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    raw.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<eos>", "<bos>", "<unk>", "<pad>", "<start_of_turn>", "<end_of_turn>"]
    raw = _only_special(_trained(raw, [*special, *_bytes()], size=600), {*special})
    raw.add_tokens([AddedToken(name, normalized=False) for name in ("\n\n", "▁▁", "<table>")])
    template = (
        "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for message in messages %}{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else "
        "'user') + '\n' + message.content | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
    )
    ends = {"eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return _fast(_begun_with(raw, "<bos>"), template, **ends)


def smollm2() -> Any:
    """Byte-level BPE that keeps digits apart; a system text of its own where none is given."""
    pre = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>"]
    default = (
        "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}"
        "{% endif %}"
    )
    template = default + _CHATML.replace("WITH_THOUGHTS", "false")
    return _fast(_byte_level(special, pre=pre), template, eos_token="<|im_end|>", bos_token="<|im_start|>")


def _fast(raw: Any, template: str, **names: str) -> Any:
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, **names)
    tokenizer.chat_template = template
    return tokenizer


SIX: dict[str, Callable[[], Any]] = {
    "gpt2": gpt2,
    "llama2": llama2,
    "llama3": llama3,
    "qwen": qwen,
    "gemma": gemma,
    "smollm2": smollm2,
}
END_OF_TURN = {
    "gpt2": "<|endoftext|>",
    "llama2": "</s>",
    "llama3": "<|eot_id|>",
    "qwen": "<|im_end|>",
    "gemma": "<end_of_turn>",
    "smollm2": "<|im_end|>",
}


def chat_of(tokenizer: Any) -> Chat:
    """The turns of a tokenizer's template."""
    return make_chat(tokenizer, system=None, thinking=False, name="x")


def controls_of(tokenizer: Any) -> set[int]:
    """Its control tokens."""
    return set(control_names(tokenizer).values())
