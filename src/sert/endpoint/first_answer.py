"""What the first answers of an endpoint tell about those that follow."""

from collections.abc import Iterable, Iterator

from sert.endpoint.answers import AnswerReader
from sert.endpoint.calls import Call, Reply, TroubleError
from sert.endpoint.finish import meaning_of
from sert.endpoint.ledger import Ledger
from sert.errors import EndpointError
from sert.terminal.text import counted


class FirstAnswers:
    """Whether an endpoint's answers can be used, told by the first of them, before the others are paid for.

    Attributes:
        passed: Whether one of them can be used, or nobody is to look.
    """

    def __init__(self, reader: AnswerReader, *, most: int) -> None:
        """Take up to `most` answers that cannot be used before everything stops; 0 = any number."""
        self._reader, self._most = reader, most
        self._faults: list[str] = []
        self.passed = most == 0

    @property
    def seen(self) -> int:
        """How many could not be used, as far as they are counted."""
        return len(self._faults)

    @property
    def failed(self) -> bool:
        """Whether some came and none can be used."""
        return not self.passed and self.seen > 0

    @property
    def over(self) -> bool:
        """Whether enough of them came and none can be used."""
        return not self.passed and self.seen >= self._most

    def take(self, reply: Reply, call: Call) -> None:
        """Look at an answer."""
        if self.passed:
            return
        fault = self._reader.fault(reply, call)
        if fault is None:
            self.passed = True
        else:
            self._note(fault)

    def take_odd(self, trouble: TroubleError) -> None:
        """Note a reply that holds no answer."""
        if not self.passed:
            self._note(trouble.reason)

    def _note(self, fault: str) -> None:
        if self.seen < self._most:  # a batch may hold thousands
            self._faults.append(fault)

    def look_back(self, calls: Iterable[Call], ledger: Ledger) -> None:
        """Look at what was answered earlier, until one can be used."""
        for call in calls if ledger.totals.answers else ():
            if self.passed:
                return
            if (reply := ledger.reply(call.key)) is not None:
                self.take(reply, call)

    def error(self) -> EndpointError:
        """Say why everything stops."""
        why = "; ".join(dict.fromkeys(self._faults))
        first = "the first answer" if self.seen == 1 else f"the first {counted(self.seen, 'answers')}"
        return EndpointError(
            f"Stopped: {first} cannot be used: {why}. Answers are kept and not asked for again; "
            f"--set {self._reader.section}.calls.first_answers=0 goes on all the same."
        )


def cut_prompt(call: Call, reply: Reply) -> str | None:
    """Say so if the endpoint counts so few tokens in a prompt that it cannot have read all its words."""
    prompt = call.body.get("prompt") or call.body["messages"][0]["content"]
    words = len(prompt.split())
    if reply.usage is None or reply.usage.prompt_tokens >= words // 2:
        return None
    return f"the endpoint counts {reply.usage.prompt_tokens} tokens in a prompt of {words} words, so it cut the prompt"


def warnings_about(call: Call, reply: Reply, reader: AnswerReader) -> Iterator[str]:
    """Say what is odd, but no reason to stop."""
    asked = str(call.body["model"]).lower()
    if reply.model and reply.model.lower() not in asked and asked not in reply.model.lower():
        yield f"the endpoint answers as {reply.model!r}, not as {asked!r}"
    if reply.usage is None:
        yield "the endpoint does not count tokens, so that costs are held at their most and cut answers may not be seen"
    elif reply.usage.completion_tokens > call.max_tokens:
        yield f"the endpoint wrote {reply.usage.completion_tokens} tokens where {call.max_tokens} were the limit"
    elif reply.usage.completion_tokens == call.max_tokens and meaning_of(reply.finish_reason) != "length":
        yield f"the endpoint says {reply.finish_reason!r} for an answer that the limit cut"
    if reader.section == "teacher" and reader.thinking == "drop" and reader.read(reply, call).thinking:
        yield "the model thinks before it answers, which is left out of rationales (teacher.thinking)"
