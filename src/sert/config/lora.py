"""The settings of LoRA: two small matrices beside each linear layer, which alone are trained."""

from typing import Annotated, Literal

from pydantic import Field

from sert.config.section import PositiveInt, Section


class LoraConfig(Section):
    """Adapters (LoRA, arXiv 2106.09685, or DoRA, arXiv 2402.09353) instead of training every weight."""

    rank: PositiveInt = 16
    """Inner size of the two matrices."""
    alpha: PositiveInt = 32
    """Their product is multiplied by `alpha / rank`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a layer's inputs that its adapter does not see in training."""
    targets: Literal["all-linear"] | Annotated[tuple[str, ...], Field(min_length=1)] = "all-linear"
    """Layers that get an adapter: all linear ones but the output embeddings, or those of these names, as in
    `["q_proj", "v_proj"]`."""
    dora: bool = False
    """DoRA: train how long the weights of each output are apart from where they point."""
    output: Literal["merged", "adapter"] = "merged"
    """What is saved: a whole model with the adapters in its weights, or the adapters alone, which name their base."""
