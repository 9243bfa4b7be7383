"""The pure parts of the path explorer, in a real browser, against literals and the package's own functions."""

import json
import math
import random
import shlex
import tomllib
from pathlib import Path
from typing import Any

import explorer_pages as pages
import numpy as np
import pytest
from scipy.stats import binomtest

from browser import Browser
from hostile_support import odd_texts
from sert.stats.shares import wilson_interval
from sert.terminal.text import printable


@pytest.fixture(scope="module")
def explorer(reader: Browser, tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """A browser with the page of a small run."""
    file = pages.write(tmp_path_factory.mktemp("pure"), pages.small_parts())
    reader.visit(file.as_uri(), seconds=0)
    reader.until("document.documentElement.dataset.ready")
    return reader


def call(browser: Browser, function: str, *arguments: Any) -> Any:
    """Call a function of the page; arguments and result are JSON."""
    return browser.evaluate(f"sertExplorer.{function}(...{json.dumps(arguments)})")


def filtered(browser: Browser, changes: str = "") -> tuple[list[str], list[int]]:
    """Filter the small run's paths under changed settings; returns reasons and the selected rows."""
    reasons, selected = browser.evaluate(
        f"""sertExplorer.data.columns(0).then(columns => {{
          const settings = structuredClone(sertExplorer.app.header.defaults);
          const {{ rules, selection }} = settings;
          {changes};
          const found = sertExplorer.rules.apply(columns, settings);
          return [[...found.reasons], [...found.selected]];
        }})"""
    )
    return [pages.REASONS[code] for code in reasons], [row for row, mark in enumerate(selected) if mark]


GAINS = "Float64Array.of(1, 2, 9, 9, 0, 0, 0, 0, NaN, -5, 9, -6)"
KEPT_BY_PAPER = [reason for reason, _ in pages.SMALL_VERDICTS]


def test_the_rules_of_the_paper(explorer: Browser) -> None:
    assert filtered(explorer) == (KEPT_BY_PAPER, [1, 8])


@pytest.mark.parametrize(
    ("changes", "row", "reason"),
    [
        ("rules.min_tokens = 20", 2, ""),
        ("rules.min_tokens = 21", 2, "length"),
        ("rules.max_rep_2 = 0.3", 3, ""),
        ("rules.max_rep_2 = 0.29999999999999993", 3, "repetition"),
        ("rules.min_perplexity = 4.5", 5, ""),
        ("rules.min_perplexity = 4.5", 4, "perplexity"),
        ("rules.max_perplexity = 12", 8, ""),
        ("rules.max_perplexity = 11.999", 8, "high_perplexity"),
        ("rules.imitation = false", 6, "perplexity"),
        ("rules.option_repetition = false", 10, ""),
        ("rules.unfinished = 'drop'", 11, "unfinished"),
        ("rules.unfinished = 'trim'", 11, ""),
        ("rules.unfinished = 'trim'; columns.whole_characters[11] = 0", 11, "unfinished"),
        ("selection.rules = ['length']", 3, ""),
        ("selection.rules = ['length']", 7, "length"),
        ("rules.unit = 'words'", 0, "length"),
        ("rules.unit = 'words'; rules.min_tokens = 14", 0, ""),
        ("rules.min_perplexity = 'p75'", 0, "perplexity"),
        ("rules.min_perplexity = 'p75'", 9, ""),
        ("rules.perplexity_over = 'continuation'; columns.perplexity_continuation[0] = 1", 0, "perplexity"),
        ("columns.flags[0] = 7", 0, "imitation"),
        ("columns.flags[0] = 6", 0, "option_repetition"),
        ("columns.flags[0] = 4", 0, "direct_response"),
        ("columns.finishes = ['rejected', 'length']", 0, "rejected"),
        ("columns.finishes = ['rejected', 'length']", 2, "length"),
        ("columns.finishes = ['outrun', 'length']", 2, "outrun"),
    ],
)
def test_each_rule_and_what_stands_exactly_at_its_limit(explorer: Browser, changes: str, row: int, reason: str) -> None:
    own = "columns = Object.fromEntries(Object.entries(columns).map(([name, each]) => [name, each.slice()]))"
    assert filtered(explorer, f"{own};{changes}")[0][row] == reason


@pytest.mark.parametrize(
    ("changes", "rows"),
    [
        ("selection.order = 'mean_logprob'", [0, 9]),
        ("selection.order = 'random'", [0, 8]),
        (f"selection.order = 'gain'; columns = {{...columns, gain: {GAINS}}}", [1, 9]),
        ("selection.only_agreeing = true", [0, 8]),
        ("rules.option_repetition = false", [1, 10]),
        ("rules.min_tokens = 1000", []),
    ],
)
def test_which_path_is_selected(explorer: Browser, changes: str, rows: list[int]) -> None:
    assert filtered(explorer, changes)[1] == rows


def test_the_steps_of_the_funnel_and_what_a_change_does(explorer: Browser) -> None:
    steps, come_in, fall_out = explorer.evaluate(
        """sertExplorer.data.columns(0).then(columns => {
          const { defaults } = sertExplorer.app.header;
          const { apply, isOn } = sertExplorer.rules;
          const changed = { ...defaults, rules: { ...defaults.rules, min_tokens: 40, max_rep_2: 0.3 } };
          const [before, now] = [apply(columns, defaults), apply(columns, changed)];
          const { comeIn, fallOut } = sertExplorer.funnel.changes(before, now);
          return [sertExplorer.funnel.funnel(before, name => isOn(name, defaults)), comeIn, fallOut];
        })"""
    )
    assert [(each["step"], each["remaining"], each["dropped"]) for each in steps] == [
        ("mined", 12, 0),
        ("imitation", 11, 1),
        ("option_repetition", 10, 1),
        ("direct_response", 10, 0),
        ("length", 8, 2),
        ("repetition", 7, 1),
        ("perplexity", 5, 2),
        ("selected", 2, 3),
    ]
    assert (come_in, fall_out) == ([3], [1])


def test_all_rules_that_drop_a_path_are_named(explorer: Browser) -> None:
    ask = "sertExplorer.rules.allReasons(columns, sertExplorer.app.header.defaults, {})"
    for row, names in ((7, ["length", "repetition", "perplexity"]), (6, ["imitation", "perplexity"]), (0, [])):
        found = explorer.evaluate(f"sertExplorer.data.columns(0).then(columns => {ask.format(row)})")
        assert found == names


@pytest.mark.parametrize(("first", "second"), [(0, 0), (3, 3), (0, 5), (1, 9), (40, 61), (900, 1004), (2, 3000)])
def test_the_exact_paired_p_is_that_of_scipy(explorer: Browser, first: int, second: int) -> None:
    expected = binomtest(first, first + second).pvalue if first + second else 1.0
    assert call(explorer, "numbers.exactPairedP", first, second) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("right", "n"), [(0, 7), (7, 7), (3, 10), (611, 1221)])
def test_intervals_are_those_of_the_report(explorer: Browser, right: int, n: int) -> None:
    expected = wilson_interval(right, n)
    assert call(explorer, "numbers.wilson", right, n) == pytest.approx([expected.low, expected.high], abs=1e-12)


def test_percentiles_are_those_of_numpy_to_the_last_bit(explorer: Browser) -> None:
    draws = random.Random(7)
    for size in (1, 2, 3, 10, 997):
        values = sorted(draws.lognormvariate(2, 1) for _ in range(size))
        percentages = [0, 100, 50, 25, 99.5, *(draws.uniform(0, 100) for _ in range(20))]
        found = explorer.evaluate(
            f"(values => {percentages}.map(each => sertExplorer.numbers.percentile(values, each)))({values})"
        )
        assert found == [float(np.percentile(values, each)) for each in percentages]


def test_bins_hold_all_finite_numbers(explorer: Browser) -> None:
    found = explorer.evaluate(
        """(() => {
          const { makeBins, histogram } = sertExplorer.numbers;
          const values = Float64Array.of(1, 2, 9.99, 10, 100, 1000, 5000, 0.5, Infinity, NaN);
          const { kept, others, infinite } = histogram(
            values, makeBins({ low: 1, high: 1000, count: 3, logarithmic: true }), row => row < 2);
          return [[...kept], [...others], infinite];
        })()"""
    )
    assert found == [[2, 0, 0], [2, 1, 3], 2]


def test_what_cannot_be_seen_is_written_out_as_in_the_report(explorer: Browser) -> None:
    texts = odd_texts(200)
    assert explorer.evaluate(f"{json.dumps(texts)}.map(sertExplorer.visible.visible)") == [*map(printable, texts)]


def test_commands_and_tables_say_what_is_set(explorer: Browser) -> None:
    settings, run = pages.defaults(), pages.defaults()
    settings["rules"] |= {"min_tokens": 12, "max_perplexity": "p97.5", "imitation": False}
    settings["selection"] |= {"rules": ["length", "perplexity"], "only_agreeing": True}
    run["rules"]["max_rep_2"] = 0.4
    mined = "runs/it's a run/$(touch x)-mine"
    about = {"defaults": pages.defaults(), "mined": mined, "run": run}
    words = shlex.split(call(explorer, "command.command", settings, about))
    assert words == [
        *["sert", "filter", mined, "--set", "rules.imitation=false", "--set", "rules.min_tokens=12"],
        *["--set", "rules.max_perplexity=p97.5", "--set", 'selection.rules=["length", "perplexity"]'],
        *["--set", "selection.only_agreeing=true", "--out", "filtered"],
    ]
    assert tomllib.loads(call(explorer, "command.tables", settings, about)) == {
        "rules": {"min_tokens": 12, "max_perplexity": "p97.5", "imitation": False, "max_rep_2": 0.2},
        "selection": {"rules": ["length", "perplexity"], "only_agreeing": True},
    }
    assert tomllib.loads(call(explorer, "command.tables", pages.defaults(), about | {"run": pages.defaults()})) == {}


def test_folders_cannot_drive_a_shell_or_a_terminal(explorer: Browser) -> None:
    for folder in ("-rf", "a b", "'; rm -rf x; '", "$HOME", "`x`", "a\x1b[2Jb\n", "\u202egnp", "ü", ""):
        written = call(explorer, "command.quoted", folder)
        assert written.isprintable()
        if "$'" not in written:
            assert [each.removeprefix("./") for each in shlex.split(written)] == [folder]


def test_an_address_brings_back_what_it_says_and_nothing_that_is_not_allowed(explorer: Browser) -> None:
    settings = pages.defaults()
    settings["rules"] |= {"min_tokens": 3, "min_perplexity": "p25", "unfinished": "trim", "max_perplexity": 80.5}
    settings["selection"] |= {"rules": ["length"], "order": "random"}
    shown = {"view": "rules", "q": "a&b=c#d \u05e6", "p": None, "find": ""}
    written = call(explorer, "permalink.write", shown, settings, pages.defaults())
    read = call(explorer, "permalink.read", written, list(shown), pages.defaults())
    assert read["shown"] == shown | {"find": None}
    assert read["settings"] == {name: settings[name] for name in ("rules", "selection")}
    bad = "#rules.min_tokens=-1&rules.max_rep_2=2&rules.min_perplexity=%22p101%22&rules.unit=%22bytes%22&rules.x=1"
    bad += (
        "&rules.imitation=1&selection.rules=[%22x%22]&selection.order=%5B%5D&rules.__proto__=1&rules.max_perplexity={"
    )
    read = call(explorer, "permalink.read", bad, [], pages.defaults())
    assert read["settings"] == {name: pages.defaults()[name] for name in ("rules", "selection")}


def test_groups_before_and_after(explorer: Browser) -> None:
    found = call(explorer, "outcomes.compare", pages.BEFORE, pages.AFTER)
    assert found["rows"] == {"fixed": [1, 2], "broken": [3], "both right": [0], "both wrong": [4]}
    assert found["n"] == 5 and found["right"] == {"before": 2, "after": 3}
    assert found["p"] == 1.0
    assert call(explorer, "outcomes.compare", [0, 2, 1], [2, 1, 1])["n"] == 1
    assert call(explorer, "outcomes.majority", ["a", "b", "b", "a", "c"]) == {"answer": "a", "count": 2}


def test_tokens_come_back_from_their_bytes(explorer: Browser) -> None:
    found = explorer.evaluate(
        """sertExplorer.data.tokens(0, 2).then(found =>
          [...found].map(([row, { logprobs, lengths }]) => [row, [...logprobs], [...lengths]]))"""
    )
    tokens = next(row for row in pages.small_paths() if row["flags"] & 64)["tokens"]
    assert found == [[8, [value for _, value in tokens], [len(text) for text, _ in tokens]]]
    assert found[0][2][:2] == [5, 5]


def test_every_script_is_joined_once_and_stays_small() -> None:
    files = sorted(file.name for file in Path(pages.ASSETS).glob("*.js"))
    assert sorted(pages.order()) == files
    for file in files:
        lines = (pages.ASSETS / file).read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 350, file
        forbidden = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(")
        assert not [line for line in lines for word in forbidden if word in line], file


def test_numbers_are_written_shortly(explorer: Browser) -> None:
    written = {0.2: "0.2", 1234567: "1230000", 12.3456: "12.3", 0: "0", 7: "7", 1e-9: "1e-9"}
    assert {value: call(explorer, "numbers.short", value) for value in written} == written
    assert call(explorer, "numbers.short", None) == "none"
    assert call(explorer, "numbers.pValue", 1e-9) == "p < 0.0001"
    assert call(explorer, "numbers.percent", 1, 3) == "33.3 %"
    assert math.isclose(explorer.evaluate("sertExplorer.decode.logprobOf(30)"), -6.25)
