"""The settings of mining: how paths are sampled, and who samples them."""

from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from sert.config.endpoints import VARIABLE
from sert.config.rules import RulesConfig, SelectionConfig
from sert.config.section import PositiveInt, Section


class MiningEndpoint(Section):
    """A server that has the student and samples its paths by token ids, as vLLM does. The model is in keys."""

    url: str
    """OpenAI-compatible server that takes and gives token ids, up to `/v1`."""
    model: str
    """The student's name at the server."""


class MiningCalls(Section):
    """How such a server is called. None of it changes what comes back."""

    api_key_env: Annotated[str, Field(pattern=VARIABLE)] | None = None
    """Name, in capitals, of the environment variable with the key; without it no key is sent."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 32
    """Requests that are under way at a time; each is for all samples of a branch."""
    timeout: Annotated[float, Field(gt=0)] = 600.0
    """Seconds that one attempt may take."""
    max_attempts: PositiveInt = 8
    """Failures in a row of one request after which mining stops; being told to wait is none."""


class MiningConfig(Section):
    """Branching decoding."""

    branches: Annotated[int, Field(ge=0)] = 5
    """First tokens that are branched on; 0 = raw sampling, the first token is drawn too. Paper: top 5."""
    samples: PositiveInt = 5
    """Continuations a branch. Paper: 5."""
    top_k: PositiveInt = 10
    """Paper: 10."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.95
    """Paper: 0.95."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Not stated by the paper."""
    max_new_tokens: PositiveInt = 128
    """Longest path, in tokens. Not stated by the paper."""
    eos_branch: Literal["skip", "continue"] = "skip"
    """End-of-text among the top first tokens: take the next token instead, or keep it as a branch."""
    keep_all: bool = False
    """Decode every lane to its end, also when it cannot be selected any more. Otherwise most stop at one token, but
    where a limit of the rules is a percentile."""
    max_lanes: PositiveInt = 400
    """Lanes that decode together. Bounds memory."""
    engine: Literal["student", "openai"] = "student"
    """Who samples the paths of the first student: `student`, this software; `openai`, a server that has it
    (`docs/scale.md`): all paths to their ends, and others each time. Students that are trained here sample here."""
    endpoint: MiningEndpoint | None = None
    """The server, where one samples."""
    calls: MiningCalls = MiningCalls()

    @model_serializer(mode="wrap")
    def _leave_out_what_is_off(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write what came later only where it is given, so that what was written before it stays the same."""
        given = {"engine": self.engine != "student", "endpoint": self.endpoint, "calls": self.calls != MiningCalls()}
        return {name: value for name, value in write(self).items() if given.get(name, True)}

    @property
    def paths_a_question(self) -> int:
        """How many paths are sampled of each question."""
        return (self.branches or 1) * self.samples

    def for_rules(self, rules: RulesConfig, selection: SelectionConfig | None = None) -> "MiningConfig":
        """Sample every path to its end where nothing is certain of it before.

        That is so where a limit is a percentile of all paths, where the selection is not the paper's, or where a server
        samples.
        """
        chosen = (selection or SelectionConfig()).with_rules(rules)
        foreseen = not rules.percentiles and chosen == SelectionConfig().with_rules(rules)
        return self.model_copy(update={"keep_all": self.keep_all or not foreseen or self.engine != "student"})

    def shaped(self, **shape: int) -> "MiningConfig":
        """Sample every path to its end, with other `branches` and `samples`."""
        return self.model_copy(update={**shape, "keep_all": True})

    def by_student(self) -> "MiningConfig":
        """The same where this software samples."""
        return self.model_copy(update={"engine": "student", "endpoint": None, "calls": MiningCalls()})

    def keyed(self) -> dict[str, Any]:
        """Write what decides which paths come: of a server its model, not where it is nor how it is called."""
        decisive = self.by_student().model_dump(mode="json")
        if self.engine == "student":
            return decisive
        return decisive | {"engine": self.engine, "model": self.endpoint.model if self.endpoint else None}
