import errno
import random
import tracemalloc
from collections import deque
from decimal import Decimal
from pathlib import Path

import pytest

from endpoint.fakes import ENDPOINT, PRICE, FakeTransport, calls_of, reply, settle
from sert.endpoint.calls import Reply, TroubleError, Usage, make_call
from sert.endpoint.replay import replay_journal
from sert.endpoint.transport import Received
from sert.errors import BudgetError, DiskError, EndpointError

PAID = {"free": False, "price": PRICE}


def test_every_call_is_answered_once_and_no_more_are_under_way_than_allowed(tmp_path: Path) -> None:
    transport = FakeTransport()
    ledger, _, seconds = settle(calls_of(41), transport, tmp_path, concurrency=8)
    assert ledger.totals.answers == 41
    assert set(transport.attempts.values()) == {1}
    assert transport.most_under_way == 8
    assert seconds == 1 + 40 / 8  # the first call goes alone


def test_what_is_answered_is_not_asked_again(tmp_path: Path) -> None:
    settle(calls_of(5), FakeTransport(), tmp_path)
    again = FakeTransport()
    ledger, _, _ = settle(calls_of(7), again, tmp_path)
    assert sorted(again.attempts) == ["q5", "q6"]
    assert (ledger.totals.answers, ledger.totals.requests) == (7, 7)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_a_log_that_does_not_reach_the_disk_ends_the_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(code, "broken")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", broken)
        with pytest.raises(DiskError):
            settle(calls_of(20), FakeTransport(), tmp_path)
    ledger, _, _ = settle(calls_of(20), FakeTransport(), tmp_path)
    assert ledger.totals.answers == 20


def test_the_same_request_twice_is_sent_once(tmp_path: Path) -> None:
    calls = calls_of(3)
    transport = FakeTransport()
    settle([*calls, *calls], transport, tmp_path)
    assert set(transport.attempts.values()) == {1}


@pytest.mark.parametrize("wait", [1.0, 90.0, 300.0, 3600.0])
def test_nothing_is_sent_before_the_endpoint_allows_it(tmp_path: Path, wait: float) -> None:
    closed: list[tuple[float, float]] = []

    def script(call, attempt, now):
        if call.label in ("q7", "q21") and attempt == 0:
            closed.append((now + 1.0, now + 1.0 + wait))
            return TroubleError("limited", "slow down", wait=wait)
        return None

    transport = FakeTransport(script)
    ledger, _, _ = settle(calls_of(40), transport, tmp_path, concurrency=4)
    assert ledger.totals.answers == 40
    for start, end in closed:
        assert [at for at, _ in transport.arrivals if start < at < end] == []
        assert sum(at == end for at, _ in transport.arrivals) == 1  # one call tries out first


def test_a_busy_endpoint_that_does_not_say_how_long_is_given_longer_each_time(tmp_path: Path) -> None:
    transport = FakeTransport(lambda call, attempt, now: TroubleError("limited", "busy") if now < 20 else None)
    ledger, _, _ = settle(calls_of(1), transport, tmp_path)
    assert [at for at, _ in transport.arrivals] == [0, 2, 5, 10, 19, 36]  # 1 s a call, pauses of 1, 2, 4, 8, 16
    assert ledger.totals.answers == 1


@pytest.mark.parametrize("concurrency", [1, 4, 16])
def test_nearly_all_of_what_the_endpoint_allows_is_used(tmp_path: Path, concurrency: int) -> None:
    allowed, window = 20, 60.0
    sent: dict[int, int] = {}

    def script(call, attempt, now):
        sent[int(now // window)] = sent.get(int(now // window), 0) + 1
        if sent[int(now // window)] > allowed:
            return TroubleError("limited", "too many", wait=window - now % window)
        return None

    transport = FakeTransport(script, seconds=0.5)
    ledger, _, seconds = settle(calls_of(400), transport, tmp_path, concurrency=concurrency)
    assert ledger.totals.answers == 400
    assert 400 / (seconds / window) >= 0.9 * allowed


def test_half_of_all_calls_limited_for_five_minutes(tmp_path: Path) -> None:
    draw = random.Random(0)

    def script(call, attempt, now):
        return TroubleError("limited", "busy", wait=2.0) if now < 300 and draw.random() < 0.5 else None

    ledger, _, _ = settle(calls_of(300), FakeTransport(script), tmp_path, concurrency=8)
    assert (ledger.totals.answers, ledger.totals.quarantined) == (300, 0)


def test_used_up_limits_in_a_good_reply_are_waited_for(tmp_path: Path) -> None:
    transport = FakeTransport(lambda call, attempt, now: Received(reply(), 30.0) if call.label == "q0" else None)
    settle(calls_of(2), transport, tmp_path)
    assert [at for at, _ in transport.arrivals] == [0, 31]


def test_own_limits_space_the_calls(tmp_path: Path) -> None:
    transport = FakeTransport(seconds=0.0)
    settle(calls_of(4), transport, tmp_path, requests_per_minute=20)
    assert [at for at, _ in transport.arrivals] == [0, 3, 6, 9]
    tokens = sum(calls_of(1)[0].likely_usage)
    transport = FakeTransport(seconds=0.0)
    settle(calls_of(3), transport, tmp_path / "2", tokens_per_minute=6 * tokens)
    assert [at for at, _ in transport.arrivals] == [0, 10, 20]


def test_failures_are_tried_again_and_put_aside_in_the_end(tmp_path: Path) -> None:
    def script(call, attempt, now):
        if call.label == "q1" and attempt < 2:
            return TroubleError("transient", "hiccup")
        return TroubleError("transient", "broken", raw="<html>") if call.label == "q2" else None

    transport = FakeTransport(script)
    ledger, _, _ = settle(calls_of(9), transport, tmp_path, max_attempts=4)
    assert transport.attempts == {**{f"q{i}": 1 for i in range(9)}, "q1": 3, "q2": 4}
    assert (ledger.totals.answers, ledger.totals.quarantined) == (8, 1)


def test_quarantined_calls_keep_what_came_and_are_made_again_when_asked(tmp_path: Path) -> None:
    calls = calls_of(2)

    def broken(call, attempt, now):
        return TroubleError("transient", "no", raw="raw body") if call.label == "q1" else None

    ledger, _, _ = settle(calls, FakeTransport(broken), tmp_path, max_attempts=2)
    ledger.__init__(tmp_path)
    with ledger:
        assert ledger.quarantined(calls[1].key) == ("q1", "no", "raw body")
    transport = FakeTransport()
    settle(calls, transport, tmp_path)
    assert transport.attempts == {}
    ledger, _, _ = settle(calls, transport, tmp_path, retry_quarantined=True)
    assert transport.attempts == {"q1": 1}
    assert (ledger.totals.answers, ledger.totals.quarantined) == (2, 0)


def test_an_item_that_takes_too_long_is_put_aside_and_others_go_on(tmp_path: Path) -> None:
    transport = FakeTransport(
        lambda c, a, now: TroubleError("transient", "slow") if c.label == "q3" else None, seconds=60
    )
    ledger, _, _ = settle(calls_of(8), transport, tmp_path, max_item_seconds=150, max_attempts=99)
    assert (ledger.totals.answers, ledger.totals.quarantined) == (7, 1)
    assert transport.attempts["q3"] <= 3


@pytest.mark.parametrize("reason", ["the quota is used up", "the key is missing or wrong"])
def test_a_fatal_error_stops_new_calls_at_once_and_loses_nothing(tmp_path: Path, reason: str) -> None:
    def script(call, attempt, now):
        return TroubleError("fatal", reason) if call.label == "q30" else None

    transport = FakeTransport(script)
    with pytest.raises(EndpointError, match=reason):
        settle(calls_of(100), transport, tmp_path, concurrency=8)
    told = next(at for at, label in transport.arrivals if label == "q30") + 1.0
    assert [at for at, _ in transport.arrivals if at > told] == []
    answered = replay_journal(tmp_path).totals.answers
    assert answered == len(transport.arrivals) - 1  # those under way were let finish
    ledger, _, _ = settle(calls_of(100), FakeTransport(), tmp_path)
    assert ledger.totals.answers == 100
    assert ledger.totals.requests == 101


def test_a_stop_wakes_those_who_wait(tmp_path: Path) -> None:
    def script(call, attempt, now):
        if call.label == "q5":
            return TroubleError("fatal", "quota")
        return TroubleError("limited", "wait", wait=3600.0) if call.label == "q4" else None

    with pytest.raises(EndpointError, match="quota"):
        settle(calls_of(50), FakeTransport(script), tmp_path, concurrency=8)


def test_nobody_there_is_said_soon(tmp_path: Path) -> None:
    transport = FakeTransport(lambda c, a, now: TroubleError("transient", "refused", unreachable=True))
    with pytest.raises(EndpointError, match="is not there"):
        settle(calls_of(9), transport, tmp_path)
    assert len(transport.arrivals) == 3
    assert replay_journal(tmp_path).totals.quarantined == 0


GONE = TroubleError("transient", "connection refused", unreachable=True)
BROKEN = TroubleError("transient", "HTTP 500", billed=True)


@pytest.mark.parametrize("concurrency", [1, 2, 4, 8, 64])
def test_a_server_that_is_gone_is_left_within_a_minute_and_nothing_is_put_aside(
    tmp_path: Path, concurrency: int
) -> None:
    transport = FakeTransport(lambda c, a, now: GONE if now > 1 else None, seconds=0.1)
    with pytest.raises(EndpointError, match=r"unreachable for \d+ seconds: connection refused") as told:
        settle(calls_of(1000), transport, tmp_path, concurrency=concurrency, max_attempts=2)
    assert 30 < transport.arrivals[-1][0] - 1 < 40
    totals = replay_journal(tmp_path).totals
    assert totals.quarantined == 0 < totals.answers
    assert f"Answers kept: {totals.answers}; the same command goes on" in str(told.value)
    ledger, _, _ = settle(calls_of(1000), FakeTransport(), tmp_path)
    assert (ledger.totals.answers, ledger.totals.quarantined) == (1000, 0)


@pytest.mark.parametrize("seconds", [3.0, 12.0, 25.0])
def test_a_server_that_starts_again_is_waited_for(tmp_path: Path, seconds: float) -> None:
    def script(call, attempt, now):
        return GONE if 5 < now < 5 + seconds else None

    ledger, _, _ = settle(calls_of(500), FakeTransport(script, seconds=0.1), tmp_path, concurrency=4, max_attempts=1)
    assert (ledger.totals.answers, ledger.totals.quarantined) == (500, 0)


def test_answers_of_an_earlier_run_do_not_make_a_server_that_is_gone_be_waited_for(tmp_path: Path) -> None:
    settle(calls_of(5), FakeTransport(), tmp_path)
    transport = FakeTransport(lambda c, a, now: GONE)
    with pytest.raises(EndpointError, match="is not there: connection refused\\. Answers kept: 5"):
        settle(calls_of(50), transport, tmp_path)
    assert len(transport.arrivals) == 3
    assert transport.arrivals[-1][0] < 10
    assert replay_journal(tmp_path).totals.quarantined == 0


@pytest.mark.parametrize(
    ("timed_out", "concurrency", "most"),
    [
        *[(False, 1, 240), (False, 2, 120), (False, 8, 80), (False, 64, 80)],
        *[(True, 1, 1200), (True, 2, 660), (True, 8, 300), (True, 64, 300)],
    ],
)
def test_nothing_but_failures_stops_the_pool_and_nothing_is_put_aside(
    tmp_path: Path, timed_out: bool, concurrency: int, most: float
) -> None:
    trouble = TroubleError("transient", "no luck", billed=True, timed_out=timed_out)
    seconds = 120.0 if timed_out else 0.1
    transport = FakeTransport(lambda c, a, now: trouble if c.label not in ("q0", "q1") else None, seconds=seconds)
    with pytest.raises(EndpointError, match=r"does not answer, all attempts fail: no luck\. Answers kept: 2"):
        settle(calls_of(2000), transport, tmp_path, concurrency=concurrency)
    assert len(transport.arrivals) - 2 <= 16 + 8 * concurrency
    assert transport.arrivals[-1][0] - seconds < most  # from the second answer to the last failure
    assert replay_journal(tmp_path).totals.quarantined == 0


@pytest.mark.parametrize("max_attempts", [1, 2, 8])
@pytest.mark.parametrize("earlier", [0, 5])
def test_an_endpoint_that_answers_nothing_puts_nothing_aside(tmp_path: Path, earlier: int, max_attempts: int) -> None:
    settle(calls_of(earlier), FakeTransport(), tmp_path)
    transport = FakeTransport(lambda c, a, now: BROKEN)
    with pytest.raises(EndpointError, match=rf"HTTP 500\. Answers kept: {earlier}"):
        settle(calls_of(50), transport, tmp_path, max_attempts=max_attempts)
    assert len(transport.arrivals) == 2 * max_attempts + 2
    assert replay_journal(tmp_path).totals.quarantined == 0


def test_another_address_that_fails_the_only_call_puts_it_not_aside(tmp_path: Path) -> None:
    settle(calls_of(5), FakeTransport(), tmp_path)
    elsewhere = calls_of(1, ENDPOINT.model_copy(update={"url": "http://127.0.0.1:2/v1"}))
    with pytest.raises(EndpointError, match="does not answer: HTTP 500\\. Answers kept: 5"):
        settle(elsewhere, FakeTransport(lambda c, a, now: BROKEN), tmp_path)
    assert replay_journal(tmp_path).totals.quarantined == 0


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_a_call_that_kills_the_server_each_time_is_put_aside(tmp_path: Path, concurrency: int) -> None:
    up_again = 0.0

    def script(call, attempt, now):
        nonlocal up_again
        if now < up_again:
            return GONE
        if call.label == "q3":
            up_again = now + 20.0
            return TroubleError("transient", "the connection broke", billed=True)
        return None

    ledger, _, _ = settle(calls_of(200), FakeTransport(script), tmp_path, concurrency=concurrency)
    assert (ledger.totals.answers, ledger.totals.quarantined) == (199, 1)


@pytest.mark.parametrize("concurrency", [1, 2, 8])
@pytest.mark.parametrize("poisoned", [("q0",), ("q5",), ("q4", "q5"), ("q29",), ("q28", "q29")], ids=" ".join)
def test_single_calls_that_always_fail_are_put_aside_wherever_they_stand(
    tmp_path: Path, poisoned: tuple[str, ...], concurrency: int
) -> None:
    transport = FakeTransport(lambda c, a, now: BROKEN if c.label in poisoned else None)
    ledger, _, _ = settle(calls_of(30), transport, tmp_path, concurrency=concurrency)
    assert (ledger.totals.answers, ledger.totals.quarantined) == (30 - len(poisoned), len(poisoned))
    assert {transport.attempts[label] for label in poisoned} == {8}


@pytest.mark.parametrize("timed_out", [False, True])
@pytest.mark.parametrize("concurrency", [2, 8])
def test_calls_that_fail_while_others_are_answered_are_put_aside_also_when_they_alone_are_left(
    tmp_path: Path, concurrency: int, timed_out: bool
) -> None:
    poisoned = {f"q{i}" for i in range(5, 40, 5)}
    trouble = TroubleError("transient", "no", billed=True, timed_out=timed_out)

    def stopped(call, attempt, now):
        if call.label == "q35" and attempt == 1:
            raise RuntimeError("killed")
        return trouble if call.label in poisoned else None

    with pytest.raises(RuntimeError, match="killed"):
        settle(calls_of(40), FakeTransport(stopped), tmp_path, concurrency=concurrency)
    left = FakeTransport(lambda c, a, now: trouble if c.label in poisoned else None)
    ledger, _, _ = settle(calls_of(40), left, tmp_path, concurrency=concurrency)
    assert (ledger.totals.answers, ledger.totals.quarantined) == (33, 7)
    whole, _, _ = settle(calls_of(40), left, tmp_path / "whole", concurrency=concurrency)
    assert (whole.totals.answers, whole.totals.quarantined) == (33, 7)


def test_a_call_that_always_fails_is_put_aside_also_when_it_is_all_that_is_left(tmp_path: Path) -> None:
    calls = calls_of(5)
    settle(calls[1:], FakeTransport(), tmp_path)
    ledger, _, _ = settle(calls, FakeTransport(lambda c, a, now: BROKEN), tmp_path)
    assert (ledger.totals.answers, ledger.totals.quarantined) == (4, 1)


def test_a_fault_of_ours_that_every_call_has_puts_nothing_aside(tmp_path: Path) -> None:
    transport = FakeTransport(lambda c, a, now: TroubleError("refused", "unknown field"))
    with pytest.raises(EndpointError, match="unknown field"):
        settle(calls_of(50), transport, tmp_path)
    assert len(transport.arrivals) == 3
    assert replay_journal(tmp_path).totals.quarantined == 0


def test_single_refused_calls_are_put_aside(tmp_path: Path) -> None:
    refused = {"q0", "q7", "q29"}
    transport = FakeTransport(lambda c, a, now: TroubleError("refused", "too long") if c.label in refused else None)
    ledger, _, _ = settle(calls_of(30), transport, tmp_path)
    assert (ledger.totals.answers, ledger.totals.quarantined) == (27, 3)


def test_the_ledger_is_the_sum_of_the_usage(tmp_path: Path) -> None:
    usages = [Usage(i, 2 * i) for i in range(1, 21)]
    transport = FakeTransport(lambda c, a, now: Received(reply(usage=usages[int(c.label[1:])]), 0.0))
    _, budget, _ = settle(calls_of(20), transport, tmp_path, **PAID, max_cost=Decimal(1))
    assert budget.spent == Decimal(210 * 10 + 420 * 30) / 1_000_000
    assert (budget.in_doubt, budget.reserved) == (0, 0)


@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_the_cap_is_never_passed_even_when_every_call_costs_its_worst(tmp_path: Path, concurrency: int) -> None:
    worst = calls_of(1)[0].most_usage
    transport = FakeTransport(lambda c, a, now: Received(reply(usage=worst), 0.0))
    each = (worst.prompt_tokens * PRICE.prompt + worst.completion_tokens * PRICE.completion) / 1_000_000
    with pytest.raises(BudgetError, match="higher max_cost"):
        settle(calls_of(100), transport, tmp_path, **PAID, max_cost=each * Decimal("7.5"), concurrency=concurrency)
    assert len(transport.arrivals) == 7
    ledger, budget, _ = settle(calls_of(100), transport, tmp_path, **PAID, max_cost=each * 100)
    assert ledger.totals.answers == 100
    assert budget.spent == each * 100


def test_attempts_that_may_have_been_charged_count_in_full(tmp_path: Path) -> None:
    worst = calls_of(1)[0].most_usage
    each = (worst.prompt_tokens * PRICE.prompt + worst.completion_tokens * PRICE.completion) / 1_000_000

    def script(call, attempt, now):
        if call.label == "q1" and attempt == 0:
            return TroubleError("transient", "cut", billed=True)
        if call.label == "q2" and attempt == 0:
            return TroubleError("transient", "no text", billed=True, usage=Usage(3, 4))
        if call.label == "q3" and attempt == 0:
            return TroubleError("limited", "busy", wait=1.0)
        return Received(reply(usage=None), 0.0) if call.label == "q4" else None

    _, budget, _ = settle(calls_of(5), FakeTransport(script), tmp_path, **PAID, max_cost=Decimal(1))
    assert budget.in_doubt == 2 * each  # the cut one, and the answer without usage
    assert budget.spent == Decimal(4 * (5 * 10 + 6 * 30) + (3 * 10 + 4 * 30)) / 1_000_000


def test_an_endpoint_that_counts_more_than_was_asked_for_is_left(tmp_path: Path) -> None:
    transport = FakeTransport(lambda c, a, now: Received(reply(usage=Usage(5, 1000)), 0.0))
    with pytest.raises(EndpointError, match="no cap can be kept"):
        settle(calls_of(50), transport, tmp_path, **PAID, max_cost=Decimal(1))
    assert len(transport.arrivals) == 1


def test_a_cut_prompt_is_seen_before_the_second_call(tmp_path: Path) -> None:

    calls = [make_call(f"{i} " + "word " * 500, ENDPOINT, label=f"q{i}") for i in range(20)]
    transport = FakeTransport(lambda c, a, now: Received(reply(usage=Usage(128, 5)), 0.0))
    with pytest.raises(EndpointError, match="cut the prompt"):
        settle(calls, transport, tmp_path)
    assert len(transport.arrivals) == 1


def test_calls_are_made_one_at_a_time_not_all_at_once(tmp_path: Path) -> None:
    made = 0

    def lazily():
        nonlocal made
        for call in calls_of(500):
            made += 1
            yield call

    seen: list[int] = []
    transport = FakeTransport(lambda c, a, now: seen.append(made - len(transport.arrivals)))
    settle(lazily(), transport, tmp_path, concurrency=4)  # type: ignore[arg-type]
    assert max(seen) <= 4


def test_a_crash_leaves_the_money_in_doubt_and_the_call_to_be_made(tmp_path: Path) -> None:
    transport = FakeTransport(lambda c, a, now: (_ for _ in ()).throw(RuntimeError("bug")) if c.label == "q3" else None)
    with pytest.raises(RuntimeError, match="bug"):
        settle(calls_of(9), transport, tmp_path, **PAID, max_cost=Decimal(1), concurrency=1)
    totals = replay_journal(tmp_path).totals
    worst = calls_of(1)[0].most_usage
    assert (totals.answers, totals.requests) == (3, 4)
    assert totals.in_doubt == (worst.prompt_tokens * 10 + worst.completion_tokens * 30) / Decimal(1_000_000)


def test_memory_a_call_is_only_where_its_result_stands(tmp_path: Path) -> None:
    number = 1_500
    transport = FakeTransport(seconds=0.0)
    transport.arrivals = deque(maxlen=1)  # type: ignore[assignment]
    transport.attempts = _Forgetful()
    lazily = (make_call(f"{i} {'x' * 2_000}", ENDPOINT, label="q") for i in range(number))
    tracemalloc.start()
    try:
        settle(lazily, transport, tmp_path, concurrency=16)  # type: ignore[arg-type]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most / number < 600  # bytes; a prompt alone has 2,000


class _Forgetful(dict[str, int]):
    def __setitem__(self, key: str, value: int) -> None:
        return


def test_a_first_question_that_cannot_be_answered_is_put_aside_and_the_others_go_on(tmp_path: Path) -> None:
    poisoned = TroubleError("transient", "the answer is no text", billed=True, usage=Usage(3, 4), raw="null")
    transport = FakeTransport(lambda c, a, now: poisoned if c.label == "q0" else None)
    ledger, _, _ = settle(calls_of(5), transport, tmp_path, max_attempts=3)
    assert (ledger.totals.answers, ledger.totals.quarantined, transport.attempts["q0"]) == (4, 1, 3)


def test_an_endpoint_that_answered_before_is_not_left_for_one_question(tmp_path: Path) -> None:
    settle(calls_of(3), FakeTransport(), tmp_path)
    refused = {"q3", "q4", "q5"}
    transport = FakeTransport(
        lambda c, a, now: (
            TroubleError("transient" if c.label == "q6" else "refused", "no") if c.label in refused | {"q6"} else None
        )
    )
    ledger, _, _ = settle(calls_of(9), transport, tmp_path, max_attempts=3)
    assert (ledger.totals.answers, ledger.totals.quarantined) == (5, 4)


def test_the_answer_to_a_cut_prompt_is_not_kept(tmp_path: Path) -> None:
    calls = [make_call(f"{i} " + "word " * 500, ENDPOINT, label=f"q{i}") for i in range(3)]
    cut = FakeTransport(lambda c, a, now: Received(reply(usage=Usage(128, 5)), 0.0))
    with pytest.raises(EndpointError, match="cut the prompt"):
        settle(calls, cut, tmp_path)
    mended = FakeTransport(lambda c, a, now: Received(reply(usage=Usage(600, 5)), 0.0))
    settle(calls, mended, tmp_path)
    assert sorted(mended.attempts) == ["q0", "q1", "q2"]


def test_a_server_error_that_names_a_time_holds_everybody(tmp_path: Path) -> None:
    def script(call, attempt, now):
        return TroubleError("transient", "HTTP 503", wait=60.0) if call.label == "q1" and attempt == 0 else None

    transport = FakeTransport(script)
    settle(calls_of(30), transport, tmp_path, concurrency=4)
    assert [at for at, _ in transport.arrivals if 2.0 < at < 62.0] == []


def test_those_who_waited_together_do_not_go_together(tmp_path: Path) -> None:
    def script(call, attempt, now):
        return TroubleError("limited", "busy", wait=100.0) if call.label == "q1" and attempt == 0 else None

    transport = FakeTransport(script, seconds=0.0)
    settle(calls_of(40), transport, tmp_path, concurrency=16, requests_per_minute=30)
    times = [at for at, _ in transport.arrivals]
    assert max(sum(start <= at < start + 60.0 for at in times) for start in times) <= 31


def test_failures_that_count_more_than_was_asked_for_end_it_too(tmp_path: Path) -> None:
    trouble = TroubleError("transient", "no text", billed=True, usage=Usage(50_000, 5))
    transport = FakeTransport(lambda c, a, now: trouble if c.label != "q0" else None)
    with pytest.raises(EndpointError, match="no cap can be kept"):
        settle(calls_of(9), transport, tmp_path, **PAID, max_cost=Decimal("0.2"), concurrency=1)
    assert len(transport.arrivals) == 2


def test_a_damaged_record_does_not_give_one_number_twice(tmp_path: Path) -> None:
    broken = FakeTransport(lambda c, a, now: (_ for _ in ()).throw(RuntimeError("bug")) if c.label == "q2" else None)
    with pytest.raises(RuntimeError):
        settle(calls_of(3), broken, tmp_path, **PAID, max_cost=Decimal(1), concurrency=1)
    held = replay_journal(tmp_path).totals.in_doubt
    journal = tmp_path / "calls.journal"
    lines = journal.read_bytes().split(b"\n")
    journal.write_bytes(b"\n".join([lines[0][:-3] + b"xyz", *lines[1:]]))
    settle(calls_of(3), FakeTransport(), tmp_path, **PAID, max_cost=Decimal(1))
    assert replay_journal(tmp_path).totals.in_doubt == held > 0


ODD = TroubleError("transient", "the answer is no text", odd=True, billed=True, usage=Usage(3, 4))
UNKNOWN = Received(Reply("Yes.", "abort", "unfinished", Usage(5, 6), "m"), 0.0)


@pytest.mark.parametrize("outcome", [ODD, UNKNOWN], ids=["odd", "unknown"])
@pytest.mark.parametrize(("number", "made"), [(1, 3), (2, 3), (40, 3)])
def test_no_more_than_three_calls_are_made_where_no_answer_can_be_used(
    tmp_path: Path, outcome: TroubleError | Received, number: int, made: int
) -> None:
    transport = FakeTransport(lambda call, attempt, now: outcome)
    with pytest.raises(EndpointError, match="Stopped: the first"):
        settle(calls_of(number), transport, tmp_path)
    assert len(transport.arrivals) == (made if outcome is ODD else min(number, made))
    assert transport.most_under_way == 1


@pytest.mark.parametrize("outcome", [ODD, UNKNOWN], ids=["odd", "unknown"])
def test_first_questions_without_a_usable_answer_do_not_stop_the_others(
    tmp_path: Path, outcome: TroubleError | Received
) -> None:
    transport = FakeTransport(lambda call, attempt, now: outcome if call.label in ("q0", "q1") else None)
    ledger, _, _ = settle(calls_of(9), transport, tmp_path, max_attempts=2)
    aside = 2 if outcome is ODD else 0
    assert (ledger.totals.answers, ledger.totals.quarantined) == (9 - aside, aside)
    assert [label for _, label in transport.arrivals[:3]] == ["q0", "q1", "q2"]
    assert transport.attempts["q0"] == (3 if outcome is ODD else 1)  # once before it is known that others are answered


def test_a_first_question_that_is_answered_in_the_end_is_asked_once_more(tmp_path: Path) -> None:
    transport = FakeTransport(lambda call, attempt, now: ODD if call.label == "q0" and attempt == 0 else None)
    ledger, _, _ = settle(calls_of(5), transport, tmp_path)
    assert ledger.totals.answers == 5
    assert transport.attempts == {"q0": 2, **{f"q{i}": 1 for i in range(1, 5)}}


def test_odd_replies_later_on_are_the_faults_of_their_calls(tmp_path: Path) -> None:
    transport = FakeTransport(lambda call, attempt, now: ODD if call.label in ("q3", "q4", "q5", "q6") else None)
    ledger, _, _ = settle(calls_of(9), transport, tmp_path, max_attempts=2)
    assert (ledger.totals.answers, ledger.totals.quarantined) == (5, 4)


@pytest.mark.parametrize("first_answers", [0, 1, 5])
def test_how_many_first_answers_are_looked_at(tmp_path: Path, first_answers: int) -> None:
    transport = FakeTransport(lambda call, attempt, now: UNKNOWN)
    if first_answers:
        with pytest.raises(EndpointError, match="not known"):
            settle(calls_of(9), transport, tmp_path, first_answers=first_answers)
    else:
        settle(calls_of(9), transport, tmp_path, first_answers=0)
    assert len(transport.arrivals) == (first_answers or 9)
