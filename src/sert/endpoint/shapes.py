"""Where the text of an answer stands: one field by OpenAI's protocol, several in use."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

# vLLM, SGLang, llama.cpp and DeepSeek; vLLM since 0.11, Ollama and OpenRouter; gateways to Ollama's own interface.
_THINKING_FIELDS = ("reasoning_content", "reasoning", "thinking")
_THINKING_PARTS = ("thinking", "reasoning")
_TEXT_PARTS = ("text", "output_text")


class Written(NamedTuple):
    """What a model wrote.

    Attributes:
        text: None if there is none, not even an empty one.
        thinking: What the server has told from the text by itself.
        finish_reason: The word for the end; a refusal and a call of a tool are told even where it says `stop`.
    """

    text: str | None
    thinking: str
    finish_reason: str


def read_choice(choice: Mapping[str, Any]) -> Written:
    """Read a choice of a reply, of either interface: texts, and lists of parts as Mistral and Anthropic make them."""
    message = fields_of(choice.get("message"))
    content = choice["text"] if isinstance(choice.get("text"), str) else message.get("content")
    text = content if isinstance(content, str) else _join(_texts(content))
    fields = (each.get(name) for each in (message, choice) for name in _THINKING_FIELDS)
    said = next((found for found in map(_flat, fields) if found), "")
    thinking = said or _flat(message.get("reasoning_details")) or _join(_thoughts(content)) or ""
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else ""
    if not text and message.get("refusal"):
        return Written(text or "", thinking, "refusal")
    if not text and (message.get("tool_calls") or message.get("function_call")):
        return Written(text or "", thinking, "tool_calls")
    return Written("" if text is None and thinking else text, thinking, finish)


def fields_of(value: Any) -> dict[str, Any]:
    """Return the fields of a JSON object; none where it is something else."""
    return value if isinstance(value, dict) else {}


def _parts(content: Any) -> list[dict[str, Any]]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _texts(content: Any) -> Iterator[str]:
    for part in _parts(content):
        if part.get("type") in _TEXT_PARTS and isinstance(part.get("text"), str):
            yield part["text"]


def _thoughts(content: Any) -> Iterator[str]:
    for part in _parts(content):
        if part.get("type") in _THINKING_PARTS:
            yield _flat(part.get("thinking")) or _flat(part.get("text"))


def _flat(value: Any) -> str:
    """Read a text, or one in parts."""
    if isinstance(value, str):
        return value
    return "".join(part["text"] for part in _parts(value) if isinstance(part.get("text"), str))


def _join(texts: Iterator[str]) -> str | None:
    found = list(texts)
    return "".join(found) if found else None
