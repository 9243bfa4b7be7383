"""What the replies to the probes of an endpoint say about it."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from sert.config.endpoints import FinishReason
from sert.doctor.finding import Finding, Severity
from sert.endpoint.calls import Call, Reply, TroubleError, Usage
from sert.endpoint.reading import json_or_none
from sert.endpoint.shapes import fields_of

SHORT_WORDS, LONG_WORDS = 500, 4500
"""Words of the two prompts that show where prompts are cut; the usual places are 2,048 and 4,096 tokens."""
LIMIT = 5
"""Most tokens of the answer that is to be cut."""
WORDS_A_TOKEN = 4
"""No text has more words a token, whatever the vocabulary."""

# What may stand behind a model's name without making it another model: dates, numbers of snapshots, kinds of files.
_SNAPSHOT = r"(?:[-@:._](?:\d{3,8}|\d{4}-\d{2}-\d{2}|latest|free|gguf))*(?:@\w[\w.-]{0,80})?"


class Seen(NamedTuple):
    """A reply.

    Attributes:
        reply: As a run reads it, thinking apart.
        choices: How many it has.
        has_logprobs: Whether the first one has log-probabilities.
        end: What its word for the end means; None when that is not known.
        fault: Why a run could not use such answers; None when it could.
    """

    reply: Reply
    choices: int
    has_logprobs: bool
    end: FinishReason | None
    fault: str | None


class Meaning(NamedTuple):
    """What it means for a finding that the endpoint takes other calls but not this one."""

    verdict: Severity
    message: str


UNKNOWN = Meaning("unknown", "Not known, because a request failed.")
NO_CHOICES = Meaning("warning", "It takes no n. Runs ask for one answer at a time, so nothing is lost.")
NO_SEED = Meaning("warning", "It takes no seed or no temperature of 1: answers cannot be repeated, only kept.")
NO_TEMPERATURE = Meaning("warning", "It takes no temperature of 0: give one that it takes (endpoint.temperature).")
NO_LOGPROBS = Meaning("warning", "It gives no log-probabilities; they cannot be measured here.")
NO_SCHEMA = Meaning("warning", "It takes no JSON form; a judge is asked for lines instead.")
NOT_SO_LONG = (
    Meaning("warning", f"It refuses a prompt of {SHORT_WORDS} words: give the server a longer context."),
    Meaning("ok", f"It reads prompts of {SHORT_WORDS} words, and refuses {LONG_WORDS} words instead of cutting them."),
)


def no_answer(trouble: TroubleError) -> Finding:
    """Say why nothing came back, and how to mend it."""
    mend = {
        "transient": "Look again later, or into the server's own log.",
        "limited": "Look again later, or send less a minute (calls.requests_per_minute).",
        "refused": "Change what it does not take: temperature, token_limit_field or extra_body of the endpoint.",
        "fatal": "Check the address, the model's name, and the environment variable of the key.",
    }[trouble.kind]
    if trouble.proxied:
        mend = "Look at the proxy first."
    elif trouble.unreachable:
        mend = "Start the server, and give its address up to /v1."
    return Finding("answer", "problem", f"No answer: {one_line(trouble.reason)}. {mend}")


def check_answer(seen: Sequence[Seen], asked: str) -> list[Finding]:
    """Look at a short answer, and at all that comes with it."""
    reply, fault = seen[0].reply, seen[0].fault
    found = [
        _check_text(reply, fault),
        _check_model(reply.model, asked),
        _check_usage(reply.usage),
        _check_end(reply, fault),
    ]
    return [*found, *_check_thinking(reply)]


def _check_text(reply: Reply, fault: str | None) -> Finding:
    if reply.flag == "empty" and reply.thinking:
        return Finding("answer", "problem", f"It answers, but {fault}.")
    if reply.flag == "truncated" and not reply.text.strip():
        message = "Its limit was reached before any text. A model that thinks first needs a larger --max-tokens."
        return Finding("answer", "unknown", message)
    spoiled = {
        "filtered": "its filter stopped a harmless answer",
        "empty": "the answer is empty",
        "damaged": "the answer holds half characters",
    }.get(reply.flag or "")
    if spoiled:
        return Finding("answer", "problem", f"It answers, but {spoiled}. Such answers are not used; mend the server.")
    return Finding("answer", "ok", f"It answers: {_quote(reply.text)}")


def _check_model(answered: str, asked: str) -> Finding:
    if not answered:
        return Finding("model", "unknown", "It does not say which model answered.")
    if _is_snapshot(answered, asked) or _is_snapshot(asked, answered):
        return Finding("model", "ok", f"{_quote(answered)} answers.")
    message = (
        f"{_quote(answered)} answers where {_quote(asked)} was asked, so results would stand under a wrong name. Give "
        "the name of the model that is meant, or look what stands behind the address."
    )
    return Finding("model", "warning", message)


def _is_snapshot(longer: str, shorter: str) -> bool:
    """Tell whether a name is another one with at most a folder before it and a snapshot behind it."""
    return re.fullmatch(f"(?:.*/)?{re.escape(shorter)}{_SNAPSHOT}", longer, re.IGNORECASE | re.DOTALL) is not None


def _check_usage(usage: Usage | None) -> Finding:
    if usage is not None:
        message = f"It counts tokens: {usage.prompt_tokens} of the prompt, {usage.completion_tokens} of the answer."
        return Finding("usage", "ok", message)
    message = (
        "It counts no tokens: each call is booked at its worst case, and a cap is reached early. Let the server report "
        "its usage, or give --free if it is your own."
    )
    return Finding("usage", "warning", message)


def _check_thinking(reply: Reply) -> list[Finding]:
    if not reply.thinking:
        return []
    message = (
        "It thinks before it answers. That is left out of rationales, or is the rationale by teacher.thinking=keep."
    )
    return [Finding("thinking", "ok", message)]


def _check_end(reply: Reply, fault: str | None) -> Finding:
    if reply.flag in ("filtered", "empty", "damaged"):
        return Finding("end", "unknown", "Not known without a whole answer.")
    if reply.flag == "unfinished":
        return Finding("end", "problem", f"A run would stop: {fault}.")
    if reply.flag is None:
        return Finding("end", "ok", f"A short answer ends with {_quote(reply.finish_reason)}.")
    message = (
        "An answer that should be short reaches the limit. Such answers are flagged and not used. Give a larger "
        "--max-tokens, or check the server's chat template."
    )
    return Finding("end", "warning", message)


def check_limit(seen: Sequence[Seen]) -> list[Finding]:
    """Look whether an answer was cut at `LIMIT` tokens, and whether that is said."""
    reply = seen[0].reply
    words, finish = len(f"{reply.thinking} {reply.text}".split()), _quote(reply.finish_reason)
    written = None if reply.usage is None else reply.usage.completion_tokens
    if words > LIMIT * WORDS_A_TOKEN or (written is not None and written > LIMIT):
        counted = "" if written is None else f", {written} tokens by its own count"
        message = (
            f"Asked for {LIMIT} tokens at most, it wrote {words} words{counted}: it keeps no limit, so no cap can be "
            "kept. Look how it calls the limit (endpoint.token_limit_field)."
        )
        return [Finding("max_tokens", "problem", message), Finding("finish_reason", "unknown", "No answer was cut.")]
    kept = Finding("max_tokens", "ok", f"Asked for {LIMIT} tokens at most, it wrote no more.")
    return [kept, _check_finish(finish, written, is_said=seen[0].end == "length")]


def _check_finish(finish: str, written: int | None, *, is_said: bool) -> Finding:
    if is_said:
        return Finding("finish_reason", "ok", f"An answer that is cut ends with {finish}.")
    if written is not None and written < LIMIT:
        return Finding("finish_reason", "unknown", f"It wrote only {written} tokens; no answer was cut.")
    if written is None:
        message = (
            f"An answer that seems cut ends with {finish}, not 'length', and no tokens are counted: cut answers would "
            "pass as whole ones. Let the server report one of the two."
        )
        return Finding("finish_reason", "warning", message)
    message = (
        f"An answer that was cut at {LIMIT} tokens ends with {finish}, not 'length'. Cut answers are known by their "
        "token counts alone. Give a --max-tokens that is never reached."
    )
    return Finding("finish_reason", "problem", message)


def check_lengths(seen: Sequence[Seen], calls: Sequence[Call]) -> list[Finding]:
    """Compare the endpoint's counts of two prompts with what is possible: words <= tokens <= bytes."""
    short, long = (each.reply.usage for each in seen)
    if short is None or long is None:
        message = "It counts no tokens, so it cannot be seen whether it cuts prompts. Let the server report its usage."
        return [Finding("prompt length", "unknown", message)]
    short_tokens, long_tokens = short.prompt_tokens, long.prompt_tokens
    most = calls[1].most_usage.prompt_tokens
    if short_tokens < SHORT_WORDS or long_tokens - short_tokens < LONG_WORDS - SHORT_WORDS:
        is_short = short_tokens < SHORT_WORDS
        words, tokens = (SHORT_WORDS, short_tokens) if is_short else (LONG_WORDS, long_tokens)
        message = (
            f"It stops at {tokens} tokens of a prompt of {words} words and does not say so: longer prompts lose a part "
            "unseen. Give the server a longer context (num_ctx, --max-model-len, --ctx-size)."
        )
        return [Finding("prompt length", "problem", message)]
    if long_tokens > most:
        message = f"It counts {long_tokens} tokens where {most} are possible at most: no cap can be kept there."
        return [Finding("prompt length", "problem", message)]
    return [Finding("prompt length", "ok", f"It reads all of {LONG_WORDS} words, {long_tokens} tokens by its count.")]


def check_choices(seen: Sequence[Seen]) -> list[Finding]:
    """Look whether two answers came, as asked."""
    if seen[0].choices == 2:
        return [Finding("n", "ok", "Asked for two answers at once, it gives two.")]
    message = (
        f"Asked for two answers at once (n = 2), it gives {seen[0].choices}. Runs ask for one at a time, so nothing is "
        "lost."
    )
    return [Finding("n", "warning", message)]


def check_seed(seen: Sequence[Seen]) -> list[Finding]:
    """Compare answers with the same seed, and one with another seed."""
    first, again, other = (each.reply.text for each in seen)
    if first != again:
        message = "The same seed gives different texts: answers cannot be repeated, only kept."
        return [Finding("seed", "warning", message)]
    if first == other:
        return [Finding("seed", "unknown", "All texts are equal, whatever the seed.")]
    return [Finding("seed", "ok", "The same seed gives the same text, another one a different text.")]


def check_temperature(seen: Sequence[Seen]) -> list[Finding]:
    """Compare two answers at temperature 0."""
    first, again = (each.reply.text for each in seen)
    if first != again:
        message = "Temperature 0 gives different texts: a new run gets other answers. A resumed one asks nothing twice."
        return [Finding("temperature", "warning", message)]
    if not first.strip():
        return [Finding("temperature", "unknown", "Neither answer holds a text.")]
    return [Finding("temperature", "ok", "Temperature 0 gives the same text twice.")]


def check_logprobs(seen: Sequence[Seen]) -> list[Finding]:
    """Look whether log-probabilities came, as asked."""
    if seen[0].has_logprobs:
        return [Finding("logprobs", "ok", "It gives log-probabilities.")]
    return [Finding("logprobs", *NO_LOGPROBS)]


def check_schema(seen: Sequence[Seen]) -> list[Finding]:
    """Look whether the answer has the form `{"score": integer}`."""
    reply = seen[0].reply
    value = json_or_none(reply.text)
    if isinstance(value, dict) and value.keys() == {"score"} and type(value["score"]) is int:
        return [Finding("json_schema", "ok", "It answers in a JSON form that it is given.")]
    if reply.flag is not None:
        return [Finding("json_schema", "unknown", f"Not known, because the answer was {reply.flag}.")]
    message = f"It ignores the JSON form that it is given and writes {_quote(reply.text)}; ask a judge for lines."
    return [Finding("json_schema", "warning", message)]


def has_logprobs(choice: Any) -> bool:
    """Tell whether a choice has log-probabilities, in the form of either interface."""
    found = fields_of(choice.get("logprobs"))
    return any(isinstance(each, list) and each for each in (found.get("content"), found.get("token_logprobs")))


def one_line(text: str) -> str:
    """Put an endpoint's text into one line."""
    return " ".join(text.split())


def _quote(text: str) -> str:
    return f"'{one_line(text)[:80]}'"
