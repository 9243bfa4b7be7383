"""A judge's four scores of outputs or of mined paths, beside its scores of planted texts and its agreement with itself.

A judged folder holds `judgements.parquet`, a row a reply, and `scores.json`, what they come to.
"""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from sert.config.endpoints import CallsConfig, EndpointConfig
from sert.config.tree import JudgeConfig
from sert.endpoint.answers import AnswerReader
from sert.endpoint.calls import Call, make_call
from sert.endpoint.replay import replay_journal
from sert.endpoint.session import CallPlan, Session, check_endpoint, open_session, plan_calls
from sert.errors import ConfigError, DataError, EndpointError
from sert.judge.planted import CALIBRATION
from sert.judge.prompt import CRITERIA, JudgeOutput, judge_prompt, reply_form
from sert.judge.reply import Parsed, parse_reply
from sert.judge.scores import PLANTED, summarize_judgements
from sert.records import Judgement, Prediction, Question
from sert.records import Path as MinedPath
from sert.store.artifacts import Artifact, Draft, artifact_key, open_artifact, write_json
from sert.store.stage import Inputs, Job, Result, Stage, discard, dumped, input_keys
from sert.store.tables import StoredTable, read_table, write_table
from sert.terminal.progress import Reporter, Silent
from sert.terminal.text import counted

_ASIDE = "put aside"
_NONCE, _OUTPUT = "judge nonce", "judge output"


class JudgedText(NamedTuple):
    """A text to be judged; `source` says whose it is."""

    source: str
    question: Question
    reasoning: str
    branch: int | None = None
    sample: int | None = None


@dataclass(frozen=True)
class JudgeJob(Job):
    """Let a judge score outputs, or the paths of mined folders, and texts of known quality among them.

    A reply without four readable scores is a failure, never a score. The judge's answers are kept in a ledger of their
    own while they come; the same job again goes on where it stopped.

    Attributes:
        sources: Whose texts, and what `evaluate` or `mine` left; a path that was stopped early is passed over.
        calls: Folder of the ledger of calls.
        num_texts: How many texts of each there are, for people.
        retry_quarantined: Ask again what was put aside earlier.
    """

    kind: ClassVar[str] = "judge"
    sources: tuple[tuple[str, Result], ...]
    judge: JudgeConfig
    calls: Path
    num_texts: int = 0
    retry_quarantined: bool = False
    seed: int = 0
    step: str = "judge"

    @property
    def work(self) -> str:
        """How much there is to do, for people."""
        what = "paths" if any(result.kind == "mine" for _, result in self.sources) else "outputs"
        texts = counted(len(self.sources) * self.num_texts, what)
        return f"{texts} and the planted texts, {counted(self.judge.repeats, 'replies')} each"

    def settings(self) -> dict[str, Any]:
        """What the scores depend on."""
        return dumped(judge=self.judge.model_copy(update={"calls": CallsConfig()}))

    def inputs(self) -> Inputs:
        """What is judged."""
        return {result.step: result for _, result in self.sources}

    def earlier_key(self) -> str:
        """The key in version 0.1."""
        settings = {"judge": self.judge.model_dump(mode="json", exclude={"calls"})}
        return artifact_key(self.kind, config=settings, inputs=input_keys(self), seed=self.seed)

    def make(self, folder: Path, *, label: str, reporter: Reporter) -> Artifact:
        """Have the texts judged.

        Raises:
            ConfigError: If the judge's endpoint is not named, or it is not said who pays for it.
            DataError: If a folder holds neither outputs nor paths, or a name stands for planted texts.
            EndpointError: If the endpoint refuses, fails or cannot be reached.
            BudgetError: If the next call could pass the cap.
        """
        endpoint = _endpoint_of(self.judge)
        self._opened()
        if self.retry_quarantined:
            discard(self, folder, if_counts=lambda counts: any(why.startswith(_ASIDE) for why in counts["failures"]))
        if self.judge.repeats > 1 and endpoint.temperature == 0:
            reporter.say(f"{label}: at temperature 0 repeats mostly repeat themselves; set judge.endpoint.temperature")
        return super().make(folder, label=label, reporter=reporter)

    def _opened(self) -> dict[str, Artifact]:
        return _open({name: result.folder for name, result in self.sources})

    def _fill(self, draft: Draft, *, label: str, reporter: Reporter) -> dict[str, Any]:
        endpoint, texts = _endpoint_of(self.judge), _texts(self._opened(), self.judge.limit)
        again = self.retry_quarantined
        reader = AnswerReader("judge", finish_reasons=endpoint.finish_reasons)
        with open_session(
            self.calls,
            endpoint,
            self.judge.calls,
            label=label,
            reader=reader,
            reporter=reporter,
            retry_quarantined=again,
        ) as session:
            asking, totals = _Asking(session, self.judge), session.ledger.totals
            asking.ask(texts)
            rows = list(asking.judgements(texts))
            write_table(draft.folder / "judgements.parquet", rows, Judgement)
            summary = summarize_judgements(rows, judge=endpoint.model, output=asking.output)
            write_json(draft.folder / "scores.json", summary)
            return summary | {"requests": totals.requests, "dollars_spent": str(totals.spent)}


def judge_job(
    stages: Mapping[Any, Stage], judge: JudgeConfig, calls: Path, *, seed: int, step: str = "judge"
) -> JudgeJob:
    """Describe how texts of stages of a run are judged: outputs as many as the settings say, of sampled paths all."""
    if any(stage.result.kind == "mine" for stage in stages.values()):
        judge = judge.model_copy(update={"limit": 0})
    most = max(stage.job.num_texts for stage in stages.values())
    results = tuple((str(name), stage.result) for name, stage in stages.items())
    return JudgeJob(results, judge, calls, min(judge.limit or most, most), seed=seed, step=step)


def judge(
    folders: Mapping[str, Path],
    *,
    out: Path,
    config: JudgeConfig,
    calls: Path | None = None,
    retry_quarantined: bool = False,
    label: str = "judge",
    reporter: Reporter | None = None,
) -> Artifact:
    """Let a judge score what `evaluate` or `mine` left in some folders, by the names that they get (see `JudgeJob`).

    Raises:
        ConfigError, DataError, EndpointError, BudgetError: As `JudgeJob.make` does.
    """
    _endpoint_of(config)
    sources = tuple((name, Result.of(artifact, name)) for name, artifact in _open(folders).items())
    job = JudgeJob(sources, config, calls or out.with_name(f"{out.name}.calls"), retry_quarantined=retry_quarantined)
    return job.make(out, label=label, reporter=reporter or Silent())


def plan_judging(folders: Mapping[str, Path], *, config: JudgeConfig, calls: Path) -> CallPlan:
    """Count what would be asked and what it may cost. Opens no connection and writes nothing.

    Raises:
        ConfigError: If it is not said who pays, or the address or the key cannot be used.
    """
    check_endpoint(_endpoint_of(config), config.calls)
    texts = _texts(_open(folders), config.limit)
    notes = replay_journal(calls).notes
    known = notes.get(_OUTPUT, "lines") if config.output == "auto" else config.output
    output: JudgeOutput = "json_schema" if known == "json_schema" else "lines"
    made = _calls(texts, config, nonce=notes.get(_NONCE, "0" * 16), output=output, repeats=config.repeats)
    return plan_calls(made, folder=calls, config=config.calls)


@dataclass
class _Asking:
    """Asks a judge and reads its replies; the nonce and the form of the replies outlive a restart."""

    session: Session
    config: JudgeConfig
    output: JudgeOutput = "lines"

    def __post_init__(self) -> None:
        self.ledger = self.session.ledger
        nonce = self.ledger.note(_NONCE, secrets.token_hex(8))
        self.calls = partial(_calls, config=self.config, nonce=nonce)

    def ask(self, texts: Sequence[JudgedText]) -> None:
        self.output = self._find_output(texts[:1])
        self._settle(texts, self.config.repeats, self.output)

    def judgements(self, texts: Sequence[JudgedText]) -> Iterator[Judgement]:
        made = self.calls(texts, output=self.output, repeats=self.config.repeats)
        for text in texts:
            for repeat in range(self.config.repeats):
                parsed, reply = self._read(next(made), text)
                scores = dict.fromkeys(CRITERIA) if parsed.scores is None else parsed.scores._asdict()
                yield Judgement(
                    source=text.source,
                    question_id=text.question.question_id,
                    branch=text.branch,
                    sample=text.sample,
                    repeat=repeat,
                    **scores,
                    failure=parsed.failure,
                    reply=reply,
                )

    def _find_output(self, first: Sequence[JudgedText]) -> JudgeOutput:
        """Ask once for JSON; an endpoint that does not give it is asked for lines from then on."""
        if self.config.output != "auto":
            return self.config.output
        if self.session.endpoint.api == "completions":
            return "lines"
        known = self.ledger.replay.notes.get(_OUTPUT)
        if known is None:
            asked, looked_at = self.session, self.session.config.first_answers
            try:
                self.session = asked.looking_at(min(looked_at, 1))
                self._settle(first, 1, "json_schema", label=f"{asked.label}: first reply")
            except EndpointError:  # some answer 500 to what they do not know; other faults will show again
                self.session = asked.looking_at(looked_at - 1 if looked_at > 1 else looked_at)
                return "lines"
            self.session = asked
            (call,) = self.calls(first, output="json_schema", repeats=1)
            scored = self._read(call, first[0], output="json_schema")[0].scores is not None
            known = self.ledger.note(_OUTPUT, "json_schema" if scored else "lines")
        return "json_schema" if known == "json_schema" else "lines"

    def _settle(
        self, texts: Sequence[JudgedText], repeats: int, output: JudgeOutput, *, label: str | None = None
    ) -> None:
        made = partial(self.calls, texts, output=output, repeats=repeats)
        self.session.settle(made, total=len(texts) * repeats, label=label)

    def _read(self, call: Call, text: JudgedText, *, output: JudgeOutput | None = None) -> tuple[Parsed, str]:
        reply = self.ledger.reply(call.key)
        if reply is None:
            aside = self.ledger.quarantined(call.key)
            return Parsed(None, _ASIDE if aside is None else f"{_ASIDE}: {aside.reason}"), ""
        flag = self.session.reader.read(reply, call).flag
        if flag is not None:
            return Parsed(None, flag), reply.text
        return parse_reply(reply.text, reasoning=text.reasoning, output=output or self.output), reply.text


def _endpoint_of(config: JudgeConfig) -> EndpointConfig:
    if config.endpoint is None:
        raise ConfigError("The judge's endpoint is not named; give --endpoint URL and --model NAME.")
    return config.endpoint


def _open(folders: Mapping[str, Path]) -> dict[str, Artifact]:
    opened = {name: open_artifact(folder) for name, folder in folders.items()}
    for name, artifact in opened.items():
        if (stage := artifact.manifest["stage"]) not in ("evaluate", "mine"):
            raise DataError(f"{artifact.folder} was not left by `sert evaluate` or `sert mine`, but by {stage}.")
        if name in PLANTED:
            raise DataError(f"The name {name!r} stands for planted texts here; rename the folder.")
    return opened


def _texts(folders: dict[str, Artifact], limit: int) -> list[JudgedText]:
    """List planted texts first, so that a judge that cannot tell good from bad is seen early."""
    texts = [JudgedText(item.kind, item.question, item.reasoning) for item in CALIBRATION]
    for name, artifact in folders.items():
        asked = read_table(artifact.file("questions.parquet"), Question)[: limit or None]
        questions = {each.question_id: each for each in asked}
        if artifact.manifest["stage"] == "mine":
            texts += [
                JudgedText(name, questions[each.question_id], each.text.strip(), each.branch, each.sample)
                for each in StoredTable(artifact.file("paths.parquet"), MinedPath)
                if each.question_id in questions and not each.stopped_early
            ]
        else:
            texts += [
                JudgedText(name, questions[each.question_id], each.completion.strip())
                for each in read_table(artifact.file("predictions.parquet"), Prediction)
                if each.question_id in questions
            ]
    return texts


def _calls(
    texts: Sequence[JudgedText], config: JudgeConfig, *, nonce: str, output: JudgeOutput, repeats: int
) -> Iterator[Call]:
    endpoint, form = _endpoint_of(config), reply_form() if output == "json_schema" else None
    for text in texts:
        prompt = judge_prompt(text.question, text.reasoning, nonce=nonce, output=output)
        label = f"{'planted ' if text.source in PLANTED else ''}{text.source} {text.question.question_id}"
        for repeat in range(repeats):
            yield make_call(prompt, endpoint, label=label, repeat=repeat, response_format=form)
