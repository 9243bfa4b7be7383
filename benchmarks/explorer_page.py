"""How quick a page of the path explorer is in a browser: first picture, a slider move, a search, memory.

    python -m benchmarks.explorer_page /tmp/large/explore-kept.html

The page is opened from its file by a headless Chromium. A slider move is timed from its event to the picture behind it.
`taskset -c 0` in front makes it one core.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

TESTS = Path(__file__).parents[1] / "tests"
SLIDERS = ("min_tokens", "max_rep_2", "min_perplexity", "max_perplexity")
MOVES = """(async () => {{
  const control = sertExplorer.app.views.rules.controls.find(each => each.setting === "{setting}");
  const [{{ slider }}, times, scripts] = [control, [], []];
  const channel = new MessageChannel();
  const drawn = () => new Promise(done => requestAnimationFrame(() => {{
    channel.port1.onmessage = done;
    channel.port2.postMessage(0);
  }}));
  const {{ model }} = sertExplorer.app;
  const change = model.change.bind(model);
  model.change = changed => {{
    const began = performance.now();
    change(changed);
    scripts.push(performance.now() - began);
  }};
  for (let move = 0; move < {moves}; move += 1) {{
    await drawn();
    slider.value = (Number(slider.max) * ((7 * move) % 41)) / 82;
    const began = performance.now();
    slider.dispatchEvent(new Event("input"));
    await drawn();
    times.push(performance.now() - began);
  }}
  delete model.change;
  return [times, scripts];
}})()"""
PLANE = "(began => { sertExplorer.app.show('plane'); return performance.now() - began; })(performance.now())"
SEARCH = """(async () => {{
  const questions = sertExplorer.app.views.questions;
  const began = performance.now();
  const reports = [];
  const tell = questions.onNews.bind(questions);
  const done = new Promise(ended => questions.onNews = news => {{
    reports.push(performance.now() - began);
    tell(news);
    if (news.done === news.total) ended(news.rows.length);
  }});
  questions.search.value = {words};
  questions.look();
  const found = await done;
  const time = performance.now() - began;
  delete questions.onNews;
  return {{ found, ms: Math.round(time), reports: reports.length, first_report_ms: Math.round(reports[0]) }};
}})()"""


def main() -> None:
    """Measure and print one line of JSON."""
    sys.path.append(str(TESTS))
    from browser import Browser, Canary  # of the tests

    options = _options()
    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("there is no program `chromium` on the path")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, Canary() as canary:
        profile = Path(folder)
        with Browser(program, profile=profile, canary=canary, uses=False) as browser:
            browser.resize(1400)
            print(json.dumps({"page_mb": round(options.page.stat().st_size / 1e6, 1), **_measure(browser, options)}))


def _measure(browser: Any, options: argparse.Namespace) -> dict[str, Any]:
    opened = []
    for _ in range(options.opens):
        browser.visit("about:blank", seconds=0)
        began = time.monotonic()
        browser.visit(options.page.resolve().as_uri(), seconds=0)
        browser.until("document.documentElement.dataset.ready")
        wall = time.monotonic() - began
        marks = "['ready', 'first-contentful-paint'].map(name => performance.getEntriesByName(name)[0].startTime)"
        ready, painted = browser.evaluate(marks)
        opened.append({"words_ms": round(painted), "first_picture_ms": round(ready), "wall_s": round(wall, 2)})
    told: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "opened": opened}
    told["paths"] = browser.evaluate("sertExplorer.app.model.mined.size")
    told["search"] = [browser.evaluate(SEARCH.format(words=json.dumps(words))) for words in options.words]
    browser.evaluate("sertExplorer.app.show('rules')")
    told["sliders"] = {setting: _moves(browser, setting, options.moves) for setting in SLIDERS}
    told["plane_ms"] = round(browser.evaluate(PLANE))
    told["heap_mb"] = round(browser.evaluate("performance.memory.usedJSHeapSize") / 1e6)
    told["memory_mb"] = _memory(os.getpid())
    return told


def _moves(browser: Any, setting: str, moves: int) -> dict[str, float]:
    times, scripts = browser.evaluate(MOVES.format(setting=setting, moves=moves))
    median, high, most = np.percentile(times, [50, 95, 100])
    return {
        "median_ms": round(median, 1),
        "p95_ms": round(high, 1),
        "most_ms": round(most, 1),
        "script_median_ms": round(float(np.median(scripts)), 1),
    }


def _memory(of: int) -> dict[str, int]:
    """Memory of the processes that this one started: what they have now, shared parts shared out, and peaks."""
    now, peaks = 0, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if not _descends(int(folder.name), of):
                continue
            rollup = dict(line.split(":") for line in (folder / "smaps_rollup").read_text().splitlines()[1:])
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        except (OSError, ValueError):
            continue
        now += int(rollup["Pss"].split()[0])
        peaks.append(int(status["VmHWM"].split()[0]))
    return {"all_processes": round(now / 1024), "largest_peak": round(max(peaks, default=0) / 1024)}


def _descends(process: int, ancestor: int) -> bool:
    while process > 1:
        stat = Path(f"/proc/{process}/stat").read_text()
        process = int(stat.rpartition(")")[2].split()[1])
        if process == ancestor:
            return True
    return False


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--moves", type=int, default=60, help="of each slider")
    parser.add_argument("--opens", type=int, default=3, help="how often the page is opened")
    parser.add_argument("--words", nargs="+", default=["because", "zebra crossing"], help="what is searched for")
    return parser.parse_args()


if __name__ == "__main__":
    main()
