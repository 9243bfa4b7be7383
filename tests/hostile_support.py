"""What the tests of hostile input share: odd texts, the command line in this process, and pictures of folders."""

import hashlib
import itertools
import json
import os
import pickle
import re
import signal
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from sert.cli import main

_BASE = [
    "plain",
    "\ud800",
    "\udfff",
    "a\ud83db",
    "\ude00\ud83d",
    "\ufffd",
    "a\x00b",
    "\x00",
    "\u202egnp.exe",
    "\u202d\u202c\u2066\u2067\u2068\u2069",
    "\u200b",
    "a\u200bb\u200c\u200d\u2060\ufeffc",
    "e" + 300 * "\u0301",
    "Z\u0351\u0364\u0363\u0349\u0310a\u0334l\u0321go",
    1_000_000 * "x",
    120_000 * "y",
    131_073 * "z",
    "a\r\nb",
    "a\rb",
    "a\nb\n\nc",
    "a\u2028b\u2029c",
    "a\x85b\x0bc\x0cd",
    "".join(map(chr, range(1, 32))),
    "a" + "".join(map(chr, range(127, 160))) + "b",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
    "\x1b[2J\x1b[H",
    "\x9b31m",
    "\x1bP1$r\x1b\\",
    "\a\a\a",
    "\b\b\bbs",
    "\ufeffmarked",
    "a\ufeffb",
    "\ufffe\uffff",
    "\U0001ffff\U0010fffe",
    "\ue000\U000f0000",
    "\ufdd0",
    "👩\u200d👩\u200d👧\u200d👦",
    "🏳\ufe0f\u200d🌈 👍🏿",
    "\U000e0041\U000e007f",
    "\t\t\t",
    "     ",
    "\u3000\u00a0\u2003",
    "\n\n",
    "",
    '{"question": "a", "answer": "yes"}',
    '["a", "b"]',
    "[a|b]",
    "a|b|c",
    '"quoted"',
    "it's",
    "a,b;c",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "@SUM(A1:A9)",
    '=HYPERLINK("http://x","y")',
    "{question}",
    "{answer}",
    "{0}",
    "{}",
    "{{7*7}}",
    "{% include 'x' %}",
    "{{ ''.__class__ }}",
    "${HOME}",
    "%s %d %n",
    "{path}{rationale}{choices}",
    "# head",
    "| a | b |\n|---|---|",
    "[link](javascript:x) ![i](x)",
    "`code` *b* _i_ ~~s~~ $x$",
    "---\nkey: value\n---",
    "<script>alert(1)</script>",
    "</pre></style><img src=x onerror=alert(1)>",
    "<!-- x --><![CDATA[y]]>",
    "&amp;&lt;&#0;&#x1b;",
    '" onmouseover="x',
    "Question: a\nAnswer: b",
    "So the answer is",
    "So the answer is yes. So the answer is no.",
    "<|endoftext|>",
    "[/INST] <s> </s>",
    "\\x1b \\u0000 \\",
    "../../etc/passwd",
    "NULL",
    "nan",
    "true",
    "\uff11\uff12 \ufe64script\ufe65",
    "\u0130\u0131\u017f\u212a",
    "مرحبا שלום",
    "中文 ไทย 한국어",
]


def odd_texts(count: int) -> list[str]:
    """Take the first of the texts above, then joins of two of them."""
    short = [text for text in _BASE if len(text) < 400]
    joined = (a + between + b for between in (" ", "") for a, b in zip(short, short[7:] + short[:7], strict=True))
    more = (f"{a}{b}" for a, b in itertools.product(short, reversed(short)))
    # Two halves side by side are one whole character once they are read.
    apart = (text for text in [*_BASE, *joined, *more] if not re.search("[\ud800-\udbff][\udc00-\udfff]", text))
    found = list(itertools.islice(dict.fromkeys(apart), count))
    assert len(found) == count
    return found


def is_whole(text: str) -> bool:
    """Whether a text holds only whole characters; others can be written as JSON escapes alone."""
    return re.search("[\ud800-\udfff]", text) is None


def unprintable(text: str) -> list[str]:
    """Find what could drive a terminal."""
    return sorted({each for each in text if not each.isprintable() and each not in "\n\t"})


class Ended(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


def sert(arguments: list[str], *, capsys: pytest.CaptureFixture[str]) -> Ended:
    """Give a command line in this process; any exception but an exit is a crash and comes through."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before, sys.argv = sys.argv, ["sert", *arguments]
    capsys.readouterr()
    try:
        main()
    except SystemExit as end:
        return Ended(int(end.code or 0), *capsys.readouterr())
    finally:
        sys.argv = before
        for number, handler in handlers.items():
            signal.signal(number, handler)


def picture(*folders: Path) -> dict[str, str]:
    """Note every name below some folders with what is there: the hash of a file, the target of a link."""
    seen = {}
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_symlink():
                seen[str(path)] = f"link to {os.readlink(path)}"
            elif path.is_file():
                seen[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
            else:
                seen[str(path)] = "folder"
    return seen


def names_below(folder: Path) -> list[str]:
    """List what is in a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


def name_shard(folder: Path, shard: str, executed: Path) -> None:
    """Let the index of a student's weights name a shard; pickles lie where it may lead."""
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    (folder / "shard.bin").write_bytes(pickle.dumps(Payload(executed)))
    (folder.parent / "outside.safetensors").write_bytes(b"")
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": {"transformer.wte.weight": shard}})
    )
