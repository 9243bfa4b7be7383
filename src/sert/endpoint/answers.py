"""What of an answer is used. The ledger keeps what came: by other settings it is read anew, and nothing is asked."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sert.config.endpoints import FinishReason, Thinking
from sert.endpoint.calls import Call, Flag, Reply
from sert.endpoint.finish import NO_WORD, flag_of, meaning_of
from sert.endpoint.thinking import split_thinking


class Used(NamedTuple):
    """What of an answer is used.

    Attributes:
        text: The answer, or the thinking where that is kept.
        whole: What the model's own answer is read from: the text, and what stands behind kept thinking.
        thinking: All that was thought, in the text or beside it.
        closed: Whether the thinking that is left out came to its end.
    """

    text: str
    whole: str
    thinking: str
    closed: bool


@dataclass(frozen=True)
class AnswerReader:
    """Reads answers as the settings say.

    Attributes:
        section: Where these settings stand, for messages: `teacher` or `judge`.
        thinking: Whether the answer is used, or the thinking where there is any.
        finish_reasons: What words for the end of an answer mean that are not known.
        keep_flagged: Whether a flagged answer is used all the same, if it holds a text.
    """

    section: str = "teacher"
    thinking: Thinking = "drop"
    finish_reasons: Mapping[str, FinishReason] = field(default_factory=dict)
    keep_flagged: bool = False

    def use(self, text: str, thinking: str) -> Used:
        """Tell what is used of a text, and of the thinking that came apart from it."""
        split = split_thinking(text)
        thought = "\n".join(part for part in (thinking.strip(), split.thinking) if part)
        if self.thinking == "keep" and thought:
            return Used(thought, f"{thought}\n{split.answer}", thought, closed=True)
        return Used(split.answer, split.answer, thought, split.closed)

    def read(self, reply: Reply, call: Call) -> Reply:
        """Return the reply with the text that is used, all thinking apart, and the flag that this text deserves."""
        used = self.use(reply.text, reply.thinking)
        read = replace(reply, text=used.text, thinking=used.thinking)
        flag = flag_reply(read, call, self.meaning(reply))
        if flag is None and not used.closed:
            flag = "unfinished"
        return replace(read, flag=flag)

    def fault(self, reply: Reply, call: Call) -> str | None:
        """Say why no answer of this kind can be used, and how to mend it; None where one can, or the next one may."""
        read = self.read(reply, call)
        if read.flag is None or (read.text.strip() and (self.keep_flagged or read.flag != "unfinished")):
            return None
        mend = f"larger --max-tokens ({self.section}.endpoint.max_tokens)"
        if read.flag == "unfinished":
            return self._unfinished(read)
        if read.flag == "truncated":
            return f"the limit of {call.max_tokens} tokens was reached before any answer; give a {mend}"
        if read.flag == "filtered":
            return "the endpoint refused to answer, or its filter took the answer"
        if read.thinking:
            keep = f", or take the thinking for the rationale (--set {self.section}.thinking=keep)"
            return (
                "an answer holds thinking and nothing behind it; let the server not think "
                f"({self.section}.endpoint.extra_body), give a {mend}{keep if self.section == 'teacher' else ''}"
            )
        return "the answer is empty; look at the server's chat template, or give --api completions"

    def meaning(self, reply: Reply) -> FinishReason | None:
        """Tell what the end of a reply means; None when that is not known."""
        return meaning_of(reply.finish_reason, self.finish_reasons)

    def _unfinished(self, read: Reply) -> str:
        meaning = self.meaning(read)
        if meaning == "tool_calls":
            return "the endpoint calls a tool instead of answering; take the tools out of its settings"
        if meaning is not None:
            return "the thinking in an answer is not closed"
        named = read.finish_reason.strip()
        unknown = f"ends with finish_reason {named!r}, which is not known"
        setting = f'{self.section}.endpoint.finish_reasons={{{json.dumps(named or NO_WORD)}="stop"}}'
        return (
            f"an answer {unknown if named else 'comes without a finish_reason'}; if such answers are whole, say so "
            f"(--set '{setting}'), and those that came are used"
        )


DEFAULT_READER = AnswerReader()
"""Reads answers where no setting says how."""


def flag_reply(reply: Reply, call: Call, meaning: FinishReason | None) -> Flag | None:
    """Tell why a reply should not be used, by its text, its end and its tokens; damage is told by the flag it has."""
    by_end = flag_of(meaning)
    if by_end in ("truncated", "filtered"):
        return by_end
    # Some endpoints say `stop` whatever happens.
    if reply.usage is not None and reply.usage.completion_tokens >= call.max_tokens:
        return "truncated"
    if reply.flag == "damaged":
        return "damaged"
    if by_end is not None:
        return by_end
    return None if reply.text.strip() else "empty"
