"""A prospect: one configuration, and how many of its train questions are looked at before anything is trained."""

from sert.config.section import PositiveInt
from sert.config.tree import Config


class Prospect(Config):
    """A configuration of one task whose student is looked at; `training` only says what a run would take."""

    questions: PositiveInt = 100
    """Train questions that are looked at; they are drawn by the seed where there are more. Not in the paper."""
