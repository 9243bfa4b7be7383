"""What a model thinks before it answers, told from the answer where a server leaves both in one text."""

import re
from typing import NamedTuple

# What opens and what closes thinking: tags, in any case, of DeepSeek-R1, Qwen3, GLM, EXAONE, Seed-OSS, and of prompts
# that ask for them; then markers of Kimi, Magistral, Command A, OpenThinker and Gemma.
_TAGS = [(f"<{name}>", f"</{name}>") for name in "think thinking thought thoughts reasoning seed:think".split()]
_MARKS = [
    ("◁think▷", "◁/think▷"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel>thought", "<channel|>"),
]
_CLOSER = {opener.lower(): closer.lower() for opener, closer in _TAGS + _MARKS}
_MARKER = re.compile(
    "|".join(
        [f"(?i:{re.escape(tag)})" for pair in _TAGS for tag in pair] + [re.escape(m) for pair in _MARKS for m in pair]
    )
)

# What some of these models put around the answer.
_WRAPPERS = (
    ("<answer>", "</answer>"),
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
)

# gpt-oss writes messages to channels; where a server drops its control tokens, only the names of these are left.
_CHANNEL = re.compile(
    r"<\|channel\|>\s*+(\w++)[^<]*+(?:<\|constrain\|>[^<]*+)?<\|message\|>(.*?)"
    r"(?:<\|(?:end|return|call)\|>|(?=<\|start\|>|<\|channel\|>)|\Z)",
    re.DOTALL,
)
_BARE_CHANNEL, _BARE_FINAL = "analysis", "assistantfinal"


class Split(NamedTuple):
    """A text in its parts.

    Attributes:
        thinking: Without its markers; empty if the model did not think, or not aloud.
        answer: What stands outside of the thinking.
        closed: Whether all thinking came to its end.
    """

    thinking: str
    answer: str
    closed: bool = True


def split_thinking(text: str) -> Split:
    """Tell thinking from answer.

    What is closed without having been opened began with the text, for many prompts end in the opening marker. What is
    never closed goes on to the end. Takes time linear in the length of the text.
    """
    if "<|channel|>" in text:
        return _split_channels(text)
    if text.startswith(_BARE_CHANNEL) and _BARE_FINAL in text:
        thinking, _, answer = text.removeprefix(_BARE_CHANNEL).rpartition(_BARE_FINAL)
        return Split(thinking.strip(), answer.strip())
    if _MARKER.search(text) is None:
        return Split("", text)
    return _split_marked(text)


def _split_marked(text: str) -> Split:
    thinking: list[str] = []
    answer: list[str] = []
    start, closer = 0, ""
    for marker in _MARKER.finditer(text):
        found, before = marker[0].lower(), text[start : marker.start()]
        opens = found in _CLOSER
        if closer and found != closer:
            continue  # a marker that is thought of
        if not (closer or opens):
            thinking, answer = [*thinking, *answer], []
        (thinking if closer or not opens else answer).append(before)
        start, closer = marker.end(), _CLOSER[found] if opens else ""
    (thinking if closer else answer).append(text[start:])
    return Split(_joined(thinking), _unwrapped(_joined(answer)), closed=not closer)


def _split_channels(text: str) -> Split:
    messages = _CHANNEL.findall(text)
    answer = [message for channel, message in messages if channel == "final"]
    thinking = [message for channel, message in messages if channel != "final"]
    return Split(_joined(thinking), _joined(answer), closed=bool(answer))


def _joined(parts: list[str]) -> str:
    return "\n".join(part.strip() for part in parts if part.strip())


def _unwrapped(answer: str) -> str:
    for opener, closer in _WRAPPERS:
        if answer.startswith(opener):
            return answer.removeprefix(opener).removesuffix(closer).strip()
    return answer
