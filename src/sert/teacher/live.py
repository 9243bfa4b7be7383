"""A teacher behind an endpoint: one call a question, and rationales out of the answers."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from sert.config.endpoints import EndpointConfig
from sert.config.prompts import PromptTemplates
from sert.endpoint.answers import DEFAULT_READER, AnswerReader
from sert.endpoint.calls import Call, Reply, make_call
from sert.endpoint.ledger import Ledger, Quarantined
from sert.endpoint.secrets import check_url
from sert.records import Question, Rationale
from sert.tasks.answers import extract_strict, is_correct
from sert.tasks.mentions import asked_elsewhere
from sert.tasks.prompts import teacher_prompt


class Asked(NamedTuple):
    """What a teacher behind an endpoint is asked; what came back is read in the order of the questions."""

    questions: Sequence[Question]
    endpoint: EndpointConfig
    prompts: PromptTemplates
    reader: AnswerReader = DEFAULT_READER

    def calls(self) -> Iterator[Call]:
        """Write the call for each question, as it is asked for."""
        return map(self._call, self.questions)

    def rationales(self, ledger: Ledger) -> Iterator[Rationale]:
        """Read the rationales that were answered."""
        host = check_url(self.endpoint.url).netloc
        for question in self.questions:
            call = self._call(question)
            if (reply := ledger.reply(call.key)) is not None:
                read = self.reader.read(reply if reply.model else replace(reply, model=self.endpoint.model), call)
                whole = self.reader.use(reply.text, reply.thinking).whole
                answer = extract_strict(whole, asked_elsewhere(question))
                prompt = teacher_prompt(question, self.prompts)
                yield rationale_of(question, read, prompt=prompt, answer=answer, source=host)

    def quarantined(self, ledger: Ledger) -> Iterator[Quarantined]:
        """Read what was put aside."""
        for question in self.questions:
            if (quarantined := ledger.quarantined(self._call(question).key)) is not None:
                yield quarantined._replace(label=question.question_id)

    def _call(self, question: Question) -> Call:
        return make_call(teacher_prompt(question, self.prompts), self.endpoint, label=question.question_id)


def rationale_of(question: Question, reply: Reply, *, prompt: str, answer: str | None, source: str) -> Rationale:
    """Make a rationale of what a teacher wrote for a prompt, and of its own answer, None when none could be read."""
    usage = reply.usage
    return Rationale(
        question_id=question.question_id,
        model=reply.model,
        prompt=prompt,
        text=reply.text.strip(),
        finish_reason=reply.finish_reason,
        extracted=answer,
        correct=answer is not None and is_correct(answer, question),
        prompt_tokens=None if usage is None else usage.prompt_tokens,
        completion_tokens=None if usage is None else usage.completion_tokens,
        source=source,
        flag=reply.flag,
    )
