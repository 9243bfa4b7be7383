"""What is known of a student without its weights: its tokenizer, the ends of its texts, its positions."""

from dataclasses import dataclass
from typing import Any

from sert.errors import StudentError
from sert.student.chat import Chat
from sert.student.soundness import RESIZE, check_vocabulary
from sert.student.texts import Texts


@dataclass(frozen=True)
class Outline(Texts):
    """A student without its weights.

    Attributes:
        name: How people call it.
        eos_ids: Tokens that end a text.
        max_positions: Longest prompt + completion, None when the model states no limit.
        vocabulary: Tokens that the model has embeddings for.
        unknown_ids: Special tokens that were added to the tokenizer and not to the model.
    """

    name: str
    eos_ids: tuple[int, ...]
    max_positions: int | None
    vocabulary: int
    unknown_ids: frozenset[int] = frozenset()

    @property
    def end_of_text(self) -> int:
        """The token that is put behind texts: the tokenizer's own, else one of the model's."""
        own: int | None = self.tokenizer.eos_token_id
        return self.eos_ids[0] if own is None else own

    @property
    def ends(self) -> frozenset[int]:
        """Tokens that end a text."""
        return frozenset(self.eos_ids)

    @property
    def end_of_example(self) -> int:
        """The token that an example is ended by: that of the student's turn, else the end of a text."""
        return self.end_of_text if self.chat is None else self.chat.end_of_turn

    def encode_prompt(self, prompt: str) -> list[int]:
        """Tokenize a prompt as the student is asked it: in a user's turn of its chat template, or as it stands.

        Raises:
            StudentError: If it holds a token that the model does not know, or becomes a control token.
        """
        return self._known(super().encode_prompt(prompt))

    def _known(self, token_ids: list[int]) -> list[int]:
        if not self.unknown_ids.isdisjoint(token_ids):
            token = next(each for each in token_ids if each in self.unknown_ids)
            raise StudentError(
                f"A prompt holds {self.decode([token])!r}, which {self.name!r} has no embedding for. {RESIZE}"
            )
        return token_ids


def outline_of(
    tokenizer: Any, *, name: str, chat: Chat | None, vocabulary: int, settings: Any, end: int | list[int] | None
) -> Outline:
    """Put together what is known of a student; the end of its turn ends a text, too.

    Args:
        tokenizer: Its own.
        name: How people call it.
        chat: The turns that it is asked in.
        vocabulary: Tokens that the model has embeddings for.
        settings: The model's configuration.
        end: What its generation config says of the ends of texts.

    Raises:
        StudentError: If they do not fit together or state no end-of-text token.
    """
    unknown = check_vocabulary(tokenizer, vocabulary, name=name)
    turn = None if chat is None else chat.end_of_turn
    eos_ids = {tokenizer.eos_token_id, turn, *(end if isinstance(end, list) else [end])} - {None}
    eos_ids = {token for token in eos_ids if 0 <= token < vocabulary}  # some configurations keep -1 for none
    if not eos_ids:
        raise StudentError(f"Neither the tokenizer nor the model of {name!r} states an end-of-text token.")
    max_positions = getattr(settings.get_text_config(decoder=True), "max_position_embeddings", None)
    return Outline(tokenizer, name, tuple(sorted(eos_ids)), max_positions, vocabulary, unknown, chat=chat)
