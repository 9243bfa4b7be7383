"""Reading what a server sampled: token ids and the log-probability of each. Nothing is guessed.

A reply that shows that the server cannot do this at all is a trouble of the kind `fatal`, with what mends it; one that
is broken once is `transient`.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sert.endpoint.calls import TroubleError
from sert.endpoint.reading import json_or_none
from sert.endpoint.shapes import fields_of
from sert.student.outline import Outline
from sert.student.served.asking import Request
from sert.terminal.text import shorten

ROUNDING = 1e-3
"""How far above 0 a log-probability, or above 1 a sum of probabilities, may lie."""
MASKED = -9000.0
"""Log-probabilities below are no numbers of a model, but what servers write for minus infinity."""

_TOKEN = re.compile(r"token_id[:_]([0-9]{1,9})")
_ANOTHER = "Take vLLM (`vllm serve`), or let this software sample (mining.engine = 'student')"
NO_IDS = (
    "it gives no token ids (it was asked by return_token_ids, as vLLM knows it), and texts of tokens are not enough. "
    + _ANOTHER
)
NO_LOGPROBS = f"it gives no log-probability for each token. {_ANOTHER}"
NOT_RAW = (
    "its log-probabilities are not those of the whole vocabulary before temperature, top-k and top-p, which perplexity "
    "and the rules are about. Start vLLM with --logprobs-mode raw_logprobs"
)
GREEDY = (
    f"all samples of a request are the same: it takes the most probable token always, or draws all with one seed. "
    f"{_ANOTHER}"
)


class Sample(NamedTuple):
    """One sampled text.

    Attributes:
        token_ids: Its tokens, without the end-of-text that ended it.
        logprobs: Their log-probabilities.
        ended: Whether an end-of-text ended it.
        tops: The most probable tokens beside each drawn one, that ended it included; empty where none were asked for.
        drawn: The log-probability of each drawn token, that of the end-of-text included.
    """

    token_ids: list[int]
    logprobs: list[float]
    ended: bool
    tops: list[dict[int, float]]
    drawn: list[float]


def read_samples(content: bytes, request: Request, student: Outline) -> list[Sample]:
    """Read the samples of a request, in their order.

    Raises:
        TroubleError: If they are not what was asked for.
    """
    value = fields_of(json_or_none(content))
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(each, dict) for each in choices):
        raise TroubleError("transient", "the reply holds no choices", odd=True)
    if len(choices) != request.num_samples:
        raise _unfit(f"asked for {request.num_samples} samples in one request (n), it gives {len(choices)}. {_ANOTHER}")
    if sorted(map(_index, choices)) == list(range(len(choices))):
        choices = sorted(choices, key=_index)
    _check_prompt(value, choices[0], request)
    return [_sample(choice, request, student) for choice in choices]


def read_first_tokens(content: bytes, request: Request, student: Outline) -> list[tuple[int, float]]:
    """Read the most probable first tokens, most probable first, with their log-probabilities; of ties the lower token.

    Raises:
        TroubleError: If they are not what was asked for.
    """
    (sample,) = read_samples(content, request, student)
    if not sample.tops:
        raise _unfit(NO_LOGPROBS)
    top = sorted(sample.tops[0].items(), key=lambda each: (-each[1], each[0]))
    wanted = int(request.body["logprobs"])
    if len(top) < min(wanted, student.vocabulary):
        raise _unfit(
            f"asked for the {wanted} most probable first tokens, it gives {len(top)}. Let it give more "
            "(vLLM: --max-logprobs), or lower mining.branches"
        )
    _check_raw([value for _, value in top], student.vocabulary)
    return top


def check_kept(samples: Sequence[Sample], *, field: str, tolerance: float) -> None:
    """Check that only tokens were drawn that are about as probable as the most probable one.

    Raises:
        TroubleError: If others were: the setting is not kept to.
    """
    for sample in samples:
        for top, drawn in zip(sample.tops, sample.drawn, strict=True):
            if max(top.values()) - drawn > tolerance:
                raise _unfit(f"it does not keep to {field} (mining.{field}): tokens came that it rules out. {_ANOTHER}")


def check_lively(samples: Sequence[Sample]) -> None:
    """Check that samples differ.

    Raises:
        TroubleError: If all are the same.
    """
    if len({tuple(each.token_ids) for each in samples}) == 1:
        raise _unfit(GREEDY)


def _unfit(reason: str) -> TroubleError:
    return TroubleError("fatal", reason, billed=True)


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if type(index) is int else -1


def _check_prompt(value: Mapping[str, Any], choice: Mapping[str, Any], request: Request) -> None:
    """Check that the prompt was read as the tokens that were sent, as far as the server tells."""
    read, sent = choice.get("prompt_token_ids"), request.token_ids
    if isinstance(read, list):
        if read != sent:
            raise _unfit(f"it reads other tokens than the {len(sent)} that were sent. {_ANOTHER}")
        return
    told = fields_of(value.get("usage")).get("prompt_tokens")
    if told != len(sent):
        raise _unfit(f"of a prompt of {len(sent)} token ids it reads {shorten(told)}: it does not take ids. {_ANOTHER}")


def _sample(choice: Mapping[str, Any], request: Request, student: Outline) -> Sample:
    logprobs = fields_of(choice.get("logprobs"))
    token_ids = list(_token_ids(choice, logprobs, student.vocabulary))
    drawn = list(_numbers(logprobs.get("token_logprobs")))
    if len(drawn) != len(token_ids):
        raise _unfit(NO_LOGPROBS)
    if len(token_ids) > request.max_tokens:
        raise _unfit(f"it writes more than the {request.max_tokens} tokens that were asked for. {_ANOTHER}")
    tops = _tops(logprobs.get("top_logprobs"), len(token_ids)) if request.body["logprobs"] else []
    end = next((place for place, token in enumerate(token_ids) if token in student.ends), None)
    _check_end(choice.get("finish_reason"), token_ids, end, request)
    return Sample(token_ids[:end], drawn[:end], end is not None, tops, drawn)


def _check_end(finish: object, token_ids: Sequence[int], end: int | None, request: Request) -> None:
    if end is not None or (finish == "length" and len(token_ids) == request.max_tokens):
        return
    if finish == "length":
        raise _unfit(
            f"it cut a text at {len(token_ids)} of {request.max_tokens} tokens: give it a longer context (vLLM: "
            "--max-model-len)"
        )
    if finish == "stop":
        ends = ", ".join(map(str, request.body["stop_token_ids"]))
        raise _unfit(
            f"it ended a text with no token that ends the student's ({ends}): it leaves that token out, or stops at "
            f"others. Give it the generation config of the student, and no stop texts. {_ANOTHER}"
        )
    raise TroubleError("transient", f"a text ends with finish_reason {shorten(finish)}", billed=True)


def _token_ids(choice: Mapping[str, Any], logprobs: Mapping[str, Any], vocabulary: int) -> Iterator[int]:
    given = choice.get("token_ids")
    if not isinstance(given, list):
        tokens = logprobs.get("tokens")
        given = [_named(each) for each in tokens] if isinstance(tokens, list) else None
    if not isinstance(given, list) or any(type(each) is not int for each in given):
        raise _unfit(NO_IDS)
    for token in given:
        if not 0 <= token < vocabulary:
            raise _unfit(f"it gives the token {token}, and the student has {vocabulary}: it serves another model")
        yield token


def _named(token: object) -> int | None:
    """Read a token that is written as `token_id:17`."""
    found = _TOKEN.fullmatch(token) if isinstance(token, str) else None
    return int(found[1]) if found else None


def _numbers(values: object) -> Iterator[float]:
    for value in values if isinstance(values, list) else ():
        if type(value) not in (int, float) or not math.isfinite(value) or value > ROUNDING:
            raise _unfit(f"it gives {shorten(value)} for a log-probability. {_ANOTHER}")
        yield min(float(value), 0.0)


def _tops(values: object, length: int) -> list[dict[int, float]]:
    """Read the most probable tokens at each place."""
    if not isinstance(values, list) or len(values) != length or not all(isinstance(each, dict) for each in values):
        raise _unfit(NO_LOGPROBS)
    tops = []
    for each in values:
        named = {_named(token): value for token, value in each.items()}
        if None in named or not named:
            raise _unfit(NO_IDS)
        if not all(type(value) in (int, float) and value <= ROUNDING for value in named.values()):
            raise _unfit(NOT_RAW)
        tops.append({token: float(value) for token, value in named.items() if token is not None})
    return tops


def _check_raw(values: Sequence[float], vocabulary: int) -> None:
    """Check that numbers, the largest first, can be log-probabilities of the whole vocabulary, where one was drawn."""
    total = math.fsum(map(math.exp, values))
    if min(values) <= MASKED or total > 1 + ROUNDING or values[0] < -math.log(vocabulary) - ROUNDING:
        raise _unfit(NOT_RAW)
