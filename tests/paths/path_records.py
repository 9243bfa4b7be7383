"""Questions and paths for the tests of rules."""

from sert.paths.rules import perplexity, rep_n
from sert.records import Path, Question

YES_NO = Question("q1", "demo", "train", "Can a heron wade?", (), "yes", "Question: Can a heron wade?\nAnswer:")
ROOMS = ("attic", "dark room", "barn", "new york", "dark")
LISTED = ", ".join(f"({letter}) {room}" for letter, room in zip("ABCDE", ROOMS, strict=False))
ASKED = f"Question: Where do bats sleep? Answer choices: {LISTED}.\nAnswer:"
CHOICE = Question("q2", "demo", "train", "Where do bats sleep?", ROOMS, "C", ASKED)
REASONING = " Bats look for quiet places under a roof. Farmers keep hay there. So the answer is (C)."


def make_path(
    text=REASONING, *, token_ids=tuple(range(30)), logprobs=None, finish="eos", question_id="q2", branch=0, sample=0
):
    logprobs = (-2.0,) * len(token_ids) if logprobs is None else logprobs
    return Path(
        question_id=question_id,
        branch=branch,
        sample=sample,
        first_token_id=token_ids[0] if token_ids else 0,
        first_token_logprob=logprobs[0] if logprobs else 0.0,
        token_ids=token_ids,
        logprobs=logprobs,
        text=text,
        finish=finish,
        num_tokens=len(token_ids),
        perplexity=perplexity(logprobs),
        rep_2=rep_n(token_ids, 2),
    )
