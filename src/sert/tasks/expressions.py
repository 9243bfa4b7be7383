r"""Answers that are mathematical expressions, in TeX or plain: where a text states one, and when two are the same.

    So the answer is $\frac{1}{2}$.        \frac{1}{2}
    Therefore \boxed{x^2+1}                x^2+1

Reading is linear in the length of the text, whatever it holds. What looks different is compared by value in a process
of its own (`sert.tasks.comparing`).
"""

import re
from importlib.util import find_spec

from sert.errors import ConfigError
from sert.tasks.comparing import same_value
from sert.tasks.normalize import QUOTES, canonical, is_number
from sert.tasks.numbers import OPENING, last_number

MOST_CHARACTERS = 400
"""Of an expression; what is longer is none."""

BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_FORMULA = re.compile(
    r"(?<![\\$])\$(?!\$)([^$\n]{1,400})\$|\\\(([^\n]{1,400}?)\\\)|\$\$([^$]{1,400})\$\$|\\\[(.{1,400}?)\\\]", re.DOTALL
)
_END = re.compile(r"\.(?=\s|\Z)|\n|[ \t]+(?:because|since)\b")
_SPACES = re.compile(r"\\[,;:!\s]|\\q?quad\b|~|\s+")
_SIZES = re.compile(r"\\(?:left|right|displaystyle)(?![A-Za-z])")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_WORDS = re.compile(r"\\(?:text|textbf|textrm|mathrm|mbox)\s*\{([^{}]*)\}")
_HOLDING = re.compile(
    rf"{OPENING.pattern}\$?\s?(?:\\(?:boxed|fbox)\s*\{{(?:\\text\w*\s*\{{)?|\\(?:text\w*|mathrm|mbox)\s*\{{)"
)
_AROUND = f"*`_{QUOTES} \t\n"


def check_comparing(name: str) -> None:
    """Check that expressions can be compared.

    Raises:
        ConfigError: If the package that does so is missing.
    """
    if find_spec("math_verify") is None:
        raise ConfigError(
            f"{name} has answers that are expressions, which math-verify compares: pip install 'sert[math]'."
        )


def braced(text: str, start: int) -> str | None:
    """Read what stands from there on up to the brace that closes; None where none does."""
    depth = 1
    for place in range(start, min(len(text), start + 2 * MOST_CHARACTERS)):
        if text[place] == "\\" or text[place - 1 : place] == "\\":
            continue  # `\{` is a brace of a set
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if not depth:
            return text[start:place]
    return None


def held_by_braces(statement: str) -> str:
    """Take what the boxes or the TeX of words hold that a statement begins with; else all of it."""
    opened = _HOLDING.match(statement)
    inner = braced(statement, opened.end()) if opened else None
    return statement if inner is None else inner


def stated_expression(statement: str) -> str | None:
    """Read the expression that a statement begins with: a box, a formula between signs, or the rest of the sentence."""
    opened = OPENING.match(statement)
    start = opened.end() if opened else 0
    if (box := BOX.match(statement, start)) is not None:
        return _sound(braced(statement, box.end()))
    if (formula := _FORMULA.match(statement, start)) is not None:
        return _sound(_unboxed(_within(formula)))
    end = _END.search(statement, start)
    return _sound(statement[start : end.start() if end else len(statement)])


def plausible_expression(text: str) -> str | None:
    """Read the expression that a lenient reader would note down: the last box, else formula, else number."""
    boxes = [braced(text, box.end()) for box in list(BOX.finditer(text))[-1:]]
    found = [*boxes, *(_within(formula) for formula in list(_FORMULA.finditer(text))[-1:])]
    return next((sound for each in found if (sound := _sound(each)) is not None), last_number(text))


def _within(formula: re.Match[str]) -> str:
    """Take what stands between the signs of a formula."""
    return next(group for group in formula.groups() if group is not None)


def gold_expression(raw: str) -> str:
    """Take a gold answer as sets write it: what the last box holds if there is one, in one line and without signs."""
    return " ".join(bare(_unboxed(raw)).split())


def _unboxed(text: str) -> str:
    boxes = list(BOX.finditer(text))
    inner = braced(text, boxes[-1].end()) if boxes else None
    return text if inner is None else inner


def _sound(expression: str | None) -> str | None:
    """Take an expression without what wraps it; None where nothing is left, or it is too long to be one."""
    found = bare(expression or "")
    return found if found and len(found) <= MOST_CHARACTERS and any(map(str.isalnum, found)) else None


def bare(expression: str) -> str:
    """Take away blanks, emphasis, the signs of a formula and a closing stop around an expression."""
    text = _unstopped(expression)
    whole = _FORMULA.fullmatch(text)
    return text if whole is None else _unstopped(_within(whole))


def _unstopped(text: str) -> str:
    return text.strip(_AROUND).removesuffix(".").rstrip(",;: ").strip(_AROUND)


def form_of_expression(expression: str) -> str:
    """Write expressions equally that are spelled differently and mean the same; a number as numbers are compared."""
    text = bare(expression)
    if _is_plain_number(text):
        return canonical(text)
    text = _FRACTION.sub(r"\\frac", _SIZES.sub("", text))
    text = _WORDS.sub(r"\1", text)
    return _SPACES.sub("", text).replace("^{\\circ}", "^\\circ")


def same_expression(answer: str, gold: str) -> bool:
    """Tell whether two expressions mean the same: by their form, else by their value.

    Two plain numbers are compared as numbers are, without a process. What is not computed in time differs.
    """
    forms = [form_of_expression(each) for each in (answer, gold)]
    if forms[0] == forms[1] or all(map(_is_plain_number, forms)):
        return forms[0] == forms[1]
    if any(len(each) > MOST_CHARACTERS for each in (answer, gold)):
        return False
    return same_value(bare(answer), bare(gold))


def _is_plain_number(text: str) -> bool:
    """Tell a number from an interval or a point: brackets around a number say nothing elsewhere, and do here."""
    return is_number(text) and text[:1] not in "(["
