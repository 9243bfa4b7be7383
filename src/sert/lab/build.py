"""Building the lab student from a seed: tokenizer, corpus, pretraining through the project's own training loop."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sert.config.tree import TrainingConfig
from sert.lab.corpus import documents
from sert.lab.oracle import write_rationale
from sert.lab.world import World, lab_world, split_questions
from sert.records import Example, Question
from sert.seeds import derive_seed
from sert.store.artifacts import Artifact, Draft, commit, file_hash
from sert.student.folder import LAB_STUDENT
from sert.terminal.progress import Reporter, Silent

VOCABULARY = 1024
WIDTH, LAYERS, HEADS, POSITIONS = 128, 4, 4, 1024
STEPS = 4000
BATCH = 32
TOKENIZER_DOCUMENTS = 6000
END_OF_TEXT = "<|endoftext|>"

PRETRAINING = TrainingConfig(
    batch_size=BATCH,
    micro_batch_size=16,
    learning_rate=2e-3,
    max_steps=STEPS,
    weight_decay=0.01,
    warmup_steps=100,
    schedule="cosine",
    max_grad_norm=1.0,
    adam_betas=(0.9, 0.98),
)


def build_lab_student(*, out: Path, seed: int = 0, steps: int = STEPS, reporter: Reporter | None = None) -> Artifact:
    """Pretrain the lab student from nothing.

    The world does not change with the seed, only corpus, order and initial weights do. It trains on one thread, so that
    the same seed gives the same bytes on one machine; another processor may round differently.
    `model/` in the folder of the result is an ordinary transformers folder.
    """
    world = lab_world()
    config = PRETRAINING.model_copy(update={"max_steps": steps})

    def fill(draft: Draft) -> Mapping[str, Any]:
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return _pretrain(draft.folder, world, config, seed, reporter or Silent())
        finally:
            torch.set_num_threads(threads)

    settings = {"training": config.model_dump(), "width": WIDTH, "layers": LAYERS, "vocabulary": VOCABULARY}
    return commit(out, fill, stage="lab-build", config=settings, inputs={}, seed=seed)


def _pretrain(folder: Path, world: World, config: TrainingConfig, seed: int, reporter: Reporter) -> dict[str, Any]:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from sert.student.load import make_student
    from sert.student.training.loop import train_student

    stream = documents(world, seed=seed)
    sample = list(itertools.islice(stream, TOKENIZER_DOCUMENTS))
    tokenizer = train_tokenizer([*(doc.prompt + doc.completion for doc in sample), *_oracle_texts(world)])
    torch.manual_seed(derive_seed(seed, "weights") % 2**63)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=POSITIONS,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=tokenizer.eos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    student = make_student(model, tokenizer, name="lab")
    assert config.max_steps is not None
    drawn = itertools.islice(stream, config.max_steps * config.batch_size)
    examples = [Example("", doc.prompt, doc.completion, "corpus") for doc in drawn]
    result = train_student(
        student, examples, config, seed=seed, loss_file=folder / "loss.jsonl", label="lab build", reporter=reporter
    )
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return {**result._asdict(), "parameters": model.num_parameters(), "vocabulary": len(tokenizer)}


def train_tokenizer(texts: Iterable[str]) -> Any:
    """Train a byte-level BPE on texts, as GPT-2's is: any text can be encoded, the world's words are one token each."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TEXT, bos_token=END_OF_TEXT)


def _oracle_texts(world: World) -> Iterator[str]:
    """The oracle's words belong to the vocabulary too, or distillation would teach spelling."""
    for kind in ("yes_no", "choice"):
        for asked in split_questions(world, kind=kind, split="train"):
            question = Question("", "", "train", asked.question, asked.choices, asked.answer, "")
            yield f" {write_rationale(world, question)}"


def compare_with_shipped(built: Artifact) -> dict[str, Any]:
    """Compare a built student with the shipped one: the same weights, byte for byte, or not."""
    weights = file_hash(built.file("model/model.safetensors"))
    return {"weights_sha256": weights, "same_as_shipped": weights == file_hash(LAB_STUDENT / "model.safetensors")}
