"""What is asked of a server that samples: first tokens with their log-probabilities, and continuations of each.

Prompts are token ids, and so is what comes back: `/v1/completions` as vLLM has it. Every setting of the sampling is
sent, since servers have defaults of their own (vLLM takes them from the model's `generation_config.json`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sert.seeds import derive_seed
from sert.student.decoding.schedule import Decoding, DecodingPrompt
from sert.student.outline import Outline

PATH = "/completions"
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.01, 2.0
"""What servers take; vLLM raises what is lower without a word in its reply, and refuses what is higher."""
MOST_SEEDS = 2**31
"""Seeds are smaller, as some servers hold them in 32 bits."""
PROBE_SAMPLES, PROBE_TOKENS = 4, 16
"""What is sampled to see whether a setting is kept to."""
TINY_SHARE = 1e-6
"""A top-p that only the most probable token reaches."""


class Request(NamedTuple):
    """One request.

    Attributes:
        what: What it is for, in words that follow "cannot".
        body: Its fields.
    """

    what: str
    body: dict[str, Any]

    @property
    def token_ids(self) -> list[int]:
        """What is continued."""
        return list(self.body["prompt"])

    @property
    def num_samples(self) -> int:
        """Continuations that are asked for."""
        return int(self.body["n"])

    @property
    def max_tokens(self) -> int:
        """Tokens of each, at most."""
        return int(self.body["max_tokens"])


class Probe(NamedTuple):
    """A request under which only likely tokens can come, if a setting is kept to.

    Attributes:
        field: What it is called in requests, and in `mining`.
        request: The request.
        tolerance: How far below the most probable token a drawn one may lie, in nats.
    """

    field: str
    request: Request
    tolerance: float


@dataclass(frozen=True)
class Asking:
    """Writes the requests of one decoding.

    Attributes:
        model: The student's name at the server.
        student: The student as it is here.
        decoding: How it is sampled.
    """

    model: str
    student: Outline
    decoding: Decoding

    @property
    def num_firsts(self) -> int:
        """First tokens that are asked for: those that are taken, and as many ends of texts as may be among them."""
        skipped = len(self.student.eos_ids) if self.decoding.eos_branch == "skip" else 0
        return (self.decoding.branches or 1) + skipped

    def first_tokens(self, prompt: DecodingPrompt) -> Request:
        """Ask for the most probable first tokens.

        What is drawn is the most probable one alone (`top_k = 1`), so that log-probabilities that were taken after the
        truncation are seen as such.
        """
        what = f"tell the first tokens of {prompt.item!r}"
        return self._request(what, prompt, top_k=1, top_p=1.0, temperature=1.0, logprobs=self.num_firsts, max_tokens=1)

    def continuations(self, prompt: DecodingPrompt, branch: int, first: int | None) -> Request:
        """Ask for the samples of a branch behind its first token; without one the first token is drawn, too."""
        decoding = self.decoding
        behind = prompt if first is None else prompt._replace(token_ids=[*prompt.token_ids, first])
        return self._request(
            f"sample the paths of {prompt.item!r}",
            behind,
            branch,
            n=decoding.samples,
            max_tokens=decoding.max_new_tokens - (first is not None),
            top_k=decoding.top_k,
            top_p=decoding.top_p,
            temperature=decoding.temperature,
            logprobs=0,
        )

    def probes(self, prompt: DecodingPrompt) -> Iterator[Probe]:
        """Ask for samples that show whether each setting is kept to."""
        several = max(2, self.decoding.top_k)
        for field, sampling, tolerance in (
            ("top_k", {"top_k": 1, "top_p": 1.0, "temperature": HIGHEST_TEMPERATURE}, 0.05),
            ("top_p", {"top_k": several, "top_p": TINY_SHARE, "temperature": HIGHEST_TEMPERATURE}, 0.05),
            ("temperature", {"top_k": several, "top_p": 1.0, "temperature": LOWEST_TEMPERATURE}, 0.5),
        ):
            yield Probe(field, self._probe(field, prompt, sampling), tolerance)

    def lively(self, prompt: DecodingPrompt) -> Request:
        """Ask for samples that differ, if they are drawn and not each the most probable text."""
        sampling = {"top_k": max(10, self.decoding.top_k), "top_p": 1.0, "temperature": HIGHEST_TEMPERATURE}
        return self._probe("seed", prompt, sampling, samples=2 * PROBE_SAMPLES)

    def _probe(
        self, field: str, prompt: DecodingPrompt, sampling: dict[str, Any], *, samples: int = PROBE_SAMPLES
    ) -> Request:
        longest = min(PROBE_TOKENS, self.decoding.max_new_tokens)
        numbers = {"n": samples, "max_tokens": longest, "logprobs": 1}
        return self._request("sample as it is told", prompt, field, **sampling, **numbers)

    def _request(self, what: str, prompt: DecodingPrompt, part: int | str = "", **fields: Any) -> Request:
        seed = derive_seed(self.decoding.seed, "served", prompt.item, part) % MOST_SEEDS
        body = {
            "model": self.model,
            "prompt": prompt.token_ids,
            "n": 1,
            **fields,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "watermarking": False,
            "seed": seed,
            "stop_token_ids": list(self.student.eos_ids),
            "ignore_eos": True,  # what else the server takes for an end; ours are named
            "add_special_tokens": False,
            "skip_special_tokens": False,
            "return_token_ids": True,
            "return_tokens_as_token_ids": True,
            "stream": False,
        }
        return Request(what, body)
