"""Where the keys of a configuration were given: at which line of the file, or by `--set`."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence

from sert.terminal.text import cut

Key = tuple[str, ...]

_PLACE = re.compile(r" \(at line (\d+), column \d+\)$")
_END = " (at end of document)"


class Places:
    """Finds the place of a key, or of the nearest section around it that was given."""

    def __init__(self, text: str = "", overrides: Iterable[Key] = ()) -> None:
        """Take a file's text and the keys that `--set` gave after it."""
        self._lines: dict[Key, int] = {}
        for number, key in _statements(text):
            for length in range(1, len(key) + 1):
                self._lines.setdefault(key[:length], number)
        self._overrides = list(overrides)

    def of(self, key: Sequence[str]) -> str:
        """Say where a key was given, as `line 3: ` or `--set a.b: `; nothing if that is not known."""
        for length in range(len(key), 0, -1):
            part = tuple(key[:length])
            if part in self._overrides:
                return f"--set {'.'.join(part)}: "
            if part in self._lines:
                return f"line {self._lines[part]}: "
            if any(override[:length] == part for override in self._overrides):  # it was given with a key inside it
                return f"--set {'.'.join(part)}: "
        return ""


def explain_syntax(text: str, error: tomllib.TOMLDecodeError) -> str:
    """Say at which line a text is no TOML, what stands there, and which key it is about."""
    found = _PLACE.search(str(error))
    if found is None:
        return str(error).removesuffix(_END) + " at the end of the file"
    number = int(found[1])
    shown = cut(text.split("\n")[number - 1].strip(), most=60)
    keys = [".".join(key) for at, key in _statements(text) if at == number]
    about = f" for the key {keys[-1]!r}" if keys else ""
    return f"line {number}: {str(error)[: found.start()]}{about}, in {shown!r}"


def _statements(text: str) -> Iterator[tuple[int, Key]]:
    """Find the lines that open a table or give a key; what stands inside a text of several lines is passed over."""
    table: Key = ()
    inside = ""
    for number, line in enumerate(text.split("\n"), start=1):
        before = inside
        inside = _open_text(line, inside)
        if before:
            continue
        statement = line.strip()
        if statement.startswith("["):
            key = _key_of(statement.split("#")[0])
            table = key or table
            if key:
                yield number, key
        elif "=" in statement and (key := _key_of(f"{statement.partition('=')[0]} = 0")):
            yield number, (*table, *key)


def _open_text(line: str, inside: str) -> str:
    """Tell by which quotes a text is still open behind a line."""
    for quotes in re.findall(r'"""|\'\'\'', line):
        if not inside:
            inside = quotes
        elif inside == quotes:
            inside = ""
    return inside


def _key_of(statement: str) -> Key:
    """Read the dotted key of one header or assignment; nothing if it is none."""
    try:
        node = tomllib.loads(statement)
    except (tomllib.TOMLDecodeError, RecursionError):
        return ()
    key = []
    while isinstance(node, dict) and node:
        name, node = next(iter(node.items()))
        key.append(name)
        node = node[0] if isinstance(node, list) else node
    return tuple(key)
