"""Why an answer ended, in the words of many servers."""

from collections.abc import Mapping

from sert.config.endpoints import FinishReason
from sert.endpoint.calls import Flag

NO_WORD = "none"
"""Stands for the word of an endpoint that gives none."""

# Words of OpenAI, and of TGI, Together, Gemini, Anthropic, Bedrock, Cohere, Mistral, watsonx, AI21, Ollama's gateways.
_WORDS: dict[FinishReason, str] = {
    "stop": "stop stopped stop_sequence stop_token end end_turn end_of_text end_of_turn endoftext eos eos_token eot "
    "complete completed finish finished done",
    "length": "length max_tokens max_length max_new_tokens max_output_tokens max_completion_tokens model_length "
    "token_limit model_context_window_exceeded",
    "content_filter": "content_filter content_filtered safety recitation blocklist prohibited_content spii refusal "
    "guardrail_intervened error_toxic",
    "tool_calls": "tool_calls tool_call tool_use function_call",
}
_MEANING = {word: meaning for meaning, words in _WORDS.items() for word in words.split()}
_FLAG: dict[FinishReason | None, Flag] = {
    "length": "truncated",
    "content_filter": "filtered",
    "tool_calls": "unfinished",
    None: "unfinished",
}


def meaning_of(word: str, own: Mapping[str, FinishReason] | None = None) -> FinishReason | None:
    """Tell what an endpoint's word means, first by a table of one's `own`; None when that is not known."""
    plain = _plain(word)
    named = {_plain(name): meaning for name, meaning in (own or {}).items()}
    return named.get(plain) or _MEANING.get(plain)


def flag_of(meaning: FinishReason | None) -> Flag | None:
    """Tell what the end of an answer says against it; nothing where it ended by itself."""
    return _FLAG.get(meaning)


def _plain(word: str) -> str:
    """Write a word as all are compared: `FinishReason.MAX_TOKENS` as `max_tokens`."""
    plain = word.strip().lower().rpartition(".")[2].replace("-", "_").replace(" ", "_")
    return plain.removeprefix("finish_reason_") or NO_WORD
