"""What the test endpoint answers: texts that follow from the request alone, and endpoints that do not do as asked."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from fault_http import ApiError

NOUNS = "river stone lamp garden window ladder harbour engine winter copper ribbon orchard tunnel anchor mirror basket"
VERBS = "holds follows covers warms crosses lifts needs meets"

PROMPT_CAP = 2048
"""How many words of a prompt the variant `truncates_prompt` reads: the last ones."""

VARIANTS = frozenset(
    "honest ignores_n ignores_seed no_logprobs exceeds_max_tokens lies_about_finish truncates_prompt no_usage "
    "no_json_schema ignores_json_schema other_model".split()
)


def digest(*parts: object) -> bytes:
    """Sixteen bytes that follow from the parts."""
    return blake2b("\0".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def text_for(seed: int, prompt: str, *, repeat: object = None, index: int = 0) -> str:
    """The made-up rationale that answers a prompt; `repeat` is the request's `seed`, `index` the choice of `n`."""
    bits = digest("text", seed, repeat, index, prompt)
    nouns, verbs = NOUNS.split(), VERBS.split()
    sentences = [
        f"The {nouns[bits[3 * i] % 16]} {verbs[bits[3 * i + 1] % 8]} the {nouns[bits[3 * i + 2] % 16]}."
        for i in range(2 + bits[15] % 3)
    ]
    return " ".join([*sentences, f"So the answer is {'yes' if bits[14] % 2 else 'no'}."])


def contents_of(body: dict[str, Any]) -> list[str]:
    """The texts of a request: the contents of its messages, or its prompt."""
    messages = body.get("messages")
    texts = [body.get("prompt")] if messages is None else [message.get("content") for message in messages]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ApiError(400, "the prompt, or the content of each message, must be a text")
    return texts


def prompt_of(body: dict[str, Any]) -> str:
    """The prompt by which the server counts: all texts of the request, a line break between them."""
    return "\n".join(contents_of(body))


def cut(text: str, words: int | None) -> tuple[str, str]:
    """The text cut to so many words, and its finish reason."""
    if words is None:
        return text, "stop"
    pieces = text.split(None, words)
    if len(pieces) <= words:
        return text, "stop"
    return text[: len(text) - len(pieces[words])].rstrip(), "length"


@dataclass
class Answer:
    """A good answer before it is sent, with its true usage."""

    payload: dict[str, Any]
    prompt_tokens: int
    completion_tokens: int

    @property
    def texts(self) -> list[Any]:
        """The text of each choice."""
        return [choice["message"]["content"] if "message" in choice else choice["text"] for choice in self.choices]

    @property
    def choices(self) -> list[dict[str, Any]]:
        """The choices of the payload."""
        return self.payload["choices"]

    def replace(self, texts: list[Any], *, finish: str, tokens: int) -> None:
        """Put other texts, one for each choice, in place of the good ones."""
        for choice, text in zip(self.choices, texts, strict=True):
            choice["finish_reason"] = finish
            if "message" in choice:
                choice["message"]["content"] = text
            else:
                choice["text"] = text
        self.completion_tokens = tokens
        if "usage" in self.payload:
            self.payload["usage"] = usage(self.prompt_tokens, tokens)


def usage(prompt: int, completion: int) -> dict[str, int]:
    """The usage of one answer as the API reports it."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


@dataclass(frozen=True, kw_only=True)
class Model:
    """Answers requests; `variant` None answers as a pure function of the request, at every temperature."""

    seed: int
    models: tuple[str, ...]
    variant: str | None = None
    answer: Callable[[dict[str, Any]], str] | None = None

    def __post_init__(self) -> None:
        if self.variant is not None and self.variant not in VARIANTS:
            raise ValueError(f"no variant {self.variant!r}; there are {', '.join(sorted(VARIANTS))}")

    def complete(self, body: dict[str, Any], *, number: int) -> Answer:
        """Answer a request, the `number`-th one of this server; raises `ApiError` where an endpoint would refuse."""
        name = body.get("model")
        if name not in self.models:
            message = f"The model `{name}` does not exist; there are: {', '.join(self.models)}"
            raise ApiError(404, message, code="model_not_found")
        if self.variant == "truncates_prompt":
            body = _truncated(body)
        words = sum(len(text.split()) for text in contents_of(body)) + 5
        prompt_tokens = min(words, PROMPT_CAP) if self.variant == "truncates_prompt" else words
        limit = limit_of(body)
        choices, tokens = [], 0
        for index in range(1 if self.variant == "ignores_n" else body.get("n") or 1):
            text, finish = self._cut(self._text(body, index=index, number=number), limit)
            tokens += len(text.split())
            choices.append(self._choice(body, index=index, text=text, finish=finish))
        chat = "messages" in body
        payload = {
            "id": f"{'chatcmpl' if chat else 'cmpl'}-{number}",
            "object": "chat.completion" if chat else "text_completion",
            "created": int(time.time()),
            "model": f"{name}-mini" if self.variant == "other_model" else name,
            "choices": choices,
        }
        if self.variant != "no_usage":
            payload["usage"] = usage(prompt_tokens, tokens)
        return Answer(payload, prompt_tokens, tokens)

    def _cut(self, text: str, limit: int | None) -> tuple[str, str]:
        if self.variant == "exceeds_max_tokens":
            return text, "stop"
        text, finish = cut(text, limit)
        return text, "stop" if self.variant == "lies_about_finish" else finish

    def _text(self, body: dict[str, Any], *, index: int, number: int) -> str:
        schema = self._schema(body)
        if self.answer is not None:
            return self.answer(body)
        repeat, prompt = self._repeat(body, number), prompt_of(body)
        if schema is None:
            return text_for(self.seed, prompt, repeat=repeat, index=index)
        return json.dumps(_fitting(schema, digest("json", self.seed, repeat, index, prompt)))

    def _repeat(self, body: dict[str, Any], number: int) -> object:
        if self.variant is None:
            return body.get("seed")
        if body.get("temperature", 1) == 0:
            return None
        if body.get("seed") is None or self.variant == "ignores_seed":
            return f"random {number}"
        return body["seed"]

    def _schema(self, body: dict[str, Any]) -> dict[str, Any] | None:
        wanted = body.get("response_format") or {"type": "text"}
        if wanted["type"] == "text" or self.variant == "ignores_json_schema":
            return None
        if wanted["type"] != "json_schema" or self.variant == "no_json_schema":
            raise ApiError(400, f"response_format of type {wanted['type']!r} is not supported with this model")
        return wanted["json_schema"]["schema"]

    def _choice(self, body: dict[str, Any], *, index: int, text: str, finish: str) -> dict[str, Any]:
        if "messages" not in body:
            return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}
        wanted = body.get("logprobs") and self.variant != "no_logprobs"
        logprobs = _logprobs(text, body.get("top_logprobs") or 0) if wanted else None
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": finish}


def limit_of(body: dict[str, Any]) -> int | None:
    """How many words each choice of a request may have."""
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ApiError(400, f"max_tokens must be a whole number of at least 1, not {limit!r}")
    return limit


def _truncated(body: dict[str, Any]) -> dict[str, Any]:
    """The request as an endpoint sees it that keeps only the last words of what it is sent."""
    if "messages" not in body:
        return {**body, "prompt": " ".join(contents_of(body)[0].split()[-PROMPT_CAP:])}
    left, kept = PROMPT_CAP, []
    for message, text in zip(reversed(body["messages"]), reversed(contents_of(body)), strict=True):
        words = text.split()
        words = words[max(0, len(words) - left) :]
        left -= len(words)
        kept.append({**message, "content": " ".join(words)})
    return {**body, "messages": kept[::-1]}


def _fitting(schema: dict[str, Any], bits: bytes) -> dict[str, float]:
    """An object that fits a flat schema of numbers; without bounds, integers are 0 to 10 and numbers 0 to 1."""
    made: dict[str, float] = {}
    for i, (name, rule) in enumerate(schema["properties"].items()):
        share = bits[i % len(bits)] / 255
        low = rule.get("minimum", 0)
        if rule["type"] == "integer":
            made[name] = low + round(share * (rule.get("maximum", low + 10) - low))
        elif rule["type"] == "number":
            made[name] = low + share * (rule.get("maximum", low + 1) - low)
        else:
            raise ApiError(400, f"this endpoint fits only integers and numbers, not {rule['type']!r}")
    return made


def _logprobs(text: str, top: int) -> dict[str, Any]:
    tokens = []
    for i, word in enumerate(text.split()):
        token = word if i == 0 else f" {word}"
        first = -digest("logprob", i, word)[0] / 512  # so the token is always likelier than what follows below
        others = [(token, first), *((f" {word}{j}", first - 1.0 - j) for j in range(1, top))][:top]
        tokens.append({**_token(token, first), "top_logprobs": [_token(*other) for other in others]})
    return {"content": tokens, "refusal": None}


def _token(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "surrogatepass"))}
