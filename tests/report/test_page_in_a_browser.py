"""A real browser opens the report of hostile texts: it shows every one and runs, loads and opens none."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from grid_data import make_hostile_grid
from hostile_texts import ASKS, KINDS, LEAVES, RUNS, Hostile, make_hostile_texts
from report_data import make_hostile, summed

from browser import Browser, Canary, Seen
from sert.report.examples import ReportData, ShownPath, ShownPrediction
from sert.report.figures.style import Images, svg
from sert.report.page import write_report

FULL, SHARE, A_PAGE = 500, 6, 20
TOGETHER, SLOTS = 5, 10
ALONE = {*LEAVES, "swallowing"}
PLAIN = "nothing but plain words here"
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>\n')

pytestmark = pytest.mark.soak

# How often each place shows a text that is everything said of one task. The labels of figures are cut short.
PLACES = {
    **{"title": 1, "h1": 1, ".facts b": 3, ".settings dd": 2, ".findings dd": 6, "h3": 19, "tbody th": 15, "td": 1},
    **{"figure div": 14, "figcaption": 14, ".scroll": 21, "summary": 9, ".question": 4, "article .facts span": 7},
    **{"pre": 4, ".warnings li": 1, ".note": 4},
}
LABELS_A_TEXT, CUT_LABELS_A_TEXT = 5, 8  # one that is cut short looks the same where two of it stand in a label
READ = f"""Object.fromEntries({list(PLACES)}.map(place => [place, [...document.querySelectorAll(place)].map(
  each => each.getAttribute("aria-label") ?? each.textContent)]))"""
LABELS = """[...document.querySelectorAll("figure svg text")].map(each => each.textContent)"""
PARTS = """[...new Set([...document.querySelectorAll("*")].map(
  each => [each.tagName, ...each.getAttributeNames().sort()].join(" ")))].sort()"""
TEXTS = '[...document.querySelectorAll("{}")].map(each => each.textContent)'
CELLS = 'document.querySelectorAll("tbody th, td").length'
# Cells whose content is wider than they are, and that let it lie over their neighbours.
COVERING = """[...document.querySelectorAll("tbody th, td")]
  .filter(each => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflow != "clip")
  .map(each => each.outerHTML)"""


class Opened(NamedTuple):
    """A page of the report: the texts in it, what it did, and what the canary then knew of it."""

    texts: list[Hostile]
    file: Path
    seen: Seen
    connections: int
    shown: dict[str, list[str]]
    labels: list[str]
    parts: list[str]


class Doings(NamedTuple):
    """What came of pages that hold the texts unescaped: numbers of the texts that ran, and that asked the canary."""

    ran: set[int]
    asked: set[int]
    scripts: list[str]


class Unescaped(NamedTuple):
    """Pages on which a text of each kind does what it can, and what came of them without a policy."""

    pages: list[list[Hostile]]
    doings: Doings


@pytest.fixture(autouse=True, scope="module")
def no_pixels() -> Iterator[None]:
    """Figures are drawn as they stand on the page alone, not a second time as PNG."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sert.report.page.images", lambda figure, name: Images(svg(figure, name), b""))
        yield


@pytest.fixture(scope="module")
def texts(full: bool) -> list[Hostile]:
    return make_hostile_texts(FULL if full else len(KINDS))


@pytest.fixture(scope="module")
def opened(
    browser: Browser, canary: Canary, texts: list[Hostile], full: bool, tmp_path_factory: pytest.TempPathFactory
) -> list[Opened]:
    """Every text in every field, a few texts a page; some of the texts only, where the count is reduced."""
    pages, tried = [], texts if full else texts[::SHARE]
    for start in range(0, len(tried), A_PAGE):
        some = tried[start : start + A_PAGE]
        file = write_page(tmp_path_factory.mktemp("report"), [each.text for each in some])
        pages.append(open_page(browser, file, canary=canary, texts=some))
    return pages


def write_page(folder: Path, texts: Sequence[str]) -> Path:
    metrics, paths, predictions = hostile_run(texts)
    return write_report(folder, ReportData(metrics, paths, predictions))[0]


def hostile_run(texts: Sequence[str]) -> tuple[dict[str, Any], list[ShownPath], list[ShownPrediction]]:
    """A run with a task for each text, which is all that is said of that task; what a run has one of gets all texts."""
    runs = [make_hostile(text) for text in texts]
    joined = "\n".join(texts)
    merged: dict[str, Any] = dict.fromkeys(runs[0][0], joined)
    for section in ("tasks", "comparisons", "funnel", "latent", "standings", "selection", "judged", "warnings"):
        merged[section] = [row for metrics, _, _ in runs for row in metrics[section][:1]]
    # A trained one, so that the epoch is a text too.
    merged["rows"] = [{**metrics["rows"][1], "seed": text} for text, (metrics, _, _) in zip(texts, runs, strict=True)]
    for text, row in zip(texts, merged["judged"], strict=True):
        row["agreement"][text] = row["agreement"]["coherence"]
    merged["seeds"] = list(texts)
    merged = summed(merged)
    return merged, [each for _, paths, _ in runs for each in paths], [each for *_, shown in runs for each in shown]


def open_page(browser: Browser, file: Path, *, canary: Canary, texts: list[Hostile]) -> Opened:
    before = canary.connections
    seen = browser.visit(file.as_uri())
    return Opened(
        texts,
        file,
        seen,
        canary.connections - before,
        browser.evaluate(READ),
        browser.evaluate(LABELS),
        browser.evaluate(PARTS),
    )


def pages_of(texts: Sequence[Hostile]) -> list[list[Hostile]]:
    """Divide texts into a few for each page, apart from those that leave the page or swallow what follows."""
    alone = [each for each in texts if each.kind in ALONE]
    others = [each for each in texts if each.kind not in ALONE]
    count = -(-len(others) // TOGETHER)
    return [[each] for each in alone] + [others[first::count] for first in range(count)]


def fill(pieces: Sequence[str], texts: Sequence[Hostile]) -> str:
    """Join the pieces of a page with a text wherever the report shows one: one in all places, or some in a few each."""
    first, *others = pieces
    slots = [each.text for each in texts]
    if len(slots) > 1:
        slots += [PLAIN] * (SLOTS - len(slots))
    return first + "".join(f"{slots[place % len(slots)]}{piece}" for place, piece in enumerate(others))


def open_unescaped(
    browser: Browser, folder: Path, *, canary: Canary, pages: Sequence[Sequence[Hostile]], policy: bool
) -> Doings:
    """Open the report once for the texts of each page, which stand in it as they are."""
    page = write_page(folder, [PLAIN]).read_text(encoding="utf-8")
    assert page.count(PLAIN) == sum(PLACES.values()) + LABELS_A_TEXT
    pieces = (page if policy else POLICY.sub("", page)).split(PLAIN)
    file = folder / "unescaped.html"
    ran, scripts = set(), []
    canary.lines.clear()
    for texts in pages:
        file.write_text(fill(pieces, texts), encoding="utf-8")
        seen = browser.visit(file.as_uri(), seconds=0.1)
        ran |= {int(number) for number in seen.ran}
        scripts += seen.scripts
    browser.visit("about:blank")
    paths = [re.match(r"(?:GET|POST) /(\d+)", line) for line in canary.lines]
    return Doings(ran, {int(path[1]) for path in paths if path}, scripts)


@pytest.fixture(scope="module")
def unescaped(
    browser: Browser, canary: Canary, texts: list[Hostile], full: bool, tmp_path_factory: pytest.TempPathFactory
) -> Unescaped:
    """A text of each kind without escaping and policy: a few a page, and alone if that kept it from what it does."""
    tried = texts[: len(KINDS)]
    folder = tmp_path_factory.mktemp("unescaped")
    pages = [[each] for each in tried] if full else pages_of(tried)
    together = open_unescaped(browser, folder, canary=canary, pages=pages, policy=False)
    idle = {each.number for each in tried if each.kind in RUNS} - together.ran
    idle |= {each.number for each in tried if each.kind in {*ASKS, *LEAVES}} - together.asked
    more = [[each] for each in tried if each.number in idle]
    alone = open_unescaped(browser, folder, canary=canary, pages=more, policy=False)
    doings = Doings(together.ran | alone.ran, together.asked | alone.asked, together.scripts + alone.scripts)
    return Unescaped([*pages, *more], doings)


def test_what_a_page_does_is_seen(browser: Browser, canary: Canary, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(
        "<!doctype html><script>ran(`7`)</script><img src=x: onerror='ran(`8`)'><iframe srcdoc=x></iframe>"
        "<img src=http://canary.invalid/9><link rel=preconnect href=http://10.canary.invalid>"
        "<img src=http://elsewhere.invalid/11>"
    )
    canary.lines.clear()
    before = canary.connections
    seen = browser.visit(file.as_uri())
    assert sorted(seen.ran) == ["7", "8"]
    assert seen.scripts == [file.as_uri()] * 2
    assert {file.as_uri(), "http://canary.invalid/9", "http://elsewhere.invalid/11"} <= set(seen.asked)
    assert "Failed to load resource: net::ERR_NAME_NOT_RESOLVED" in seen.complaints
    assert len(seen.opened) == 1
    assert canary.lines == ["GET /9 HTTP/1.1"]
    assert canary.connections - before == 2


def assert_quiet(page: Opened) -> None:
    assert page.seen == Seen(ran=[], scripts=[], asked=[page.file.as_uri()], complaints=[], opened=[])
    assert page.connections == 0


def test_the_page_runs_nothing_loads_nothing_and_opens_nothing(opened: list[Opened], full: bool) -> None:
    assert len({each.text for page in opened for each in page.texts}) == (FULL if full else -(-len(KINDS) // SHARE))
    for page in opened:
        assert_quiet(page)


def test_escaping_alone_suffices(browser: Browser, canary: Canary, opened: list[Opened]) -> None:
    for page in opened:
        file = page.file.with_name("without_policy.html")
        file.write_text(POLICY.sub("", page.file.read_text(encoding="utf-8")), encoding="utf-8")
        assert "Content-Security-Policy" not in file.read_text(encoding="utf-8")
        assert_quiet(open_page(browser, file, canary=canary, texts=page.texts))


def test_a_text_becomes_no_element_and_no_attribute(
    browser: Browser, canary: Canary, opened: list[Opened], tmp_path: Path
) -> None:
    plain = open_page(browser, write_page(tmp_path, [PLAIN] * 2), canary=canary, texts=[])
    assert {"PRE dir", "DETAILS open", "DIV aria-label role"} <= set(plain.parts)
    for page in opened:
        assert set(page.parts) <= set(plain.parts)


def test_every_place_shows_every_text_as_it_is(opened: list[Opened]) -> None:
    for page in opened:
        for each in page.texts:
            counts = {place: sum(text.count(each.shown) for text in page.shown[place]) for place in PLACES}
            # The findings over all tasks name each of several once more as a student and as a task.
            assert counts == (PLACES if len(page.texts) == 1 else {**PLACES, ".findings dd": 8}), each
            if each.shown.isascii():
                label = each.shown.replace("\n", " ")
                cut = label if len(label) <= 28 else f"{label[:25]}..."
                labels_a_text = LABELS_A_TEXT if cut == label else CUT_LABELS_A_TEXT
                assert page.labels.count(cut) % labels_a_text == 0 < page.labels.count(cut)


def test_the_report_of_a_grid_is_as_quiet(
    browser: Browser, canary: Canary, texts: list[Hostile], tmp_path: Path, full: bool
) -> None:
    """A text of each kind, of every third where the count is reduced, stand together wherever the page shows a text.

    Without its policy, too, they do nothing.
    """
    some = texts[: len(KINDS)] if full else texts[1 : len(KINDS) : 3]
    joined = "\n".join(each.text for each in some)
    metrics, paths, predictions = make_hostile_grid(joined)
    file = write_report(tmp_path, ReportData(metrics, paths, predictions))[0]
    plain = tmp_path / "without_policy.html"
    plain.write_text(POLICY.sub("", file.read_text(encoding="utf-8")), encoding="utf-8")
    shown = "\n".join(each.shown for each in some)
    for each in (file, plain):
        opened = open_page(browser, each, canary=canary, texts=[])
        assert_quiet(opened)
        for place in ("h3", "tbody th", "td", "summary", ".question", "pre", ".warnings li", "figcaption b"):
            assert any(shown in text for text in opened.shown.get(place, browser.evaluate(TEXTS.format(place))))


def test_without_escaping_and_policy_every_kind_would_act(texts: list[Hostile], unescaped: Unescaped) -> None:
    tried, doings = texts[: len(KINDS)], unescaped.doings
    assert {each.kind for each in tried if each.number in doings.ran} == set(RUNS)
    assert {each.kind for each in tried if each.number in doings.asked} == {*RUNS, *ASKS, *LEAVES}
    assert len(doings.scripts) > len(doings.ran)


def test_the_policy_alone_lets_nothing_run_or_load(
    browser: Browser, canary: Canary, texts: list[Hostile], unescaped: Unescaped, tmp_path: Path, full: bool
) -> None:
    pages = [[each] for each in texts] if full else unescaped.pages
    doings = open_unescaped(browser, tmp_path, canary=canary, pages=pages, policy=True)
    assert doings.ran == set()
    # A frame that was blocked shows a page of the browser's own.
    assert [script for script in doings.scripts if script != "chrome-error://chromewebdata/"] == []
    assert {each.kind for each in texts if each.number in doings.asked} <= set(LEAVES)


@pytest.fixture(scope="module")
def sprawling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of texts that are wide, high, or run against the rest."""
    texts = [
        "W" * 4000,
        "e" + "\u0301" * 400,
        "Z" + "\u0335\u0489\u0363" * 60,
        "\u05d0\u05d1\u05d2 " * 200,
        "\u2067\ufdfd" * 100,
    ]
    return write_page(tmp_path_factory.mktemp("sprawling"), texts)


@pytest.mark.parametrize("width", [1100, 420])
def test_sprawling_texts_stay_in_their_place(browser: Browser, sprawling: Path, width: int) -> None:
    assert_in_place(browser, sprawling, width=width)


@pytest.mark.parametrize(
    "text",
    [pytest.param("W" * 4000, id="wide"), pytest.param("e" + "\u0301" * 400, id="high", marks=pytest.mark.slow)],
)
def test_sprawling_texts_stay_in_their_place_in_the_report_of_a_grid(
    browser: Browser, tmp_path: Path, text: str
) -> None:
    metrics, paths, predictions = make_hostile_grid(text)
    metrics["summary"] = [row | {"student": f"{text}{each}"} for row in metrics["summary"] for each in "ab"]
    file = write_report(tmp_path, ReportData(metrics, paths, predictions))[0]
    assert_in_place(browser, file, width=390)


def assert_in_place(browser: Browser, file: Path, *, width: int) -> None:
    browser.resize(width)
    browser.visit(file.as_uri())
    assert browser.evaluate("innerWidth") == width
    assert browser.evaluate("document.scrollingElement.scrollWidth") == width
    assert browser.evaluate(CELLS) > 100
    assert browser.evaluate(COVERING) == []
