"""What today's servers answer, each over real HTTP on loopback: a usable rationale, or a clear reason soon.

A row is a shape of reply, where it is documented or was reported, and what comes of it: the two texts that it holds
are told apart, or everything stops after at most three calls. What was answered is never asked for again.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fault_http import Reply, json_reply, response
from fault_server import FaultServer
from sert.config.endpoints import CallsConfig, EndpointConfig
from sert.config.tree import TaskConfig, TeacherConfig
from sert.endpoint.replay import replay_journal
from sert.errors import EndpointError
from sert.records import Rationale
from sert.store.artifacts import Artifact
from sert.store.journal import read_records
from sert.store.tables import read_table
from sert.tasks.load import load_task
from sert.teacher.rationales import teach

QUESTIONS = load_task("lab", TaskConfig(kind="lab_yes_no", limit=5)).split("train")
THOUGHT = "Hm, it may bark. So the answer is yes. Wait, it has no voice."
ANSWER = "Fish have no voice. So the answer is no."
USAGE = {"prompt_tokens": 30, "completion_tokens": 40, "total_tokens": 70}


def choice(message: Any = ANSWER, finish: Any = "stop", **more: Any) -> Reply:
    """A chat completion; a text stands for a message that holds it."""
    message = {"role": "assistant", "content": message} if isinstance(message, str) else message
    return json_reply({"choices": [{"index": 0, "message": message, "finish_reason": finish, **more}], "usage": USAGE})


def thinks(field: str, content: str | None = ANSWER, **more: Any) -> Reply:
    return choice({"role": "assistant", "content": content, field: THOUGHT, **more})


def page(status: int, title: str) -> Reply:
    body = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Reply(response(status, body.encode(), kind="text/html"))


def plain(status: int, text: str) -> Reply:
    return Reply(response(status, text.encode(), kind="text/plain"))


CHUNK = {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "Fish"}}]}
FIELD = {"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted", "input": "secret"}
HARMONY = f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWER}"


class Shape(NamedTuple):
    name: str
    source: str
    reply: Reply


# What is read: the answer is the rationale, and with `keep` the thinking, where there is any.
ANSWERED = [
    Shape("plain", "OpenAI, API reference: message.content", choice()),
    Shape("completion shape", "llama.cpp, /completion behind a chat address: choices[].text", choice({}, text=ANSWER)),
    Shape("eos_token", "TGI, issue 2344: finish_reason", choice(finish="eos_token")),
    Shape("eos", "Together, models of Llama: finish_reason", choice(finish="eos")),
    Shape("STOP", "Gemini, FinishReason, as gateways hand it on", choice(finish="STOP")),
    Shape("FinishReason.STOP", "Gemini's Python client, FinishReason as text", choice(finish="FinishReason.STOP")),
    Shape("end_turn", "Anthropic and Bedrock, stop_reason, as gateways hand it on", choice(finish="end_turn")),
    Shape("COMPLETE", "Cohere, chat: finish_reason", choice(finish="COMPLETE")),
    Shape("end", "gateways, reported to pi (issue 2107): finish_reason", choice(finish="end")),
    Shape("parts", "OpenAI, content parts of type text", choice({"content": [{"type": "text", "text": ANSWER}]})),
    Shape("no usage", "servers without stream_options: usage missing", json_reply({"choices": [
        {"message": {"content": ANSWER}, "finish_reason": "stop"}]})),
]  # fmt: skip
THINKING = [
    Shape("reasoning_content", "vLLM up to 0.10, SGLang, DeepSeek, llama.cpp: message", thinks("reasoning_content")),
    Shape("reasoning", "vLLM from 0.11, Ollama, OpenRouter: message", thinks("reasoning")),
    Shape("both fields", "vLLM 0.11: the old name beside the new", thinks("reasoning", reasoning_content=THOUGHT)),
    Shape("thinking", "Ollama, /api/chat, as gateways hand it on: message", thinks("thinking")),
    Shape("reasoning_details", "OpenRouter: message.reasoning_details", choice({
        "content": ANSWER, "reasoning_details": [{"type": "reasoning.text", "text": THOUGHT}]})),
    Shape("thinking parts", "Mistral, reasoning: content of thinking and text", choice({"content": [
        {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}, {"type": "text", "text": ANSWER}]})),
    Shape("thinking blocks", "Anthropic, content blocks, as gateways hand them on", choice({"content": [
        {"type": "thinking", "thinking": THOUGHT, "signature": "x"}, {"type": "text", "text": ANSWER}]})),
    Shape("think", "llama.cpp --reasoning-format none, Ollama, TGI: content", choice(
        f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}")),
    Shape("no opening", "DeepSeek-R1, whose template opens the block: content", choice(
        f"{THOUGHT}\n</think>\n{ANSWER}")),
    Shape("reasoning tag", "models and prompts that call it so: content", choice(
        f"<reasoning>{THOUGHT}</reasoning>{ANSWER}")),
    Shape("answer tag", "Hunyuan, DeepSeek-R1-Zero: content", choice(
        f"<think>{THOUGHT}</think>\n<answer>\n{ANSWER}\n</answer>")),
    Shape("THINK", "Magistral: content", choice(f"[THINK]{THOUGHT}[/THINK]{ANSWER}")),
    Shape("seed:think", "Seed-OSS: content", choice(f"<seed:think>{THOUGHT}</seed:think>{ANSWER}")),
    Shape("kimi", "Kimi, SGLang's parser kimi: content", choice(f"◁think▷{THOUGHT}◁/think▷{ANSWER}")),
    Shape("harmony", "gpt-oss, harmony format: content", choice(HARMONY)),
    Shape("harmony, bare", "gpt-oss, llama.cpp issue 15731: control tokens gone", choice(
        f"analysis{THOUGHT}assistantfinal{ANSWER}")),
]  # fmt: skip

# What stops, with a word of the reason.
ONLY_THINKING = [
    Shape(
        "null content", "vLLM issue 17609: content null, text in reasoning_content", thinks("reasoning_content", None)
    ),
    Shape("empty content", "SGLang, parser of a model that does not close: content empty", thinks("reasoning", "")),
    Shape("unclosed", "models that end within their thinking: content", choice(f"<think>{THOUGHT}")),
]
STOPPED = [
    (Shape("abort", "SGLang and vLLM: finish_reason", choice(finish="abort")), r"'abort'.*finish_reasons=\{\"abort\"="),
    (Shape("null", "qwen-code issue 9884: finish_reason null", choice(finish=None)), r"finish_reasons=\{\"none\"="),
    (Shape("empty word", "gateways: finish_reason", choice(finish="")), "without a finish_reason"),
    (Shape("MAX_TOKENS", "Gemini: finish_reason, content missing", choice({}, "MAX_TOKENS")), "limit of 512 tokens"),
    (Shape("hidden thinking", "OpenAI, reasoning: content empty", choice("", "length")), "larger --max-tokens"),
    (Shape("empty", "templates that end the turn: content", choice("")), "the answer is empty"),
    (Shape("all null", "vLLM issue 41902: content and reasoning null", choice({"content": None, "reasoning": None})),
     "content = null, reasoning = null"),
    (Shape("refusal", "OpenAI, structured outputs: message.refusal", choice({"content": None, "refusal": "I cannot."})),
     "refused to answer"),
    (Shape("filter", "Azure OpenAI: finish_reason content_filter", choice("", "content_filter")), "its filter"),
    (Shape("tools", "OpenAI: message.tool_calls", choice({"content": None, "tool_calls": [{"id": "1"}]}, "tool_calls")),
     "calls a tool"),
    (Shape("empty choices", "Azure OpenAI and Gemini: choices", json_reply({"choices": [], "usage": USAGE})),
     "no choices, but an empty list"),
    (Shape("stream", "gateways that always stream: text/event-stream", plain(200, f"data: {json.dumps(CHUNK)}\n\n")),
     "a stream, which was not asked for"),
    (Shape("chunk", "OpenAI: chat.completion.chunk", json_reply(CHUNK)), "part of a stream"),
    (Shape("Messages", "Anthropic, Messages API: content, stop_reason", json_reply(
        {"type": "message", "content": [{"type": "text", "text": ANSWER}], "stop_reason": "end_turn"})), "stop_reason"),
    (Shape("api/chat", "Ollama: message, done", json_reply({"message": {"content": ANSWER}, "done": True})), "done"),
    (Shape("responses", "OpenAI, Responses API: output", json_reply({"output": [], "status": "completed"})), "output"),
    (Shape("generated_text", "TGI, /generate: a list", json_reply([{"generated_text": ANSWER}])), "no JSON object"),
    (Shape("web page", "Open WebUI and other pages at the address", page(200, "Open WebUI")), "web page, 'Open WebUI'"),
    (Shape("error at 200", "gateways: error with status 200", json_reply({"error": "no such backend"})),
     "HTTP 200: no such backend"),
    (Shape("error at 200 with a code", "OpenRouter, errors: error.code", json_reply(
        {"error": {"code": 402, "message": "Insufficient credits"}})), "payment is required.*Insufficient credits"),
    (Shape("error in a choice", "OpenRouter: choices[].error", choice(
        "", "error", error={"code": 400, "message": "Bad schema"})), "error 400: Bad schema"),
    (Shape("fields", "FastAPI, 422: detail is a list", json_reply({"detail": [FIELD]}, status=422)),
     r"HTTP 422: seed: Extra inputs.*\(leave endpoint\.seed out\)"),
    (Shape("fields in a message", "Mistral, 422: message.detail", json_reply(
        {"object": "error", "message": {"detail": [FIELD]}}, status=422)), "HTTP 422: seed: Extra inputs"),
    (Shape("detail", "FastAPI, HTTPException: detail is a text", json_reply({"detail": "no template"}, status=400)),
     "HTTP 400: no template"),
    (Shape("param", "OpenAI, 400: error.param", json_reply({"error": {
        "message": "Unsupported value", "param": "temperature", "code": "unsupported_value"}}, status=400)),
     r"temperature: Unsupported value \(endpoint\.temperature=\"unset\""),
    (Shape("error, text", "TGI and Ollama: error is a text", json_reply(
        {"error": "Input validation error", "error_type": "validation"}, status=422)), "422: Input validation error"),
    (Shape("error, flat", "vLLM up to 0.9: object is error", json_reply(
        {"object": "error", "message": "too long", "code": 400}, status=400)), "HTTP 400: too long"),
    (Shape("error, listed", "Gemini: the error in a list", json_reply(
        [{"error": {"code": 400, "message": "Invalid JSON payload", "status": "INVALID_ARGUMENT"}}], status=400)),
     "HTTP 400: Invalid JSON payload"),
    (Shape("plain text", "axum, for bodies that do not fit: text/plain", plain(422, "unknown field `seed`")),
     "HTTP 422: unknown field `seed`"),
    (Shape("gateway page", "nginx: 413 as HTML", page(413, "413 Request Entity Too Large")),
     "HTTP 413: a web page, '413 Request Entity Too Large'"),
]  # fmt: skip


def taught(server: FaultServer, folder: Path, **teacher: Any) -> Artifact:
    endpoint = EndpointConfig(url=server.base_url, model="teacher", **teacher.pop("endpoint", {}))
    calls = CallsConfig(free=True, timeout=5.0, **teacher.pop("calls", {}))
    config = TeacherConfig(kind="endpoint", endpoint=endpoint, calls=calls, **teacher)
    out = folder / str(sum(1 for _ in folder.iterdir()))
    return teach(QUESTIONS, out=out, calls=folder / "calls", teacher=config)


def rows_of(artifact: Artifact) -> list[Rationale]:
    return read_table(artifact.file("rationales.parquet"), Rationale)


def name_of(row: Any) -> str:
    return row.name if isinstance(row, Shape) else ""


def serving(reply: Reply) -> FaultServer:
    answer: Callable[[dict[str, Any]], Reply] = lambda body: reply  # noqa: E731
    return FaultServer(scripted=answer)


@pytest.mark.parametrize("shape", [*ANSWERED, *THINKING], ids=name_of)
def test_an_answer_is_read_whatever_its_shape(shape: Shape, tmp_path: Path) -> None:
    with serving(shape.reply) as server:
        rows = rows_of(taught(server, tmp_path))
        assert {(row.text, row.flag, row.extracted) for row in rows} == {(ANSWER, None, "no")}
        kept = rows_of(taught(server, tmp_path, thinking="keep"))
        assert server.log.requests == len(rows) == len(QUESTIONS)
    thought = THOUGHT if shape in THINKING else ANSWER
    assert {(row.text, row.flag, row.extracted) for row in kept} == {(thought, None, "no")}


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("shape", ONLY_THINKING, ids=name_of)
def test_thinking_alone_is_a_rationale_where_the_setting_says_so(shape: Shape, tmp_path: Path) -> None:
    with serving(shape.reply) as server:
        with pytest.raises(EndpointError, match=r"nothing behind it.*teacher\.thinking=keep"):
            taught(server, tmp_path)
        assert server.log.requests == 3
        kept = rows_of(taught(server, tmp_path, thinking="keep"))
        assert server.log.requests == len(kept) == len(QUESTIONS)
    assert {(row.text, row.flag) for row in kept} == {(THOUGHT, None)}


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize(("shape", "reason"), STOPPED, ids=name_of)
def test_what_no_rationale_can_be_made_of_is_told_after_three_calls(shape: Shape, reason: str, tmp_path: Path) -> None:
    with serving(shape.reply) as server:
        with pytest.raises(EndpointError, match=reason) as stopped:
            taught(server, tmp_path)
        asked, answered = server.log.requests, replay_journal(tmp_path / "calls").totals.answers
        assert asked <= 3
        with pytest.raises(EndpointError, match=reason):
            taught(server, tmp_path)
        assert server.log.requests == asked + (0 if answered else asked)
    assert "secret" not in str(stopped.value)


def test_the_field_that_is_refused_stands_in_the_journal(tmp_path: Path) -> None:
    with serving(json_reply({"detail": [FIELD]}, status=422)) as server, pytest.raises(EndpointError):
        taught(server, tmp_path)
    told = [record["reason"] for _, record in read_records(tmp_path / "calls" / "calls.journal") if "reason" in record]
    assert told == ["HTTP 422: seed: Extra inputs are not permitted (leave endpoint.seed out)"] * 3


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize(("word", "named"), [("weird", "weird"), (None, "none"), ("Some_Thing", "some-thing")], ids=str)
def test_a_word_that_is_not_known_can_be_told_and_nothing_is_asked_again(
    word: str | None, named: str, tmp_path: Path
) -> None:
    with serving(choice(finish=word)) as server:
        with pytest.raises(EndpointError, match="finish_reason"):
            taught(server, tmp_path)
        assert server.log.requests == 3
        rows = rows_of(taught(server, tmp_path, endpoint={"finish_reasons": {named: "stop"}}))
        assert {(row.text, row.flag) for row in rows} == {(ANSWER, None)}
        cut = rows_of(taught(server, tmp_path, endpoint={"finish_reasons": {named: "length"}}))
        assert {row.flag for row in cut} == {"truncated"}
        assert server.log.requests == len(QUESTIONS)


@pytest.mark.parametrize("setting", [{"calls": {"first_answers": 0}}, {"keep_flagged": True}], ids=str)
def test_who_wants_such_answers_all_the_same_gets_them(setting: dict[str, Any], tmp_path: Path) -> None:
    with serving(choice(finish="abort")) as server:
        rows = rows_of(taught(server, tmp_path, **setting))
        assert server.log.requests == len(QUESTIONS)
    assert {row.flag for row in rows} == {"unfinished"}
