"""Teachers over real HTTP on loopback."""

import json
import os
import random
import signal
import time
from decimal import Decimal
from pathlib import Path

import pytest

from fault_kinds import FaultScript
from fault_server import FaultServer
from sert.config.endpoints import CallsConfig, EndpointConfig
from sert.config.prompts import PromptTemplates
from sert.config.tree import TaskConfig, TeacherConfig
from sert.errors import ConfigError, TeacherError
from sert.records import Example, Rationale
from sert.store.artifacts import Artifact
from sert.store.tables import read_table
from sert.tasks.load import load_task
from sert.teacher.rationales import TeachJob, teach
from teacher.taught_process import Nursery

QUESTIONS = load_task("lab", TaskConfig(kind="lab_yes_no", limit=12)).split("train")
FREE = CallsConfig(free=True, max_attempts=2, timeout=2.0)


def teacher_of(server: FaultServer, *, calls: CallsConfig = FREE, **asked: object) -> TeacherConfig:
    endpoint = EndpointConfig(**({"url": server.base_url, "model": "teacher"} | asked))  # type: ignore[arg-type]
    return TeacherConfig(kind="endpoint", endpoint=endpoint, calls=calls)


def rationales_of(taught: Artifact) -> list[Rationale]:
    return read_table(taught.file("rationales.parquet"), Rationale)


def test_one_rationale_a_question_in_their_order(tmp_path: Path) -> None:
    with FaultServer(latency=(0.0, 0.02)) as server:
        taught = teach(QUESTIONS, out=tmp_path / "t", teacher=teacher_of(server))
    rationales = rationales_of(taught)
    assert [each.question_id for each in rationales] == [question.question_id for question in QUESTIONS]
    assert {(each.extracted, each.finish_reason, each.flag) for each in rationales} <= {
        ("yes", "stop", None),
        ("no", "stop", None),
    }
    right = [each.extracted == question.answer for each, question in zip(rationales, QUESTIONS, strict=True)]
    assert [each.correct for each in rationales] == right
    assert taught.counts["correct"] == sum(right)
    assert taught.counts["prompt_tokens"] == server.log.prompt_tokens
    assert len(read_table(taught.file("examples.parquet"), Example)) == len(QUESTIONS)


def test_a_new_folder_costs_nothing_while_the_calls_are_kept(tmp_path: Path) -> None:
    with FaultServer() as server:
        first = teach(QUESTIONS, out=tmp_path / "a", calls=tmp_path / "calls", teacher=teacher_of(server))
        only_correct = teacher_of(server).model_copy(update={"only_correct": True})
        second = teach(QUESTIONS, out=tmp_path / "b", calls=tmp_path / "calls", teacher=only_correct)
        assert server.log.requests == len(QUESTIONS)
    assert rationales_of(first) == rationales_of(second)
    assert second.counts["examples"] == first.counts["correct"] < first.counts["examples"]


CHANGES: list[dict[str, object]] = [
    {"model": "other"},
    {"api": "completions"},
    {"temperature": 0.5},
    {"temperature": "unset"},
    {"top_p": 0.9},
    {"max_tokens": 100},
    {"token_limit_field": "max_completion_tokens"},
    {"stop": ["\n\n"]},
    {"seed": 1},
    {"extra_body": {"top_k": 5}},
]


@pytest.mark.parametrize("change", [*CHANGES, {"url": True}, {"prompt": True}, {"protocol": True}], ids=str)
def test_whatever_changes_the_answer_asks_again(
    tmp_path: Path, change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = PromptTemplates()
    with FaultServer(models=("teacher", "other")) as server:
        teach(QUESTIONS[:2], out=tmp_path / "a", calls=tmp_path / "calls", teacher=teacher_of(server))
        if change == {"url": True}:
            change = {"url": server.base_url.replace("127.0.0.1", "localhost")}
        elif change == {"prompt": True}:
            change, prompts = {}, PromptTemplates(teacher="{question} Think.")
        elif change == {"protocol": True}:
            change = {}
            monkeypatch.setattr("sert.endpoint.calls.PROTOCOL", 0)
        teacher = teacher_of(server, **change)
        teach(QUESTIONS[:2], out=tmp_path / "b", calls=tmp_path / "calls", teacher=teacher, prompts=prompts)
        assert server.log.requests == 4


def test_pace_patience_and_money_do_not_ask_again(tmp_path: Path) -> None:
    with FaultServer() as server:
        first = teach(QUESTIONS[:2], out=tmp_path / "a", teacher=teacher_of(server))
        other = CallsConfig(free=True, concurrency=1, timeout=9.0, requests_per_minute=6000, max_attempts=3)
        again = teach(QUESTIONS[:2], out=tmp_path / "a", teacher=teacher_of(server, calls=other))
        assert (server.log.requests, again) == (2, first)


def test_flagged_answers_are_kept_counted_and_not_trained_on(tmp_path: Path) -> None:
    with FaultServer(faults=FaultScript(0, 0.6, ("stop_at_limit", "content_filter", "empty_text"))) as server:
        taught = teach(QUESTIONS, out=tmp_path / "t", teacher=teacher_of(server, max_tokens=40))
    flags = [each.flag for each in rationales_of(taught)]
    assert set(flags) == {None, "truncated", "filtered", "empty"}
    assert taught.counts["flagged"] == {flag: flags.count(flag) for flag in dict.fromkeys(flags) if flag}
    assert taught.counts["examples"] == flags.count(None)


@pytest.mark.usefixtures("short_pauses")
def test_what_is_put_aside_is_kept_with_what_came_back_and_asked_again_when_told_to(tmp_path: Path) -> None:
    with FaultServer(faults=FaultScript(8, 0.5, ("html_200",))) as server:
        taught = teach(QUESTIONS, out=tmp_path / "t", teacher=teacher_of(server))
        aside = [json.loads(line) for line in taught.file("quarantined.jsonl").read_text().splitlines()]
        assert taught.counts["quarantined"] == len(aside) == len(QUESTIONS) - taught.counts["rationales"] > 0
        assert all(
            "Bad gateway" in each["raw"] and each["reason"] == "the reply is not JSON, but a web page, 'Bad gateway'"
            for each in aside
        )
        server.faults = None
        assert teach(QUESTIONS, out=tmp_path / "t", teacher=teacher_of(server)) == taught
        whole = teach(QUESTIONS, out=tmp_path / "t", teacher=teacher_of(server), retry_quarantined=True)
    assert (whole.counts["quarantined"], whole.counts["rationales"]) == (0, len(QUESTIONS))
    assert not whole.file("quarantined.jsonl").exists()


def test_test_questions_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with FaultServer() as server:
        with pytest.raises(TeacherError, match="held out"):
            teach(QUESTIONS, out=tmp_path / "t", held_out=QUESTIONS[3:4], teacher=teacher_of(server))
        assert server.log.requests == 0


def test_nobody_who_pays_is_named(tmp_path: Path) -> None:
    with FaultServer() as server:
        for calls in (CallsConfig(), CallsConfig(max_cost=Decimal(1))):
            with pytest.raises(ConfigError, match="--free"):
                teach(QUESTIONS, out=tmp_path / "t", teacher=teacher_of(server, calls=calls))
        assert server.log.requests == 0


def test_a_plan_opens_no_connection_and_knows_what_is_answered(tmp_path: Path) -> None:
    paid = CallsConfig(price=(Decimal(1), Decimal(2)), max_cost=Decimal(1))  # type: ignore[arg-type]
    nobody = EndpointConfig(url="http://127.0.0.1:9/v1", model="m")
    teacher = TeacherConfig(kind="endpoint", endpoint=nobody, calls=paid)
    plan = TeachJob(tuple(QUESTIONS), (), teacher, PromptTemplates(), calls=tmp_path / "none").work
    assert plan.startswith("12 rationales, 0 answered earlier; low / likely / most: $0.0")
    assert not (tmp_path / "none").exists()
    with FaultServer() as server:
        teach(QUESTIONS[:5], out=tmp_path / "t", teacher=teacher_of(server))
        asked = TeachJob(tuple(QUESTIONS), (), teacher_of(server), PromptTemplates(), calls=tmp_path / "t.calls")
        plan = asked.work
    assert plan.startswith("12 rationales, 5 answered earlier")


@pytest.mark.soak
def test_kills_change_nothing(tmp_path: Path, full: bool) -> None:
    """Killed at 100 random moments, up to five times a run: the same table, and few requests are sent twice."""
    draw, questions, concurrency, kills, wanted = random.Random(0), 60, 4, 0, 100 if full else 5
    with FaultServer(latency=(0.004, 0.02)) as server, Nursery() as nursery:
        settings = {
            "questions": questions,
            "endpoint": {"url": server.base_url, "model": "teacher"},
            "calls": {"max_cost": "1", "price": ["0.15", "0.60"], "concurrency": concurrency},
        }
        nursery.start({**settings, "out": str(tmp_path / "oracle")})
        assert nursery.wait() == 0
        oracle = (tmp_path / "oracle" / "rationales.parquet").read_bytes()
        for run in range(wanted):
            if kills >= wanted:
                break
            out, before, killed = tmp_path / str(run), server.log.requests, 0
            while True:
                child = nursery.start({**settings, "out": str(out)})
                if killed < 5:
                    time.sleep(draw.uniform(0.05, 0.4))
                    os.kill(child, signal.SIGKILL)
                code = nursery.wait()
                if code == 0:
                    break
                assert code == -signal.SIGKILL
                killed += 1
            kills += killed
            assert (out / "rationales.parquet").read_bytes() == oracle
            assert server.log.requests - before <= questions + killed * concurrency
    assert kills >= wanted
