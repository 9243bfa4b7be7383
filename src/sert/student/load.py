"""Loading of students: a hub id, a folder, a GGUF file, an adapter, or the lab student that ships with the package."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sert.config.tree import StudentConfig
from sert.errors import SertError, StudentError
from sert.store.artifacts import content_key
from sert.student.adapter import merged
from sert.student.chat import Chat, make_chat, templates_of
from sert.student.folder import (
    ADAPTER_CONFIG,
    Place,
    check_claims,
    find_student,
    has_tokenizer,
    keyed_files,
    read_json,
)
from sert.student.form import form_of
from sert.student.gguf import FORM, converted, tokenizer_of_gguf
from sert.student.hub import hub_is_there
from sert.student.outline import Outline, outline_of
from sert.student.soundness import SENTENCE, check_causal, check_complete, check_finite
from sert.student.speed.memory import out_of_memory_means
from sert.student.texts import Texts
from sert.student.weights import hash_of

if TYPE_CHECKING:
    import torch

_HOW_LOADED = ("is_local", "local_files_only")
"""What a tokenizer would save of how it was loaded: from a folder or not, with HF_HUB_OFFLINE or not."""
CHARACTERS_A_TOKEN = 4
"""Of English, for guesses."""


@dataclass(frozen=True)
class Student(Outline):
    """A causal language model with its tokenizer, ready to decode.

    Attributes:
        model: Any `AutoModelForCausalLM`, in evaluation mode, on its device.
    """

    model: Any = field(kw_only=True)

    @property
    def device(self) -> "torch.device":
        """Where the model's weights are."""
        device: torch.device = next(self.model.parameters()).device
        return device


def student_key(config: StudentConfig) -> str:
    """Name the student's content: hashes of the files of a folder, id and revision of a hub model; and how it is asked.

    A GGUF file is named by its own hash and the form of its conversion, an adapter by its files and by the content of
    its base, wherever they lie. Each file is hashed once a process, and again when it has changed.
    """
    place = find_student(config)
    return content_key({"dtype": config.dtype, **_identity(place), **form_of(config, place).key()})


def _identity(place: Place) -> dict[str, Any]:
    folder = Path(place.path)
    if place.kind == "hub":
        return {"hub": [place.path, place.revision]}
    if place.kind == "gguf":
        return {"gguf": hash_of(folder), "conversion": FORM}
    files = {str(file.relative_to(folder)): hash_of(file) for file in keyed_files(folder)}
    if place.base is None:
        return {"files": files}
    settings = read_json(folder / ADAPTER_CONFIG) | {"base_model_name_or_path": None}
    return {"adapter": files | {ADAPTER_CONFIG: content_key(settings)}, "base": _identity(place.base)}


def load_texts(config: StudentConfig, *, at_hand: bool = False) -> Texts:
    """Load the tokenizer alone, and the turns of its chat template where the student is asked by it.

    Args:
        config: The student.
        at_hand: Whether nothing may be fetched or converted for it.

    Raises:
        StudentError: If it cannot be loaded, or its chat template cannot be used.
    """
    place = find_student(config)
    form = form_of(config, place)
    with _loading(place):
        tokenizer = _load_tokenizer(place, at_hand=at_hand)
        if form.template is None:
            if config.prompt == "auto" and place.kind == "hub" and templates_of(tokenizer):
                raise StudentError(
                    f"{config.path!r} has a chat template, which could not be read when the work was planned. Give the "
                    "command again, or set student.prompt."
                )
            return Texts(tokenizer)
        return Texts(tokenizer, chat=make_chat(tokenizer, system=form.system, thinking=form.thinking, name=config.path))


def _load_tokenizer(place: Place, *, at_hand: bool) -> Any:
    from transformers import AutoConfig, AutoTokenizer

    if place.kind == "hub" and not at_hand:
        _refuse_adapter(place)
    model = place
    while place.base is not None and not has_tokenizer(Path(place.path)):
        place = place.base
    while model.base is not None:
        model = model.base
    if at_hand and place.kind == "gguf":
        return tokenizer_of_gguf(Path(place.path))
    settings = _source(place, at_hand=at_hand)
    if model is not place:  # no model is beside it that would tell its kind
        settings["config"] = AutoConfig.from_pretrained(_readable(model), **_source(model, at_hand=at_hand))
    tokenizer = AutoTokenizer.from_pretrained(_readable(place), **settings)
    for name in _HOW_LOADED:
        tokenizer.init_kwargs.pop(name, None)
    return tokenizer


def load_outline(config: StudentConfig) -> Outline:
    """Load what is known of a student without its weights: its files may be fetched for it, or converted.

    Raises:
        StudentError: If they cannot be read, or do not fit together.
    """
    place, texts = find_student(config), load_texts(config)
    while place.base is not None:
        place = place.base
    from transformers import AutoConfig, GenerationConfig

    with _loading(place):
        settings = AutoConfig.from_pretrained(_readable(place), **_source(place))
        try:
            ends = GenerationConfig.from_pretrained(_readable(place), **_source(place))
        except OSError:  # there is none
            ends = GenerationConfig.from_model_config(settings)
    return outline_of(
        texts.tokenizer,
        name=config.path,
        chat=texts.chat,
        vocabulary=settings.get_text_config(decoder=True).vocab_size,
        settings=settings,
        end=ends.eos_token_id,
    )


def load_settings(config: StudentConfig) -> Any | None:
    """Read the model's configuration alone, without a download; None where it is not here.

    Raises:
        StudentError: If it cannot be read.
    """
    place = find_student(config)
    while place.base is not None:
        place = place.base
    if place.kind == "gguf":
        return None
    from transformers import AutoConfig

    try:
        with _loading(place):
            return AutoConfig.from_pretrained(place.path, **_source(place, at_hand=True))
    except StudentError:
        if place.kind == "hub":
            return None
        raise


def load_student(config: StudentConfig, *, worker: int = 0) -> Student:
    """Load model and tokenizer; only safetensors weights, never remote code.

    Where there are several accelerators, each worker (of several processes) takes another.

    Raises:
        StudentError: If the student cannot be loaded, with what was tried and how to mend it.
    """
    if config.dtype == "auto":
        raise StudentError(
            "What student.dtype = 'auto' means is chosen by mine, evaluate and run. To load a student, give one of the "
            "types, such as float32."
        )
    place = find_student(config)
    check_claims(place)
    import torch
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # its bars for each file read or written would tear our own
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    texts = load_texts(config)
    with _loading(place):
        coarse = config.dtype in ("bfloat16", "float16")
        model = _load_model(place, getattr(torch, config.dtype) if coarse else torch.float32)
    check_finite(model, config)
    try:
        with out_of_memory_means(f"The memory of {config.device!r} does not hold {config.path!r}."):
            model = model.to(device_named(config.device, worker))
    except (RuntimeError, AssertionError) as error:
        raise StudentError(f"The device {config.device!r} cannot be used here: {error} Use auto or cpu.") from None
    _replace_products(model, config.dtype)
    student = make_student(model, texts.tokenizer, name=config.path, chat=texts.chat)
    if config.dtype == "float32":
        check_causal(model, student.encode_prompt(SENTENCE), name=config.path)
    return student


def _replace_products(model: Any, dtype: str) -> None:
    if dtype not in ("float32", "float16"):
        from sert.student.speed import quantized

        if dtype == "int8":
            quantized.quantize_student(model)
        elif dtype == "bfloat16":
            quantized.multiply_in_bfloat16(model)
        else:
            quantized.multiply_nearly_exactly(model, dtype)


def _load_model(place: Place, dtype: "torch.dtype") -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    from sert.student.speed.layers import cast_weights

    if place.base is not None:
        model = merged(_load_model(place.base, torch.float32), place.path)
        cast_weights(model, dtype)
        return model
    model, loading = AutoModelForCausalLM.from_pretrained(
        _readable(place), dtype=dtype, use_safetensors=True, output_loading_info=True, **_source(place)
    )
    check_complete(loading, name=place.path)
    return model


def _refuse_adapter(place: Place) -> None:
    """Refuse an adapter on the hub: with the package peft transformers would load it, and not merge it."""
    from transformers.utils.peft_utils import find_adapter_config_file

    settings = {"revision": place.revision, "local_files_only": not hub_is_there()}
    if find_adapter_config_file(place.path, **settings) is not None:
        raise StudentError(
            f"{place.path!r} is an adapter on the hub. Download it (`hf download {place.path} --local-dir FOLDER`) and "
            "give that folder: it is then merged into its base model."
        )


def _readable(place: Place) -> str:
    """Name what transformers reads: a folder, or a hub id."""
    return str(converted(Path(place.path))) if place.kind == "gguf" else place.path


def _source(place: Place, *, at_hand: bool = False) -> dict[str, Any]:
    """Say how transformers reads it: of the hub, what is here already where nothing is to be fetched, or can be."""
    cached = at_hand or (place.kind == "hub" and not hub_is_there())
    source = {"revision": place.revision, "trust_remote_code": False}
    return source | ({"local_files_only": True} if cached else {})


@contextmanager
def _loading(place: Place) -> Iterator[None]:
    """Turn what goes wrong with the files of a student into one clear error."""
    try:
        yield
    except SertError:
        raise
    except Exception as error:  # what a broken config or tokenizer makes the library raise is not documented
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        mend = "Give a folder with config.json, safetensors weights and a tokenizer, or a hub id that can be reached."
        named = repr(place.path)
        if place.kind == "hub" and not hub_is_there():
            mend = "The hub cannot be reached from here, and it is not among what was fetched before. " + mend
        if place.kind == "hub" and get_close_matches(place.path, ["lab"]):
            mend = "Did you mean `lab`, the student that ships with this package? " + mend
        if place.base is not None:
            named += f", an adapter of {place.base.path!r},"
            mend = f"If its base cannot be had, get it or correct base_model_name_or_path in {ADAPTER_CONFIG}."
        if sys.flags.optimize == 2:
            mend = "Unset PYTHONOPTIMIZE, or leave out -OO: transformers builds models by docstrings, which are gone."
        raise StudentError(f"The student {named} cannot be loaded: {reason} {mend}") from None


def make_student(model: Any, tokenizer: Any, *, name: str, chat: Chat | None = None) -> Student:
    """Wrap a model and its tokenizer, and the turns that it is asked in; the end of its own turn ends a text, too.

    Raises:
        StudentError: If they do not fit together or state no end-of-text token.
    """
    known = outline_of(
        tokenizer,
        name=name,
        chat=chat,
        vocabulary=model.get_input_embeddings().weight.shape[0],
        settings=model.config,
        end=model.generation_config.eos_token_id,
    )
    return Student(**{each.name: getattr(known, each.name) for each in fields(known)}, model=model.eval())


def device_named(name: str, worker: int = 0) -> "torch.device":
    """Find the device that a setting means, for one of several workers.

    Raises:
        StudentError: If there is no such device.
    """
    import torch

    if name == "auto":
        accelerator = torch.accelerator.current_accelerator(check_available=True)
        if accelerator is not None and worker:
            return torch.device(accelerator.type, worker % torch.accelerator.device_count())
        return accelerator if accelerator is not None else torch.device("cpu")
    try:
        return torch.device(name)
    except RuntimeError:
        raise StudentError(f"There is no device {name!r}; use auto, cpu, cuda or cuda:1.") from None
