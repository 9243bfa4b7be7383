import json
from decimal import Decimal

import pytest

from endpoint.fakes import ENDPOINT
from sert.config.endpoints import CallsConfig, EndpointConfig, Price
from sert.endpoint.calls import Reply, TroubleError, Usage, make_call
from sert.endpoint.money import Budget, check_money, cost_of, dollars
from sert.endpoint.reading import headroom, read_error, read_reply, retry_after
from sert.endpoint.secrets import Redactor, check_url, read_key
from sert.errors import ConfigError

CALL = make_call("Do birds fly?", ENDPOINT, label="q")
NOW = 1_000_000_000.0  # Sun, 09 Sep 2001 01:46:40 GMT


def same(text: str) -> str:
    return text


def body(content: object = "Yes.", finish: object = "stop", **more: object) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    usage = {"prompt_tokens": 4, "completion_tokens": 2}
    return json.dumps({"model": "m-1", "choices": [choice], "usage": usage, **more}).encode()


def test_a_good_reply() -> None:
    assert read_reply(body(), CALL, redact=same) == Reply("Yes.", "stop", None, Usage(4, 2), "m-1")


@pytest.mark.parametrize(
    ("sent", "flag"),
    [
        (body(finish="length"), "truncated"),
        (body(usage={"prompt_tokens": 4, "completion_tokens": 20}), "truncated"),  # says stop, at the limit of 20
        (body(None, "length"), "truncated"),
        (body("", "content_filter"), "filtered"),
        (body(None, "content_filter"), "filtered"),
        (body("  \n"), "empty"),
        (body(finish=None), "unfinished"),
        (body(finish="tool_calls"), "unfinished"),
        (body("half \ud835 of it"), "damaged"),
        (body(usage=None), None),
    ],
)
def test_what_must_not_be_used_is_flagged(sent: bytes, flag: str | None) -> None:
    reply = read_reply(sent, CALL, redact=same)
    assert reply.flag == flag
    reply.text.encode()


@pytest.mark.parametrize(
    ("sent", "usage"),
    [
        (b"<html>Please wait</html>", None),
        (b'{"choices": [{"mess', None),
        (b"[" * 100_000, None),
        (b"\xff\xfe", None),
        (b"null", None),
        (b'"text"', None),
        (body(choices=None), Usage(4, 2)),
        (body(choices=[]), Usage(4, 2)),
        (body(choices={}), Usage(4, 2)),
        (body(choices=[None]), Usage(4, 2)),
        (body(12), Usage(4, 2)),
        (body(float("nan")), Usage(4, 2)),
        (body(["Yes."]), Usage(4, 2)),
        (body(None), Usage(4, 2)),
        (body(error={"message": "overloaded"}), None),
    ],
)
def test_what_is_no_answer_is_tried_again_and_may_have_cost_something(sent: bytes, usage: Usage | None) -> None:
    with pytest.raises(TroubleError) as caught:
        read_reply(sent, CALL, redact=same)
    assert (caught.value.kind, caught.value.billed, caught.value.usage) == ("transient", True, usage)


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": 4}, {"prompt_tokens": True, "completion_tokens": 1}, [], "4"])
def test_odd_usage_is_no_usage(usage: object) -> None:
    assert read_reply(body(usage=usage), CALL, redact=same).usage is None


def error(status: int, **fields: object) -> TroubleError:
    return read_error(status, {}, json.dumps({"error": {"message": "why", **fields}}).encode(), redact=same)


@pytest.mark.parametrize(
    ("trouble", "kind", "billed"),
    [
        (error(429, code="insufficient_quota"), "fatal", False),
        (error(429, type="insufficient_quota", code=None), "fatal", False),
        (error(429), "limited", False),
        (error(400), "refused", False),
        (error(400, code="context_length_exceeded"), "refused", False),
        (error(413), "refused", False),
        (error(422, code=7), "refused", False),
        (error(401), "fatal", False),
        (error(402), "fatal", False),
        (error(403), "fatal", False),
        (error(404), "fatal", False),
        (error(307), "fatal", False),
        (error(408), "transient", False),
        (error(500), "transient", True),
        (error(502), "transient", True),
        (error(503), "transient", True),
        (error(504), "transient", True),
        (error(200), "transient", True),
        (error(200, code="insufficient_quota"), "fatal", False),
        (read_error(500, {}, b"<html>", redact=same), "transient", True),
        (read_error(400, {}, b'{"error": "bad"}', redact=same), "refused", False),
        (read_error(400, {}, b'{"error": ["bad"]}', redact=same), "refused", False),
    ],
)
def test_errors_by_what_can_be_done(trouble: TroubleError, kind: str, billed: bool) -> None:
    assert (trouble.kind, trouble.billed) == (kind, billed)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "1"}, 1.0),
        ({"retry-after": "90"}, 90.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "Sun, 09 Sep 2001 01:48:40 GMT"}, 120.0),
        # A clock that is an hour wrong says how far off the date is by its own.
        ({"retry-after": "Sun, 09 Sep 2001 02:46:41 GMT", "date": "Sun, 09 Sep 2001 02:46:31 GMT"}, 10.0),
        ({"retry-after": "Sun, 09 Sep 2001 00:00:00 GMT"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "NaN"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "1", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        ({"retry-after": "1", "x-ratelimit-remaining-tokens": "9", "x-ratelimit-reset-tokens": "6m0s"}, 1.0),
        ({"retry-after": "1e99"}, 7 * 86400.0),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, now=NOW) == seconds


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("120ms", 0.12),
        ("1h0m30s", 3630.0),
        ("1m0.5s", 60.5),
        ("7", 7.0),
        ("x", 0.0),
        ("", 0.0),
    ],
)
def test_durations_of_rate_limits(reset: str, seconds: float) -> None:
    assert headroom({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": reset}) == seconds
    assert headroom({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": reset}) == 0.0


def test_prices_are_exact() -> None:
    assert cost_of(Usage(1_603, 7), Price(Decimal("0.15"), Decimal("0.60"))) == Decimal("0.00024465")
    assert sum([cost_of(Usage(1, 1), Price(Decimal("0.1"), Decimal("0.2")))] * 10) == Decimal("0.000003")


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0", "$0.0000"), ("0.00001", "$0.0001"), ("0.12345", "$0.1235"), ("1", "$1.00"), ("12.341", "$12.35")],
)
def test_amounts_are_never_rounded_down(amount: str, text: str) -> None:
    assert dollars(Decimal(amount)) == text


def test_a_budget_by_hand() -> None:
    budget = Budget(CallsConfig(max_cost=Decimal(10), price=Price(Decimal(1), Decimal(1))), spent=Decimal(2))
    assert budget.reserve(Decimal(5))
    assert not budget.reserve(Decimal("3.01"))
    assert budget.reserve(Decimal(3))
    budget.settle(Decimal(5), spent=Decimal(1))
    budget.settle(Decimal(3), in_doubt=Decimal(3))
    assert (budget.spent, budget.in_doubt, budget.reserved, budget.left) == (3, 3, 0, 4)
    assert str(budget) == "$3.00 of $10.00 spent, $3.00 in doubt"


@pytest.mark.parametrize(
    ("settings", "message"),
    [({}, "--max-cost"), ({"max_cost": 1}, "--price"), ({"free": True, "max_cost": 1}, "exclude each other")],
)
def test_it_must_be_said_who_pays(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_money(CallsConfig(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", ["", "api.openai.com/v1", "ftp://h/v1", "http:///v1", "http://h:99999/v1", "http://[x/v1"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError, match="address"):
        check_url(url)


def test_the_key_of_one_endpoint_is_not_sent_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    own = EndpointConfig(url="http://127.0.0.1:8000/v1", model="m")
    theirs = EndpointConfig(url="https://api.openai.com/v1", model="m")
    assert read_key(own, CallsConfig()) == "none"
    assert read_key(theirs, CallsConfig()) == "sk-of-openai"
    assert read_key(own, CallsConfig(api_key_env="OPENAI_API_KEY")) == "sk-of-openai"
    with pytest.raises(ConfigError, match="OTHER_KEY is not set"):
        read_key(own, CallsConfig(api_key_env="OTHER_KEY"))


def test_short_placeholders_are_not_looked_for_in_texts() -> None:
    assert Redactor("none")("none of them") == "none of them"
    assert Redactor("sk-12345678")("Bearer sk-12345678!") == "Bearer [key]!"


@pytest.mark.parametrize("repeat", [0, 1])
def test_a_call_is_known_by_all_that_decides_its_answer(repeat: int) -> None:
    again = make_call("Do birds fly?", ENDPOINT, label="another name", repeat=repeat)
    assert (again.key == CALL.key) == (repeat == 0)
    assert make_call("Do birds fly!", ENDPOINT, label="q").key != CALL.key


def test_no_byte_level_vocabulary_makes_more_tokens_than_the_bound() -> None:
    text = "ünïcödé \U0001f600"
    assert make_call(text, ENDPOINT, label="q").most_usage.prompt_tokens >= len(text.encode())


@pytest.mark.parametrize("before", range(440, 520, 7))
def test_no_part_of_a_key_is_left_where_a_message_is_cut(before: int) -> None:
    key = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
    hide = Redactor(key)
    sent = json.dumps({"error": {"message": "x" * before + key}}).encode()
    trouble = read_error(401, {}, sent, redact=hide)
    assert "abcdef" not in trouble.reason + trouble.raw
    long = b"x" * (4096 - 500 + before) + key.encode()
    assert "abcdef" not in read_error(500, {}, long, redact=hide).raw
    model = read_reply(body(model="m" * (before - 300) + key), CALL, redact=hide).model
    assert "abcdef" not in model


@pytest.mark.parametrize(
    "url", ["user:s3cret@host/v1", "https:user:s3cret@host/v1", "s3cret", "http://h/v1\x00", "http://é/v1"]
)
def test_an_address_that_is_none_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_url(url)
    assert "s3cret" not in str(caught.value)


def test_a_count_of_tokens_that_no_table_holds_is_none() -> None:
    assert read_reply(body(usage={"prompt_tokens": 2**63, "completion_tokens": 1}), CALL, redact=same).usage is None
