"""The settings of the filter, and of the selection among what it keeps."""

from typing import Annotated, Any, Literal, NamedTuple, Self, get_args

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from sert.config.limits import Limit, is_above, percentile_of
from sert.config.section import PositiveInt, Section, Share

RuleName = Literal[
    "imitation",
    "option_repetition",
    "direct_response",
    "length",
    "repetition",
    "perplexity",
    "high_perplexity",
    "unfinished",
]
RULES: tuple[RuleName, ...] = get_args(RuleName)
"""The rules in the order in which they are asked: the paper's, then ours."""


class Added(NamedTuple):
    """A setting that came after the paper's: the rule that it switches on, and its value when it is off."""

    rule: RuleName
    off: Any


ADDED = {"max_perplexity": Added("high_perplexity", None), "unfinished": Added("unfinished", "keep")}
LATER = {"only_sometimes_right": False, "max_per_question": 1}
"""Settings of the selection that came later, and what they are when they do nothing."""
USUAL: tuple[RuleName, ...] = tuple(name for name in RULES if name not in {added.rule for added in ADDED.values()})
"""The rules that drop paths unless a setting adds others."""


class RulesConfig(Section):
    """The filter. A rule of the paper is off with `false`, `min_tokens = 0`, `max_rep_2 = 1` or `min_perplexity = 0`.

    Limits of the perplexity may be percentiles of the mined paths, `"p25"`: of all that were mined together and have a
    finite perplexity, before any rule, with linear interpolation. Then every path is decoded to its end.
    """

    imitation: bool = True
    """Drop texts that contain the form of the prompt, `Question: ... Answer:` by default. Paper: filter 1."""
    option_repetition: bool = True
    """Drop texts that only list the options. Paper: filter 1."""
    direct_response: bool = True
    """Drop texts that answer without reasoning. Paper: filter 1."""
    min_tokens: Annotated[int, Field(ge=0)] = 25
    """Paper: filter 2, 25 tokens."""
    max_rep_2: Share = 0.2
    """Paper: filter 3, 20 %."""
    min_perplexity: Limit = 5.0
    """Lowest perplexity, or a percentile. Paper: filter 4, below 5 is dropped."""
    max_perplexity: Limit | None = None
    """Highest perplexity, or a percentile; None = no limit. Not in the paper."""
    unfinished: Literal["keep", "trim", "drop"] = "keep"
    """Paths whose reasoning breaks off within a sentence at `mining.max_new_tokens`: `keep` = trained on as they are,
    the conclusion behind half a sentence; `trim` = trained on up to their last whole sentence, and dropped where that
    leaves no reasoning; `drop`. Whatever is measured stays that of the whole path. Not stated by the paper."""
    unit: Literal["tokens", "words"] = "tokens"
    """Unit of length and rep-2: the student's tokens or lower-cased whitespace words."""
    perplexity_over: Literal["path", "continuation"] = "path"
    """Whether the branch token counts towards the perplexity."""
    max_dropped_share: Share = 0.95
    """Warn when one rule drops more than this share of the paths that reach it."""

    @model_validator(mode="after")
    def _keep_the_limits_in_order(self) -> Self:
        if is_above(self.min_perplexity, self.max_perplexity):
            raise ValueError(
                f"min_perplexity = {self.min_perplexity} is above max_perplexity = {self.max_perplexity}, which drops "
                "every path; lower the one or raise the other"
            )
        return self

    @model_serializer(mode="wrap")
    def _leave_out_what_is_off(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write what came later only where it is on, so that results that were made before it keep their keys."""
        return {name: value for name, value in write(self).items() if name not in ADDED or value != ADDED[name].off}

    @property
    def names(self) -> tuple[RuleName, ...]:
        """The rules that tables show: the paper's, and of ours those that are on."""
        on = {added.rule for setting, added in ADDED.items() if getattr(self, setting) != added.off}
        return tuple(name for name in RULES if name in USUAL or name in on)

    @property
    def usual(self) -> Self:
        """The same with all off that came after the paper's rules."""
        return self.model_copy(update={setting: added.off for setting, added in ADDED.items()})

    @property
    def percentiles(self) -> dict[str, float]:
        """Limits that are known only when all paths are there: setting -> percentage."""
        limits = {"min_perplexity": self.min_perplexity, "max_perplexity": self.max_perplexity}
        found = {setting: percentile_of(limit) for setting, limit in limits.items()}
        return {setting: percentage for setting, percentage in found.items() if percentage is not None}


class SelectionConfig(Section):
    """Which of the mined paths are trained on. All but the defaults is there for comparison.

    With other values than the defaults every lane is decoded to its end.
    """

    rules: tuple[RuleName, ...] = RULES
    """Rules that may drop a path; the others only measure. Paper: all that it has."""
    order: Literal["rep_2", "random", "mean_logprob", "gain"] = "rep_2"
    """Which surviving path of a question is selected: the one with the lowest rep-2, any one, the one with the highest
    mean log-probability, or the one that raises the likelihood of the gold answer the most (`docs/numbers.md`): `gain`
    looks at the gold answer, and has the student score every path. Paper: the lowest rep-2."""
    only_agreeing: bool = False
    """Select only paths whose own conclusion is the gold answer. The paper never compares the two."""
    only_sometimes_right: bool = False
    """Select only for questions that the student can do and cannot yet rely on: some of their mined paths, and not all,
    conclude the gold answer (a path that states no answer does not). Looks at the gold answer. Not in the paper."""
    max_per_question: PositiveInt = 1
    """Surviving paths of a question that are trained on, the first ones in this order; each is an example. Paper: 1."""
    shuffled: bool = False
    """Train each question on the path that was selected for another one, which shows what the paths' content is worth.
    Not in the paper."""

    @model_serializer(mode="wrap")
    def _leave_out_what_is_off(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write what came later only where it is on, so that results that were made before it keep their keys."""
        return {name: value for name, value in write(self).items() if name not in LATER or value != LATER[name]}

    def with_rules(self, rules: RulesConfig) -> "SelectionConfig":
        """Leave out the rules that do nothing because they came after the paper's and are off."""
        return self.model_copy(update={"rules": tuple(name for name in self.rules if name in rules.names)})
