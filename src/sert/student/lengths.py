"""Questions that are too long for a student: their prompt and the longest continuation exceed its positions."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from sert.config.tree import StudentConfig
from sert.student.folder import Place, find_student, read_json
from sert.student.form import form_of
from sert.student.gguf import cached
from sert.student.load import load_texts
from sert.terminal.text import counted, shorten

SHOWN = 20
"""Questions that are named."""
_SPECIAL = 8
"""Tokens that a tokenizer may put around a text; of the text itself no token is shorter than a byte."""


def foresee_too_long(
    student: StudentConfig, prompts: Mapping[str, str], *, setting: str, max_new_tokens: int, places: Mapping[str, str]
) -> str | None:
    """Say before anything is loaded but a tokenizer which prompts (by question id) will be too long; None if none.

    Of a student that is not here yet nothing is known. `setting` is the limit's name, `places` say where each question
    stands.

    Raises:
        StudentError: If there is no such student, or its tokenizer cannot be loaded.
    """
    found = find_too_long(student, prompts, max_new_tokens=max_new_tokens)
    if found is None:
        return None
    return too_long_text(
        found.lengths,
        len(prompts),
        name=student.path,
        positions=found.positions,
        setting=setting,
        max_new_tokens=max_new_tokens,
        places=places,
    )


class TooLong(NamedTuple):
    """The student's positions, and the tokens of each prompt (by question id) that is too long for them."""

    positions: int
    lengths: dict[str, int]


def find_too_long(student: StudentConfig, prompts: Mapping[str, str], *, max_new_tokens: int) -> TooLong | None:
    """Find the prompts that are too long; None where there are none, or nothing is known of the student yet.

    Raises:
        StudentError: If there is no such student, or its tokenizer cannot be loaded.
    """
    if (room := _room_of(student, max_new_tokens=max_new_tokens)) is None:
        return None
    perhaps = {item: prompt for item, prompt in prompts.items() if not room.surely_holds(prompt)}
    texts = load_texts(student, at_hand=True) if perhaps else None
    lengths = {item: len(texts.encode_prompt(prompt)) for item, prompt in perhaps.items()} if texts else {}
    long = {item: length for item, length in lengths.items() if length > room.tokens}
    return TooLong(room.positions, long) if long else None


def first_that_fits(student: StudentConfig, prompts: Iterable[str], *, max_new_tokens: int) -> str | None:
    """Return the first prompt that is not too long, as far as that is known; None where all are. Looks no further.

    Raises:
        StudentError: If there is no such student, or its tokenizer cannot be loaded.
    """
    room, texts = _room_of(student, max_new_tokens=max_new_tokens), None
    for prompt in prompts:
        if room is None or room.surely_holds(prompt):
            return prompt
        texts = texts or load_texts(student, at_hand=True)
        if len(texts.encode_prompt(prompt)) <= room.tokens:
            return prompt
    return None


class _Room(NamedTuple):
    """A student's positions, the tokens of a prompt that they hold, and what else a prompt gets at most, in tokens."""

    positions: int
    tokens: int
    around: int

    def surely_holds(self, prompt: str) -> bool:
        """Tell whether a prompt fits however it is tokenized."""
        return len(prompt.encode()) + self.around <= self.tokens


def _room_of(student: StudentConfig, *, max_new_tokens: int) -> _Room | None:
    """Say what a student has room for; None where it is not here yet."""
    place = find_student(student)
    folder, form = _folder_of(place), form_of(student, place)
    positions = None if folder is None else _positions_in(folder)
    if positions is None:
        return None
    around = _SPECIAL + len(form.template or "") + len((form.system or "").encode())
    return _Room(positions, positions - max_new_tokens, around)


def _folder_of(place: Place) -> Path | None:
    """Find the folder with a student's configuration, where it is here already."""
    if place.base is not None:
        return _folder_of(place.base)
    if place.kind == "gguf":
        folder = cached(Path(place.path))
        return folder if folder.is_dir() else None
    return Path(place.path) if place.kind == "folder" else None


def _positions_in(folder: Path) -> int | None:
    settings = read_json(folder / "config.json")
    text = settings.get("text_config")
    claimed = {**settings, **text} if isinstance(text, dict) else settings
    positions = claimed.get("max_position_embeddings", claimed.get("n_positions"))
    return positions if isinstance(positions, int) else None


def too_long_text(
    lengths: Mapping[str, int],
    num_questions: int,
    *,
    name: str,
    positions: int,
    max_new_tokens: int,
    setting: str = "max_new_tokens",
    places: Mapping[str, str] | None = None,
) -> str | None:
    """Say which of the questions are too long and what mends it; None where none is.

    Args:
        lengths: Question id -> tokens of its prompt, of those that are too long.
        num_questions: How many there are in all.
        name: What the student is called.
        positions: How many it has.
        max_new_tokens: Of the longest continuation.
        setting: What that limit is called.
        places: Question id -> where it stands, as far as that is known.
    """
    if not lengths:
        return None
    places = places or {}
    named = [
        f"{shorten(item)} ({f'{places[item]}, ' if item in places else ''}{counted(tokens, 'tokens')})"
        for item, tokens in list(lengths.items())[:SHOWN]
    ]
    more = [f"and {len(lengths) - SHOWN} more"] if len(lengths) > SHOWN else []
    room = positions - min(lengths.values())
    mend = f"Lower {setting} (at {room} the shortest of them fits)" if room > 0 else "Shorten them"
    return (
        f"Too long for {name!r}: {len(lengths)} of {counted(num_questions, 'questions')}, whose prompt and "
        f"{setting} = {max_new_tokens} have more tokens than its {positions:,} positions: "
        f"{', '.join([*named, *more])}. {mend}, or take a student with more positions."
    )
