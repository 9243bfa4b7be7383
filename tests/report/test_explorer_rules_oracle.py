"""The page's rules against the real filter: at random settings, every path has the same reason and the same mark."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any

import pytest
from pydantic import ValidationError

from browser import Browser, Canary
from explored_data import cut_short, make_mined, make_paths, make_questions
from sert.analysis.explored.collect import explored
from sert.analysis.explored.runs import lone_paths
from sert.analysis.explored.sources import ExploredArm, ExploredRun
from sert.analysis.explored.tables import all_fields
from sert.config.rules import RULES
from sert.config.tree import RulesConfig, SelectionConfig
from sert.paths.filtering import filter_paths
from sert.records import Gain, Path, Verdict
from sert.runs.explore import write_page
from sert.store.artifacts import Artifact, commit
from sert.store.tables import read_table, write_table
from sert.terminal.progress import Silent

SETTINGS = 50
APPLY = """(async () => {{
  const columns = await sertExplorer.data.columns({pool});
  const {{ reasons, selected }} = sertExplorer.rules.apply(columns, {settings});
  return [[...reasons], [...selected], sertExplorer.rules.limitsOf(columns, {settings}.rules)];
}})()"""


def scored(mined: Artifact, paths: list[Path], folder: FilePath) -> Artifact:
    """Gains of all paths; some have none, and some have the same."""
    drawn = random.Random(11)
    gains = [
        Gain(*path.key, drawn.choice((None, 0.5, -0.25, drawn.uniform(-3, 3))), right=None, right_without=None)
        for path in paths
    ]

    def fill(draft):
        write_table(draft.folder / "gains.parquet", gains, Gain)
        return {"texts": len(gains)}

    return commit(folder, fill, stage="gain", config={}, inputs={"mine": mined.key}, seed=0)


def random_rules(drawn: random.Random, paths: list[Path], *, percentiles: bool) -> RulesConfig:
    """Rules whose limits are often exactly what some path measures, some of them percentiles."""

    def limit(none: float | None) -> Any:
        kinds = [none, drawn.choice((1.0, 4.999999999999999, 5.0, 5.000000000000001)), drawn.uniform(1, 20)]
        kinds.append(drawn.choice([path.perplexity for path in paths if path.token_ids]))
        if percentiles:
            kinds += [f"p{drawn.choice((0, 5, 12.5, 25, 33.3, 50, 75, 99.9, 100))}"] * 3
        return drawn.choice(kinds)

    while True:
        try:
            return RulesConfig(
                **{name: drawn.random() < 0.7 for name in RULES[:3]},
                min_tokens=drawn.choice((0, 5, 24, 25, 26, 31, 40)),
                max_rep_2=drawn.choice((0.0, 0.1, 0.2, 0.5, 1.0, drawn.choice(paths).rep_2)),
                min_perplexity=limit(0.0),
                max_perplexity=limit(None),
                unfinished=drawn.choice(("keep", "trim", "drop")),
                unit=drawn.choice(("tokens", "words")),
                perplexity_over=drawn.choice(("path", "continuation")),
            )
        except ValidationError:  # the limits are in the wrong order
            continue


def random_selection(drawn: random.Random, *, scored: bool) -> SelectionConfig:
    orders = ["rep_2", "random", "mean_logprob", *(["gain"] if scored else [])]
    return SelectionConfig(
        rules=tuple(name for name in RULES if drawn.random() < 0.85),
        order=drawn.choice(orders),
        only_agreeing=drawn.random() < 0.3,
        only_sometimes_right=drawn.random() < 0.2,
        max_per_question=drawn.choice((1, 1, 1, 2, 5)),
    )


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory):
    """A page with two mined folders, the second one of paths that were cut short, and what it is made of."""
    if (program := shutil.which("chromium")) is None:
        pytest.skip("chromium is not installed (apt-get install -y chromium)")
    folder = tmp_path_factory.mktemp("oracle")
    questions = make_questions(30)
    whole = make_paths(questions, branches=3, samples=4, seed=1)
    cut = cut_short(make_paths(questions, branches=2, samples=3, seed=2), seed=3)
    mined = [make_mined(folder / f"mined-{number}", questions, paths) for number, paths in enumerate((whole, cut))]
    lone = [lone_paths(each, None) for each in mined]
    gains = scored(mined[0], whole, folder / "gains")
    lone[0] = replace(lone[0], mined=replace(lone[0].mined, gains=gains))
    arms = [ExploredArm("demo", number, "main", None, "demo", [each], {}) for number, each in enumerate(lone)]
    page = folder / "page.html"
    write_page(page, explored([ExploredRun("demo", "demo", arms)], reporter=Silent()))
    profile = tmp_path_factory.mktemp("browser")
    with Canary() as canary, Browser(program, profile=profile, canary=canary) as browser:
        browser.visit(page.as_uri())
        yield browser, mined, (whole, cut), gains, folder


def test_the_page_filters_as_the_filter_does(looked_at):
    """Every rule and every order is at work in some of the settings; every fifth is asked of paths that were cut."""
    browser, mined, paths, gains, folder = looked_at
    names = browser.evaluate("sertExplorer.data.header().then(header => header.reasons)")
    assert names == browser.evaluate("sertExplorer.rules.REASONS")
    seen, orders, percentiles = set[str | None](), set[str](), 0
    for number in range(SETTINGS):
        drawn, pool = random.Random(number), int(number % 5 == 4)
        rules = random_rules(drawn, paths[pool], percentiles=pool == 0)
        selection = random_selection(drawn, scored=pool == 0)
        scores = gains if selection.order == "gain" else None
        out = folder / f"filtered-{number}"
        found = filter_paths(mined[pool], rules=rules, selection=selection, gains=scores, out=out)
        verdicts = read_table(found.file("verdicts.parquet"), Verdict)
        settings = json.dumps(all_fields(rules, selection), allow_nan=False)
        codes, marks, limits = browser.evaluate(APPLY.format(pool=pool, settings=settings))
        reasons = [names[code] or None for code in codes]
        assert reasons == [verdict.reason for verdict in verdicts], settings
        assert marks == [int(verdict.selected) for verdict in verdicts], settings
        assert found.counts.get("limits", {}).items() <= limits.items(), settings
        seen.update(reasons)
        orders.add(selection.order)
        percentiles += len(rules.percentiles)
    assert seen == {None, *RULES, "rejected", "outrun"}
    assert orders == {"rep_2", "random", "mean_logprob", "gain"} and percentiles > 10
