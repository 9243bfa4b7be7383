"""Whether a student is asked by its chat template or plainly, as far as its files tell: nothing is loaded."""

import json
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from sert.config.tree import StudentConfig
from sert.errors import StudentError
from sert.store.artifacts import content_key
from sert.student.chat import templates_of
from sert.student.folder import Place, has_tokenizer, read_json
from sert.student.gguf import chat_template_of_gguf
from sert.student.hub import hub_is_there
from sert.student.texts import Texts

RECORD = "sert.json"
"""Beside the weights of a student with a chat template: how it was asked when it was trained."""
_CONFIG, _TEMPLATE, _TEMPLATES = "tokenizer_config.json", "chat_template.jinja", "additional_chat_templates"


class Form(NamedTuple):
    """How a student is asked.

    Attributes:
        template: The chat template, or several in one; None where it is asked plainly.
        system: The system text; None leaves it to the template.
        thinking: Whether templates that can switch thinking on have it on.
        notice: What people are told of it; None where there is nothing to be told.
    """

    template: str | None
    system: str | None = None
    thinking: bool = False
    notice: str | None = None

    def key(self) -> dict[str, Any]:
        """What results depend on; nothing for students that are asked plainly."""
        if self.template is None:
            return {}
        template = content_key(self.template)
        return {"chat": {"template": template, "system": self.system, "thinking": self.thinking}}


def form_of(config: StudentConfig, place: Place) -> Form:
    """Say how a student is asked: as configured, else as it was trained, else by its chat template if it has one.

    Raises:
        StudentError: If it is to be asked by a chat template and has none, or plainly with a system text.
    """
    template, trained = _template_at(place), _record_at(place)
    before = trained.get("prompt")
    prompt = config.prompt
    if prompt == "auto":
        prompt = before or ("plain" if template is None else "chat")
        system = trained.get("system") if config.system is None else config.system
        thinking = config.thinking or trained.get("thinking") is True
    else:
        system, thinking = config.system, config.thinking
    if prompt == "plain":
        if config.system is not None:
            raise StudentError(
                f"student.system = {config.system!r} needs a student with a chat template, and {config.path!r} is "
                "asked by plain prompts; write it into the tasks' prompts, or set student.prompt = 'chat'."
            )
        return Form(None, notice=None if template is None else _notice(prompt, before))
    if template is None:
        if place.kind == "hub":  # it may be there and not here
            return Form("", system, thinking, _notice(prompt, before))
        raise StudentError(
            f"{config.path!r} has no chat template; set student.prompt = 'plain', or save one with its tokenizer "
            f"({_TEMPLATE})."
        )
    return Form(template, system, thinking, _notice(prompt, before))


def _notice(prompt: str, before: str | None) -> str:
    told = {
        "chat": "prompts are put into its chat template (student.prompt = 'plain' asks it without)",
        "plain": "it has a chat template, and is asked by plain prompts (student.prompt = 'chat' asks it by that)",
    }[prompt]
    return told if before in (None, prompt) else f"{told}; it was trained with student.prompt = {before!r}"


def write_record(folder: Path, texts: Texts) -> None:
    """Write down beside a trained student how it was asked, where that could be forgotten: if it has a template."""
    if templates_of(texts.tokenizer):
        chat = texts.chat
        how = {"prompt": "plain"} if chat is None else {"system": chat.system, "thinking": chat.thinking}
        (folder / RECORD).write_text(json.dumps({"prompt": "chat"} | how) + "\n", encoding="utf-8")


def _record_at(place: Place) -> dict[str, Any]:
    file = Path(place.path) / RECORD
    if place.kind not in ("folder", "adapter") or not file.is_file():
        return {}
    record = read_json(file)
    system = record.get("system")
    if record.get("prompt") not in ("plain", "chat") or not isinstance(system, str | None):
        raise StudentError(f"{file} does not say how the student is asked; remove it and set student.prompt.")
    return record


def _template_at(place: Place) -> str | None:
    """Read the chat template that belongs to a student's tokenizer; several are put together."""
    if place.base is not None and not has_tokenizer(Path(place.path)):
        return _template_at(place.base)
    if place.kind == "hub":
        return _template_on_hub(place.path, place.revision)
    if place.kind == "gguf":
        return chat_template_of_gguf(Path(place.path))
    return template_in(Path(place.path))


def template_in(folder: Path) -> str | None:
    """Read the chat template in a folder; several are put together."""
    files = [folder / _TEMPLATE, *sorted(folder.glob(f"{_TEMPLATES}/*.jinja"))]
    texts = [file.read_text(encoding="utf-8") for file in files if file.is_file()]
    if not texts and (folder / _CONFIG).is_file():
        return _configured(read_json(folder / _CONFIG))
    return "\n".join(texts) if texts else None


def _configured(settings: dict[str, Any]) -> str | None:
    template = settings.get("chat_template")
    return template if isinstance(template, str | None) else json.dumps(template)


@lru_cache
def _template_on_hub(name: str, revision: str | None) -> str | None:
    """Read the chat template of a hub student, from the cache or over the network; None where it cannot be had."""
    for file in (_TEMPLATE, _CONFIG):
        with suppress(Exception):  # no network, no such file, no such student: loading will say so
            from huggingface_hub import hf_hub_download

            found = Path(hf_hub_download(name, file, revision=revision, local_files_only=not hub_is_there()))
            if file == _TEMPLATE:
                return found.read_text(encoding="utf-8")
            return _configured(read_json(found))
    return None
