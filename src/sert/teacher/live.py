"""A teacher behind an endpoint: one call a question, and rationales out of the answers."""

import re
from collections.abc import Iterator, Sequence

from sert.config.endpoints import EndpointConfig
from sert.config.tree import PromptTemplates
from sert.endpoint.calls import Call, Reply, make_call
from sert.endpoint.ledger import Ledger, Quarantined
from sert.endpoint.secrets import check_url
from sert.records import Question, Rationale
from sert.tasks.answers import ANSWER_PHRASE, extract_strict, is_correct
from sert.tasks.prompts import teacher_prompt

# How teachers conclude in their own words: "Therefore, the answer is", "The correct answer would be", "Answer:".
_CONCLUSION = re.compile(
    r"\b(?:the|my) (?:\w+ )?answer (?:is|would be|must be)\b(?: that)?|\banswer\W{0,3}:", re.IGNORECASE
)


def rationale_calls(
    questions: Sequence[Question], *, endpoint: EndpointConfig, prompts: PromptTemplates
) -> Iterator[Call]:
    """Write the call for each question, as it is asked for."""
    for question in questions:
        yield _call(question, endpoint, prompts)


def read_rationales(
    ledger: Ledger, questions: Sequence[Question], *, endpoint: EndpointConfig, prompts: PromptTemplates
) -> Iterator[Rationale]:
    """Read the rationales that were answered, in the order of the questions."""
    host = check_url(endpoint.url).netloc
    for question in questions:
        reply = ledger.reply(_call(question, endpoint, prompts).key)
        if reply is not None:
            yield _rationale(question, reply, prompt=teacher_prompt(question, prompts), model=endpoint.model, host=host)


def read_quarantined(
    ledger: Ledger, questions: Sequence[Question], *, endpoint: EndpointConfig, prompts: PromptTemplates
) -> Iterator[Quarantined]:
    """Read what was put aside, in the order of the questions."""
    for question in questions:
        quarantined = ledger.quarantined(_call(question, endpoint, prompts).key)
        if quarantined is not None:
            yield quarantined._replace(label=question.question_id)


def own_answer(text: str, question: Question) -> str | None:
    """Read the teacher's own answer behind its last `So the answer is`, or behind its last conclusion in other words.

    It is read as strictly as a student's: None when no answer, or more than one, is stated there.
    """
    strict = extract_strict(text, question)
    conclusions = list(_CONCLUSION.finditer(text))
    if strict is not None or not conclusions:
        return strict
    return extract_strict(ANSWER_PHRASE + text[conclusions[-1].end() :], question)


def _call(question: Question, endpoint: EndpointConfig, prompts: PromptTemplates) -> Call:
    return make_call(teacher_prompt(question, prompts), endpoint, label=question.question_id)


def _rationale(question: Question, reply: Reply, *, prompt: str, model: str, host: str) -> Rationale:
    extracted = own_answer(reply.text, question)
    return Rationale(
        question_id=question.question_id,
        model=reply.model or model,
        prompt=prompt,
        text=reply.text.strip(),
        finish_reason=reply.finish_reason,
        extracted=extracted,
        correct=extracted is not None and is_correct(extracted, question),
        prompt_tokens=reply.usage.prompt_tokens if reply.usage else None,
        completion_tokens=reply.usage.completion_tokens if reply.usage else None,
        source=host,
        flag=reply.flag,
    )
