"""Examining a server as an engine of mining: does it do as it is asked, and has it the same student?"""

from sert.config.mining import MiningConfig
from sert.config.prompts import PromptTemplates
from sert.config.tree import StudentConfig
from sert.doctor.finding import Finding
from sert.errors import EndpointError
from sert.student.decoding.schedule import Decoding, DecodingPrompt
from sert.student.load import load_outline
from sert.student.served.agreement import Agreement, agreement
from sert.student.served.decoding import Sampler
from sert.student.served.server import called, check_served, context_of

NEAR = 0.02
"""Nats of mean difference up to which a server's numbers are those of the student, as for coarser numbers here."""
_TOKENS = 24


def examine_server(student: StudentConfig, mining: MiningConfig) -> list[Finding]:
    """Let a server sample a few questions, and read what it sampled with the student in float32.

    Raises:
        ConfigError: If it cannot be called so.
        StudentError: If the student cannot be loaded.
    """
    from sert.student.decoding.choice import QUESTIONS  # loads torch

    endpoint, outline = check_served(mining), load_outline(student)
    texts = (PromptTemplates().student.format(question=question) for question in QUESTIONS)
    prompts = [DecodingPrompt(f"probe {number}", outline.encode_prompt(text)) for number, text in enumerate(texts)]
    sampling = mining.model_dump(include={"top_k", "top_p", "temperature", "eos_branch"})
    decoding = Decoding(branches=mining.branches or 1, samples=2, max_new_tokens=_TOKENS, **sampling)
    try:
        sampler = Sampler.of(outline, decoding, endpoint, mining.calls)
        about = sampler.examine(prompts)
        lanes = sampler.sample(prompts, advance=lambda units, note="": None)
    except EndpointError as error:
        return [Finding("mining", "problem", str(error))]
    found = agreement(student, prompts, lanes, skip_ends=mining.eos_branch == "skip")
    return [
        Finding("server", "ok", f"{called(about)} has {about['model']!r}, with texts of {context_of(about)}."),
        Finding("mining", "ok", "It takes and gives token ids, keeps to top-k, top-p and temperature, and draws."),
        judged(found),
        Finding("repeatable", "warning", "What it samples cannot be repeated; manifests and reports say so."),
    ]


def judged(found: Agreement) -> Finding:
    """Say whether a server has the same student."""
    message = f"Against the student here, in float32: {found}."
    if found.mean > NEAR:
        mend = (
            "It serves another model, or one in coarser numbers (vLLM: --dtype float32, or that of the weights); paths "
            "and perplexities are then of that one."
        )
        return Finding("same student", "problem" if found.mean > 10 * NEAR else "warning", f"{message} {mend}")
    return Finding("same student", "ok", message)
