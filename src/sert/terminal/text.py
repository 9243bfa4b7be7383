"""Texts for people: short, counted, and harmless to a terminal."""


def printable(text: str) -> str:
    r"""Make control characters visible (`\x1b`), so that no text can drive the terminal."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else repr(character)[1:-1] for character in text
    )


def counted(number: float, what: str) -> str:
    """Write a number and what it counts, given in the plural: `1 reply`, `2 replies`."""
    if number == 1:
        what = f"{what.removesuffix('ies')}y" if what.endswith("ies") else what.removesuffix("s")
    return f"{number:.10g} {what}"


def readable(value: object) -> str:
    """Write a count, a share, an interval or a table of counts as people read them."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {readable(part)}" for name, part in value.items()) or "none"
    if isinstance(value, list):
        return " to ".join(readable(part) for part in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def shorten(value: object, *, most: int = 80) -> str:
    """Show what was given, in at most so many characters."""
    try:
        shown = repr(value)
    except RecursionError:
        shown = f"a deeply nested {type(value).__name__}"
    return cut(shown, most=most)


def cut(text: str, *, most: int) -> str:
    """Cut a text off behind so many characters, the sign for what is missing among them."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
