"""How long the explorer's page of CommonsenseQA's size takes, and how large it gets: 9,741 questions, 25 paths each.

    python -m benchmarks.explorer /tmp/large --texts outputs.jsonl --questions train_rand_split.jsonl --tokenizer gpt2

Paths are resampled: sentences of real outputs (a JSON object with `output` a line) in new orders, with the tokens of a
real tokenizer and log-probabilities that are drawn. The folder keeps them; the page is written in a process of its own,
whose time and peak memory are told.
"""

import argparse
import json
import random
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath
from typing import Any

from sert.analysis.explored.collect import explored
from sert.analysis.explored.sources import ExploredArm, ExploredRun, FilteredPaths, MinedPaths
from sert.config.prompts import PromptTemplates
from sert.config.tree import MiningConfig, RulesConfig, SelectionConfig, StudentConfig
from sert.paths.filtering import filter_paths
from sert.paths.rules import perplexity, rep_n
from sert.records import Path, Question, Verdict
from sert.runs.explore import write_page
from sert.store.artifacts import Artifact, commit, open_artifact
from sert.store.tables import StoredTable, read_table, write_table
from sert.terminal.progress import Silent, Terminal

BRANCHES, SAMPLES = 5, 5
MEAN_CHARACTERS, MOST_TOKENS = 376, 128
"""Those of recorded rationales of CommonsenseQA, and the limit of mining."""
NATS_A_TOKEN = (0.289, 0.3)
"""Logarithms of the median and of the spread of a path's mean surprise: perplexity 3.8, as of a student of 135M."""
MINED, FILTERED, STUDENT = "mined", "filtered", "student"


def main() -> None:
    """Make what is not there yet, then measure."""
    options = _options()
    if options.write:
        return _write(options.folder, options.logprobs)
    folder: FilePath = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / STUDENT).is_dir():
        _save_student(options.tokenizer, folder / STUDENT)
    mined = _mine(options, folder / MINED)
    filter_paths(mined, rules=RulesConfig(), out=folder / FILTERED, reporter=Terminal())
    command = [sys.executable, "-m", "benchmarks.explorer", str(folder), "--write", "--logprobs", options.logprobs]
    subprocess.run(command, check=True)


def _write(folder: FilePath, logprobs: str) -> None:
    started = time.monotonic()
    mined, filtered = open_artifact(folder / MINED), open_artifact(folder / FILTERED)
    questions = tuple(read_table(mined.file("questions.parquet"), Question))
    source = MinedPaths(mined, str(mined.folder), "large", questions, StudentConfig(path=str(folder / STUDENT)))
    verdicts = StoredTable(filtered.file("verdicts.parquet"), Verdict)
    looked_at = FilteredPaths(FILTERED, source, RulesConfig(), SelectionConfig(), verdicts, {}, filtered)
    arm = ExploredArm("resampled", 0, "main", None, "large", [looked_at], {})
    shown = explored([ExploredRun("large", str(folder), [arm])], logprobs=logprobs, largest=10**9, reporter=Silent())
    page = folder / f"explore-{logprobs}.html"
    write_page(page, shown)
    parts: dict[str, int] = {}
    for element in (*shown.small, *shown.blocks):
        kind = element.name.partition("-")[0]
        parts[kind] = parts.get(kind, 0) + element.size
    told: dict[str, Any] = {
        "paths": filtered.counts["paths"],
        "kept": filtered.counts["kept"],
        "seconds": round(time.monotonic() - started, 1),
        "processor_seconds": round(time.process_time(), 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "page_mb": round(page.stat().st_size / 1e6, 1),
        "parts_mb": {kind: round(size / 1e6, 1) for kind, size in sorted(parts.items())},
    }
    print(json.dumps(told))


def _mine(options: argparse.Namespace, folder: FilePath) -> Artifact:
    """Resample the paths of all questions."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder.with_name(STUDENT))
    sentences = _sentences(options.texts)
    questions = list(_questions(options.questions))[: options.limit]

    def fill(draft: Any) -> dict[str, int]:
        write_table(draft.folder / "questions.parquet", questions, Question)
        rows = write_table(draft.folder / "paths.parquet", _paths(questions, sentences, tokenizer), Path)
        return {"paths": rows, "questions": len(questions), "tokens": 0}

    settings = {"prompts": PromptTemplates(), "mining": MiningConfig(keep_all=True)}
    config = {name: section.model_dump(mode="json") for name, section in settings.items()}
    return commit(folder, fill, stage="mine", config=config, inputs={}, seed=0)


def _paths(questions: Sequence[Question], sentences: Sequence[Sequence[str]], tokenizer: Any) -> Iterator[Path]:
    for number, question in enumerate(questions):
        drawn = random.Random(number)
        texts = [_text(question, sentences, drawn) for _ in range(BRANCHES * SAMPLES)]
        encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
        for place, whole in enumerate(encoded):
            token_ids = tuple(whole[:MOST_TOKENS])
            surprise = drawn.lognormvariate(*NATS_A_TOKEN)
            logprobs = tuple(-min(14.0, drawn.expovariate(1 / surprise)) for _ in token_ids)
            yield Path(
                question.question_id,
                place // SAMPLES,
                place % SAMPLES,
                first_token_id=token_ids[0],
                first_token_logprob=logprobs[0],
                token_ids=token_ids,
                logprobs=logprobs,
                text=texts[place] if len(whole) <= MOST_TOKENS else tokenizer.decode(token_ids),
                finish="eos" if len(whole) <= MOST_TOKENS else "length",
                num_tokens=len(token_ids),
                perplexity=perplexity(logprobs),
                rep_2=rep_n(token_ids, 2),
            )


def _text(question: Question, sentences: Sequence[Sequence[str]], drawn: random.Random) -> str:
    """Put sentences of several outputs together until a drawn length is reached, 376 characters in the mean."""
    length = drawn.lognormvariate(-0.32, 0.45) * MEAN_CHARACTERS
    text = ""
    while len(text) < length:
        of_output = drawn.choice(sentences)
        start = drawn.randrange(len(of_output))
        text += "".join(f" {sentence}" for sentence in of_output[start : start + drawn.randrange(1, 3)])
    answer = drawn.choice(question.letters or "AB")
    return f"{text} So the answer is ({answer})." if drawn.random() < 0.6 else text


def _sentences(files: Sequence[FilePath]) -> list[list[str]]:
    outputs = (json.loads(line)["output"] for file in files for line in file.read_text(encoding="utf-8").splitlines())
    split = ([part for part in re.split(r"(?<=[.?!])\s+", output.strip()) if part] for output in outputs)
    return [parts for parts in split if parts]


def _questions(file: FilePath) -> Iterator[Question]:
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        stem, choices = row["question"]["stem"], tuple(each["text"] for each in row["question"]["choices"])
        listed = " ".join(f"({letter}) {text}" for letter, text in zip("ABCDE", choices, strict=True))
        prompt = f"Question: {stem} Answer choices: {listed}.\nAnswer:"
        yield Question(row["id"], "large", "train", stem, choices, row["answerKey"], prompt)


def _save_student(tokenizer: FilePath, folder: FilePath) -> None:
    """Save a student of random weights with a real tokenizer, whose borders of tokens are looked up."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

    has_settings = (tokenizer / "tokenizer_config.json").is_file()
    loaded = (AutoTokenizer if has_settings else GPT2TokenizerFast).from_pretrained(tokenizer)
    GPT2LMHeadModel(GPT2Config(vocab_size=len(loaded), n_embd=8, n_layer=1, n_head=1)).save_pretrained(folder)
    loaded.save_pretrained(folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=FilePath, help="where paths and pages lie")
    parser.add_argument("--texts", type=FilePath, nargs="+", default=[FilePath("tests/tasks/smollm2_outputs.jsonl")])
    parser.add_argument("--questions", type=FilePath, help="CommonsenseQA's train questions")
    parser.add_argument("--tokenizer", type=FilePath, help="folder of a tokenizer, such as GPT-2's")
    parser.add_argument("--limit", type=int, help="only so many questions")
    parser.add_argument("--logprobs", choices=["kept", "all", "none"], default="kept")
    parser.add_argument("--write", action="store_true", help="only write the page of what is there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
