"""What the first answer of an endpoint tells about those that follow."""

from collections.abc import Iterator

from sert.endpoint.calls import Call, Reply


def cut_prompt(call: Call, reply: Reply) -> str | None:
    """Say so if the endpoint counts so few tokens in a prompt that it cannot have read all its words."""
    prompt = call.body.get("prompt") or call.body["messages"][0]["content"]
    words = len(prompt.split())
    if reply.usage is None or reply.usage.prompt_tokens >= words // 2:
        return None
    return f"the endpoint counts {reply.usage.prompt_tokens} tokens in a prompt of {words} words, so it cut the prompt"


def warnings_about(call: Call, reply: Reply) -> Iterator[str]:
    """Say what is odd, but no reason to stop."""
    asked = str(call.body["model"]).lower()
    if reply.model and reply.model.lower() not in asked and asked not in reply.model.lower():
        yield f"the endpoint answers as {reply.model!r}, not as {asked!r}"
    if reply.usage is None:
        yield "the endpoint does not count tokens, so that costs are held at their most and cut answers may not be seen"
    elif reply.usage.completion_tokens > call.max_tokens:
        yield f"the endpoint wrote {reply.usage.completion_tokens} tokens where {call.max_tokens} were the limit"
    elif reply.usage.completion_tokens == call.max_tokens and reply.finish_reason != "length":
        yield f"the endpoint says {reply.finish_reason!r} for an answer that the limit cut"
    if not reply.finish_reason:
        yield "the endpoint does not say why an answer ends, so that every one counts as unfinished"
