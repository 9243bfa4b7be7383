"""What crosses rooms: the rows of the tables that the stages exchange.

Field names are the columns of the Parquet tables (`docs/data.md`); columns may be added, not renamed. Shares and
accuracies are 0..1, log-probabilities are natural logs under the untempered, untruncated student.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

AnswerType = Literal["yes_no", "choice", "text", "expression"]
Split = Literal["train", "dev", "test"]

LETTERS = "ABCDEFGHIJ"
TOO_LONG = "too_long"
"""Finish of the prediction of a question that the student could not be asked."""

Float32 = Annotated[float, "float32"]
"""A column of half the size; others are float64, and whole numbers int32."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a task.

    Attributes:
        question_id: Unique within its task.
        split: `train`; `dev`, on which the epoch is chosen; or `test`.
        question: The question (for multiple choice the stem, without its choices).
        choices: The options in order, lettered A, B, ...; empty when there are none.
        answer: The gold answer: `yes` or `no`, a choice letter, or a text.
        prompt: What the student is asked, from the task's `student` template.
        context: What the templates name of further columns, such as a passage: pairs of placeholder and text.
        expression: Whether the gold answer is a mathematical expression, and answers are compared by their value.
    """

    question_id: str
    task: str
    split: str
    question: str
    choices: tuple[str, ...]
    answer: str
    prompt: str
    context: tuple[tuple[str, str], ...] = ()
    expression: bool = False

    @property
    def letters(self) -> str:
        """The letters of the choices, `ABCDE` for five."""
        return LETTERS[: len(self.choices)]

    @property
    def answer_type(self) -> AnswerType:
        """How answers to this question are read: a choice letter, yes or no, an expression, or free text."""
        if self.choices:
            return "choice"
        if self.expression:
            return "expression"
        return "yes_no" if self.answer in ("yes", "no") else "text"


class PathKey(NamedTuple):
    """Names one path of a task."""

    question_id: str
    branch: int
    sample: int


@dataclass(frozen=True, slots=True)
class _OfPath:
    question_id: str
    branch: int
    sample: int

    @property
    def key(self) -> PathKey:
        """The name of the path."""
        return PathKey(self.question_id, self.branch, self.sample)


@dataclass(frozen=True, slots=True)
class Path(_OfPath):
    """One sampled path of the student.

    Attributes:
        branch: Rank of the first token, 0 = the student's most probable; also 0 for raw sampling.
        sample: Index of the continuation within its branch.
        first_token_logprob: Log-probability of the first token, in nats; None for a path that ended at once.
        token_ids: Sampled tokens, the branch token first, end-of-text excluded.
        logprobs: Log-probability of each token of `token_ids`, in nats.
        text: The decoded tokens; ids are the truth, text is for people.
        finish: `eos`, `length` (the limit was reached) `rejected` (a rule was certain to drop
            it) or `outrun` (another path of its question was certain to be preferred).
        perplexity: exp of the mean negative log-probability of the tokens; infinite for an empty path.
        rep_2: 1 - distinct bigrams / bigrams of the tokens, 0 when there are none.
    """

    first_token_id: int
    first_token_logprob: float | None
    token_ids: tuple[int, ...]
    logprobs: tuple[Float32, ...]
    text: str
    finish: str
    num_tokens: int
    perplexity: float
    rep_2: float

    @property
    def stopped_early(self) -> bool:
        """Whether it was not decoded to its end, so that nobody knows what it would have become."""
        return self.finish in ("rejected", "outrun")


@dataclass(frozen=True, slots=True)
class Verdict(_OfPath):
    """What the rules say of one path.

    Attributes:
        reason: The first rule that dropped the path, None when it is kept.
        num_tokens: Measured by the length rule, in its unit.
        rep_2: Measured by the repetition rule, in its unit.
        perplexity: Measured by the perplexity rule.
        imitation: Whether the text imitates the question format.
        option_repetition: Whether the text only lists the options.
        direct_response: Whether the text answers without reasoning.
        conclusion: The path's own answer, None when it states none.
        agrees: Whether that answer is the gold answer, None when it states none.
        selected: Whether this is the path that its question is trained on.
        whole_characters: How much of the text its whole sentences have, where the reasoning breaks off within one at
            the limit of tokens (0 where what is left is no reasoning); None where it does not.
    """

    reason: str | None
    num_tokens: int
    rep_2: float
    perplexity: float
    imitation: bool
    option_repetition: bool
    direct_response: bool
    conclusion: str | None
    agrees: bool | None
    selected: bool
    whole_characters: int | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One training example: `completion` is supervised, `prompt` is not.

    Attributes:
        source: `label`, `path` or `rationale`.
        path_ids: The tokens of a mined path, as they were sampled; those that spell the beginning of the completion are
            what is trained. Empty where there is no path.
        conclusion: The end of the completion, which the path has no part in; empty where there is no path.
    """

    question_id: str
    prompt: str
    completion: str
    source: str
    path_ids: tuple[int, ...] = ()
    conclusion: str = ""


@dataclass(frozen=True, slots=True)
class Rationale:
    """One answer of the teacher.

    Attributes:
        text: The reasoning, without the answer that was extracted in a second call.
        finish_reason: The server's word; empty when the record does not hold it.
        extracted: The teacher's own answer, None when none could be read.
        correct: Whether it is the gold answer.
        source: Where it comes from: a file's name or an endpoint's host.
        flag: Why nothing is trained on it (`truncated`, `filtered`, `empty`, `unfinished`, `damaged`); None when it is
            sound, or when the record does not tell.
    """

    question_id: str
    model: str
    prompt: str
    text: str
    finish_reason: str
    extracted: str | None
    correct: bool
    prompt_tokens: int | None
    completion_tokens: int | None
    source: str
    flag: str | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One output of a student on a question, graded.

    Attributes:
        finish: `eos` or `length`; `too_long` where prompt and output exceed the student's positions, so that there is
            no output.
        num_tokens: Tokens of the completion, end-of-text excluded.
        answer_strict: The answer that the output states, None when it states none, or two.
        answer_loose: The strict answer, else the first plausible one.
        format_ok: Strict answer behind `So the answer is`, ended before the limit, and no severe repetition.
        rep_1: Unigram repetition of the reasoning over lower-cased whitespace words.
        reasoning_tokens: Student tokens before the conclusion.
        reasoned: Whether it reasons before it answers (see `sert.paths.rules.is_reasoned`).
        num_outputs: Outputs of the question; this is the first of them that gave the answer most of them gave.
        votes: How many of them gave that answer: 1 for the only one, 0 when none of several gave any.
    """

    question_id: str
    prompt: str
    completion: str
    finish: str
    num_tokens: int
    answer_strict: str | None
    answer_loose: str | None
    correct_strict: bool
    correct_loose: bool
    format_ok: bool
    rep_1: float
    reasoning_tokens: int
    reasoned: bool
    num_outputs: int = 1
    votes: int = 1


@dataclass(frozen=True, slots=True)
class Output:
    """One of several outputs of a student that vote on the answer of a question.

    Attributes:
        sample: Its number, from 0.
        finish: `eos` or `length`.
        num_tokens: Tokens of the completion, end-of-text excluded.
        answer: Its loose answer, None when it has none and does not vote.
    """

    question_id: str
    sample: int
    completion: str
    finish: str
    num_tokens: int
    answer: str | None


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How probable one answer of a question is to a student, written behind the prompt.

    Attributes:
        form: How the answer is written: `cloze`, as its words, or `letter`.
        answer: What it answers: `yes`, `no`, or the letter of a choice.
        logprob: Sum of the log-probabilities of its tokens, in nats.
        num_tokens: Its tokens.
        num_characters: Its characters, without the blank in front.
    """

    question_id: str
    form: str
    answer: str
    logprob: float
    num_tokens: int
    num_characters: int


@dataclass(frozen=True, slots=True)
class Gain:
    """How much one text raises the likelihood of the gold answer of its question, to a student (`docs/numbers.md`).

    Attributes:
        branch, sample: Which path of the question it is; None for an output and for a rationale.
        nats: The gain; None where the text exceeds the student's positions, was stopped early, or is not there.
        right: Whether the gold answer is the most probable of the possible ones behind the text, a character; None
            where there is no gain, or the answers are no closed set.
        right_without: The same without the text.
    """

    question_id: str
    branch: int | None
    sample: int | None
    nats: float | None
    right: bool | None
    right_without: bool | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """One reply of a judge.

    Attributes:
        source: Whose text it is: a folder's name, or `good` or `bad` for planted ones.
        branch, sample: Which path of the question it is; None for an output and for planted texts.
        repeat: Number of the reply, where a text is judged several times.
        coherence: 0 to 10, like the other three; None when the reply gave no scores.
        failure: Why there are no scores, None when there are.
        reply: What the judge wrote; empty when nothing came.
    """

    source: str
    question_id: str
    repeat: int
    coherence: float | None
    relevance: float | None
    logical_consistency: float | None
    completeness: float | None
    failure: str | None
    reply: str
    branch: int | None = None
    sample: int | None = None


@dataclass(frozen=True, slots=True)
class HeldOutScore:
    """One held-out text of another kind than is trained on, scored before a training and after it.

    Attributes:
        kind: `text`, or `choice` for a text with endings to choose from.
        number: Its place among those of its kind, from 0.
        num_tokens: Tokens that are scored: all of a text but its first, or those of the right ending.
        logprob_before, logprob_after: Sum of their log-probabilities.
        right_before, right_after: Whether the right ending was the most probable one a character; None for a text.
    """

    kind: str
    number: int
    num_tokens: int
    logprob_before: float
    logprob_after: float
    right_before: bool | None = None
    right_after: bool | None = None
