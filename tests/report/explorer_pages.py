"""Pages of the path explorer, made of plain columns by the form of their data, without the part that reads runs."""

import base64
import gzip
import hashlib
import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import sert.report
from sert.config.rules import RULES, RulesConfig, SelectionConfig
from sert.report.names import METHODS
from sert.report.names import RULES as RULE_NAMES

ASSETS = Path(sert.report.__file__).parent / "explorer"
REASONS = ["", *RULES, "rejected", "outrun"]
TYPES = {
    **dict.fromkeys(["branch", "sample", "num_tokens", "num_words", "whole_characters"], "Int32"),
    **dict.fromkeys(["rep_2", "rep_2_words", "perplexity", "perplexity_continuation", "gain"], "Float64"),
    **dict.fromkeys(["finish", "flags", "reason", "selected"], "Uint8"),
    **dict.fromkeys(["question", "question_rows", "random_rank"], "Uint32"),
    "first_logprob": "Float32",
}
AGREES = 8 + 16
USUAL = re.compile(r" ?[A-Za-z]+|.", re.DOTALL)
BLOCK = 2
DEFAULTS = {"rules": RulesConfig().model_dump() | {"max_perplexity": None, "unfinished": "keep"}}
DEFAULTS |= {"selection": SelectionConfig().model_dump(mode="json")}


def defaults() -> dict[str, Any]:
    """The settings of the paper, all fields, as JSON has them."""
    return json.loads(json.dumps(DEFAULTS))


@dataclass
class Parts:
    """The parts of a page: its header, the small elements in front of the script and the big ones behind it."""

    header: dict[str, Any]
    small: dict[str, bytes] = field(default_factory=dict)
    big: dict[str, bytes] = field(default_factory=dict)


def as_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def pack(columns: Mapping[str, Any]) -> tuple[bytes, list[dict[str, Any]]]:
    """Lay columns one behind the other, each from a multiple of 8 bytes on, and describe them."""
    data, described = b"", []
    for name, values in columns.items():
        array = np.asarray(values, dtype=f"<{TYPES[name][0].lower()}{int(re.sub('[^0-9]', '', TYPES[name])) // 8}")
        described.append({"name": name, "type": TYPES[name], "offset": len(data), "length": len(array)})
        data += array.tobytes()
        data += bytes(-len(data) % 8)
    return data, described


def join(parts: Parts) -> str:
    """Join the assets and the data into a page, under a policy that allows its own script and style alone."""
    script = "".join((ASSETS / name).read_text(encoding="utf-8") + "\n" for name in order())
    style = (ASSETS / "style.css").read_text(encoding="utf-8")
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in (script, style)]
    policy = (
        f"default-src 'none'; script-src 'sha256-{hashes[0]}'; style-src 'sha256-{hashes[1]}'; worker-src blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    small = {"header": as_json(parts.header)} | parts.small
    filled = {
        "policy": f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        "style": f"<style>{style}</style>",
        "data": "\n".join(element(*each) for each in small.items()),
        "script": "\n".join([f"<script>{script}</script>", *(element(*each) for each in parts.big.items())]),
    }
    page = (ASSETS / "page.html").read_text(encoding="utf-8")
    for name, text in filled.items():
        before, after = page.split(f"<!--{name}-->")
        page = before + text + after
    return page


def order() -> list[str]:
    return (ASSETS / "order.txt").read_text(encoding="utf-8").split()


def element(name: str, data: bytes) -> str:
    packed = base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()
    return f'<script type="text/plain" id="{name}">{packed}</script>'


def write(folder: Path, parts: Parts) -> Path:
    file = folder / "explore.html"
    file.write_text(join(parts), encoding="utf-8")
    return file


def empty_header(**changes: Any) -> dict[str, Any]:
    """A header of one run with nothing in it."""
    return {
        "format": 1,
        "sert_version": "0.0.0",
        "runs": [{"name": "toy", "folder": "runs/toy"}],
        "sampled": None,
        "rules": list(RULES),
        "reasons": REASONS,
        "rule_names": RULE_NAMES,
        "method_names": METHODS,
        "defaults": defaults(),
        "sets": [],
        "pools": [],
        "views": [],
        "outputs": [],
        "arms": [],
    } | changes


def arm(**changes: Any) -> dict[str, Any]:
    usual = {"run": 0, "student": "lab", "seed": 0, "variant": "main", "group": None, "task": "birds"}
    return usual | {"rounds": [], "methods": {}} | changes


def add_set(parts: Parts, questions: Sequence[Mapping[str, Any]], *, split: str = "train") -> int:
    """Add questions: id, question, choices, answer, context. Returns the number of their set."""
    number = len(parts.header["sets"])
    names = ("id", "question", "choices", "answer", "context")
    parts.header["sets"].append({"task": "birds", "split": split, "questions": len(questions)})
    parts.small[f"questions-{number}"] = as_json({name: [each[name] for each in questions] for name in names})
    return number


def add_pool(parts: Parts, rows: Sequence[Mapping[str, Any]], *, of: int = 0, **changes: Any) -> int:
    """Add mined paths, those of one question together. Returns the number of their pool."""
    number = len(parts.header["pools"])
    starts = [at for at, row in enumerate(rows) if at == 0 or rows[at - 1]["question"] != row["question"]]
    finishes = list(dict.fromkeys(row["finish"] for row in rows))
    columns = {name: [row[name] for row in rows] for name in TYPES if rows and name in rows[0] and name != "finish"}
    columns |= {"finish": [finishes.index(row["finish"]) for row in rows], "question_rows": [*starts, len(rows)]}
    if not rows:
        columns |= {name: [] for name in TYPES if name not in ("question_rows", "gain", "reason", "selected")}
        columns["question_rows"] = [0]
    data, described = pack(columns)
    parts.small[f"paths-{number}"] = data
    groups = [rows[first:last] for first, last in itertools.pairwise([*starts, len(rows)])]
    blocks = [groups[at : at + BLOCK] for at in range(0, len(groups), BLOCK)]
    for at, block in enumerate(blocks):
        parts.big[f"texts-{number}-{at}"] = as_json({"questions": [_texts(group) for group in block]})
        parts.big[f"tokens-{number}-{at}"] = _tokens([row for group in block for row in group])
    parts.header["pools"].append(
        {
            "set": of,
            "run": 0,
            "folder": f"birds-mine-{number}",
            "path": f"runs/toy/birds-mine-{number}",
            "paths": len(rows),
            "block": BLOCK,
            "blocks": len(blocks),
            "questions": len(groups),
            "seed": 0,
            "mining": {},
            "finishes": finishes,
            "cut_short": {name: sum(row["finish"] == name for row in rows) for name in ("rejected", "outrun")},
            "percentiles": True,
            "verified": False,
            "gain": False,
            "tokens": "kept",
            "no_tokens": "",
            "columns": described,
        }
        | changes
    )
    return number


def _texts(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = {row["branch"]: row["first"] for row in group}
    return {
        "place": group[0]["question"],
        "prompt": group[0]["prompt"],
        "first": [[branch, text] for branch, text in first.items()],
        "texts": [row["text"] for row in group],
        "conclusions": [row["conclusion"] for row in group],
    }


def _tokens(rows: Sequence[Mapping[str, Any]]) -> bytes:
    there = [row for row in rows if row["flags"] & 64]
    codes = np.asarray([code for row in there for code in _codes(row)], "<u2")
    quantised = bytes(value for row in there for _, value in row["tokens"])
    return quantised + (codes % 256).astype("u1").tobytes() + (codes // 256).astype("u1").tobytes()


def _codes(row: Mapping[str, Any]) -> Iterator[int]:
    """Say how long each token is: 0 where it is a word or one character, as most are, else one more than its length."""
    place = 0
    for piece, _ in row["tokens"]:
        usual = USUAL.match(row["text"], place)
        length = len(piece.encode("utf-16-le", "surrogatepass")) // 2
        yield 0 if usual and usual[0] == piece and length == len(piece) else length + 1
        place += len(piece)


def add_view(
    parts: Parts,
    verdicts: Sequence[tuple[str, int]],
    *,
    pool: int = 0,
    examples: Mapping[int, tuple[str, str]] | None = None,
    **changes: Any,
) -> int:
    """Add what a filter said of each path: its reason and whether it is selected. Returns the number of the view."""
    number = len(parts.header["views"])
    columns = {"reason": [REASONS.index(reason) for reason, _ in verdicts], "selected": [mark for _, mark in verdicts]}
    data, described = pack(columns)
    parts.small[f"view-{number}"] = data
    for name in [each for each in parts.big if examples and each.startswith(f"texts-{pool}-")]:
        block = json.loads(parts.big[name])
        for question in block["questions"]:
            if (example := examples.get(question["place"])) is not None:
                question.setdefault("examples", {})[str(number)] = example
        parts.big[name] = as_json(block)
    view = {"pool": pool, "folder": "birds-filter", "limits": {}, "columns": described, "own": False}
    parts.header["views"].append(view | {"examples": examples is not None} | defaults() | changes)
    return number


def add_outputs(parts: Parts, answers: Sequence[Mapping[str, Any]], *, of: int, method: str, run: int = 0) -> int:
    """Add the outputs of a tested student. Returns their number."""
    number = len(parts.header["outputs"])
    usual = {"strict": None, "finish": "eos", "num_tokens": 9, "reasoned": 1, "votes": 1, "num_outputs": 1}
    rows = [usual | {"correct_strict": each["correct"]} | each for each in answers]
    parts.small[f"outputs-{number}"] = as_json({name: [row[name] for row in rows] for name in rows[0]})
    entry = {"set": of, "run": run, "folder": f"birds-evaluate-{method}", "method": method, "questions": len(rows)}
    parts.header["outputs"].append(entry)
    return number


def question(
    name: str, text: str, *, answer: str = "yes", choices: Sequence[str] = (), context: Any = ()
) -> dict[str, Any]:
    return {"id": name, "question": text, "choices": list(choices), "answer": answer, "context": list(context)}


def path(
    of: int, branch: int, sample: int, tokens: int, rep_2: float, perplexity: float, **changes: Any
) -> dict[str, Any]:
    """A path with these measures; unless it is told otherwise it ends by itself and states the gold answer."""
    text = changes.get("text", f"Path {branch}.{sample} of question {of} says: birds like ice. So the answer is yes.")
    pieces = re.findall(r"\s*\S+|\s+$", text)
    usual = {
        "question": of,
        "branch": branch,
        "sample": sample,
        "num_tokens": tokens,
        "num_words": len(text.split()),
        "rep_2": rep_2,
        "rep_2_words": 0.0,
        "perplexity": perplexity,
        "perplexity_continuation": perplexity,
        "finish": "eos",
        "flags": AGREES,
        "whole_characters": -1,
        "first_logprob": -0.5 * (branch + 1),
        "random_rank": 7 * (branch + sample) % 5,
        "text": text,
        "prompt": f"Question {of}: do birds like ice?\nAnswer:",
        "first": pieces[0] if pieces else "",
        "conclusion": "yes",
    }
    made = usual | changes
    if made["flags"] & 64:
        made |= {"num_tokens": len(pieces), "tokens": [(piece, (4 * at) % 256) for at, piece in enumerate(pieces)]}
    return made


def small_paths() -> list[dict[str, Any]]:
    """Twelve paths of three questions, of which the rules of the paper keep five and select two."""
    told = AGREES + 64
    return [
        path(0, 0, 0, 40, 0.10, 8.0),
        path(0, 0, 1, 30, 0.05, 9.0, flags=8, conclusion="no", text="Ice is cold. So the answer is no."),
        path(0, 1, 0, 20, 0.0, 7.0),
        path(0, 1, 1, 50, 0.30, 6.0),
        path(1, 0, 0, 30, 0.0, 4.0),
        path(1, 0, 1, 30, 0.0, 4.5),
        path(1, 1, 0, 30, 0.0, 3.0, flags=AGREES + 1),
        path(1, 1, 1, 10, 0.5, 2.0),
        path(2, 0, 0, 60, 0.02, 12.0, flags=told, text="  The \u05e6\u05e4\u05d5\u05e8 likes snow" + " very much" * 30),
        path(2, 0, 1, 60, 0.02, 11.0),
        path(2, 1, 0, 60, 0.01, 10.0, flags=AGREES + 2),
        path(2, 1, 1, 60, 0.15, 20.0, finish="length", whole_characters=5, flags=0, conclusion=None),
    ]


SMALL_VERDICTS = [
    *[("", 0), ("", 1), ("length", 0), ("repetition", 0)],
    *[("perplexity", 0), ("perplexity", 0), ("imitation", 0), ("length", 0)],
    *[("", 1), ("", 0), ("option_repetition", 0), ("", 0)],
]
TRAIN = [
    question("q-ice", "Does ice like birds?"),
    question(
        "q-sea", "Where is the sea?", answer="B", choices=["up", "down"], context=[["passage", "The sea is down."]]
    ),
    question("q-snow", "Do birds like snow?"),
]
TEST = [question(f"t-{at}", f"Test question {at}?", answer="yes" if at else "no") for at in range(5)]
BEFORE, AFTER = [1, 0, 0, 1, 0], [1, 1, 1, 0, 0]


def answers(right: Sequence[int], word: str) -> list[dict[str, Any]]:
    """Outputs on the test questions, which are right or wrong as told."""
    rows = enumerate(right)
    return [{"question": at, "completion": f"{word} {at}", "answer": "yes", "correct": each} for at, each in rows]


def small_parts() -> Parts:
    """A run: three train questions with twelve paths, five test questions, answered by two methods."""
    parts = Parts(empty_header())
    add_set(parts, TRAIN)
    add_set(parts, TEST, split="test")
    add_pool(parts, small_paths())
    examples = {0: ("Ice is cold. So the answer is yes.", " So the answer is yes."), 2: ("Snow.", "")}
    add_view(parts, SMALL_VERDICTS, examples=examples)
    zero = add_outputs(parts, answers(BEFORE, "greedy"), of=1, method="zero_shot")
    sert_ = add_outputs(parts, answers(AFTER, "trained"), of=1, method="sert")
    parts.header["arms"].append(arm(rounds=[0], methods={"zero_shot": zero, "sert": sert_}))
    return parts
