"""The verdict of a prospect in words. By what rules it is reached, `docs/prospect.md` says."""

from collections.abc import Iterator, Mapping
from typing import Any

from sert.report.format import MISSING, count, percent, percent_interval, points, points_interval
from sert.report.names import Row
from sert.report.prospect.knowledge import knowledge_statement, more_than_written
from sert.report.prospect.names import LEVELS, look_name
from sert.report.statements import Statement
from sert.terminal.text import counted, shorten

Numbers = Mapping[str, Any]

WITH_NEED = ("some", "nothing")
"""Verdicts that say themselves how many questions would tell more."""
NOT_MINED = ("nothing", "too few")
"""Verdicts that name what stands in the way if the student knows more than it writes."""
_SHOWN_LOOKS = 3


def prospect_findings(numbers: Numbers) -> list[Statement]:
    """Say what a prospect's numbers say, the verdict first."""
    level = numbers["verdict"]["level"]
    return [
        Statement(LEVELS[level], " ".join(_verdict(numbers))),
        *knowledge_statement(numbers),
        Statement("Chance", _chance(numbers)),
        Statement("The rules", " ".join(_rules(numbers))),
        Statement("What tells", " ".join(_looks(numbers))),
        Statement("At equal budget", _passes(numbers)),
        *(
            []
            if level in WITH_NEED and numbers["verdict"]["readable"]
            else [Statement("More questions", _needed(numbers))]
        ),
        *([Statement("The full run", _cost(numbers["cost"]))] if "cost" in numbers else []),
    ]


def _verdict(numbers: Numbers) -> Iterator[str]:
    level, branching = numbers["verdict"]["level"], numbers["decodings"][0]
    if level == "too few":
        yield from _too_few(numbers)
    elif not numbers["verdict"]["readable"]:
        yield (
            f"{count(branching['answered']['hits'])} of {count(branching['paths'])} paths state an answer that can be "
            "read: there is nothing to mine in what this student writes as it is asked. If the examples below do "
            "reason, change how it is asked (tasks.<name>.prompts, student.prompt) or how long it may write "
            "(mining.max_new_tokens)."
        )
    else:
        asked = count(numbers["questions"]["asked"])
        yield f"On these {asked} questions {_group(numbers)}, {_by_chance(numbers)}: {_meaning(numbers)}."
        if level in WITH_NEED:
            yield _needed(numbers)
    if level in NOT_MINED:
        yield from more_than_written(numbers)


def _group(numbers: Numbers) -> str:
    """Say how right the paths are that the verdict is about: kept ones where there are, else those that reason."""
    kept = numbers["looks"][0]["inside"]
    reasoned = f"paths that reason and state an answer are right {_right(numbers['reasoned'])} of the time"
    if not kept["answered"]["hits"]:
        return f"no kept path states an answer; {reasoned}"
    all_that_reason = f"all that reason {_right(numbers['reasoned'])}"
    return f"kept paths that state an answer are right {_right(kept)} of the time, {all_that_reason}"


def _meaning(numbers: Numbers) -> str:
    verdict = numbers["verdict"]
    if verdict["level"] == "much":
        if verdict["rules_find_it"]:
            return "much to mine, and the rules find it"
        where = f", among paths {look_name(numbers['looks'][verdict['found'][0]])}" if verdict["found"] else ""
        return f"much to mine{where}, but not by the rules as they are set; see the thresholds below"
    if verdict["level"] == "some":
        return "more than chance, but nothing that was looked at tells the right ones from the wrong ones"
    return "nothing to mine that the rules, branches or bands could tell apart"


def _too_few(numbers: Numbers) -> Iterator[str]:
    branching, asked = numbers["decodings"][0], numbers["questions"]["asked"]
    with_answer, fewest = numbers["reasoned"]["right_of_answered"]["questions"], numbers["verdict"]["fewest_questions"]
    yield (
        f"Too few paths reason and state an answer to tell: {counted(with_answer, 'questions')} of {count(asked)} have "
        f"such a path, and it takes {fewest}."
    )
    if asked < fewest:
        yield "Ask more questions (--limit)."
    elif branching["cut"]["hits"] > branching["unread"]["hits"]:
        yield "Most others are cut before they state one: raise mining.max_new_tokens, and look at the examples."
    else:
        yield (
            "Most others end without one or answer at once: look at the examples, and at how the student is asked "
            "(tasks.<name>.prompts, student.prompt)."
        )


def _chance(numbers: Numbers) -> str:
    chance = numbers["chance"]
    answer, share = chance["majority"]["answer"], chance["majority"]["share"]
    always = f"always answering {shorten(answer, most=40)}, the most frequent answer"
    if chance["guessing"] is None:
        return f"There is nothing to guess from; {always}, is right {percent(share)} % of the time."
    return f"Guessing is right {percent(chance['guessing'])} % of the time, {always}, {percent(share)} %."


def _by_chance(numbers: Numbers) -> str:
    chance = numbers["chance"]
    guessing = "" if chance["guessing"] is None else f"guessing {percent(chance['guessing'])} % and "
    return f"{guessing}the most frequent answer {percent(chance['majority']['share'])} %"


def _right(numbers: Row) -> str:
    right = numbers["right_of_answered"]
    if right["share"] is None:
        return f"{MISSING} (none states an answer)"
    ends = "" if right["ci95"] is None else f" ({percent_interval(right['ci95'])} %)"
    return f"{percent(right['share'])} %{ends}"


def _rules(numbers: Numbers) -> Iterator[str]:
    rules, kept = numbers["rules"], numbers["looks"][0]
    yield (
        f"They keep {count(rules['kept'])} of {count(rules['paths'])} paths, of {count(rules['questions_kept'])} of "
        f"{count(rules['questions'])} questions."
    )
    if rules["kept"]:
        yield f"Of those that state an answer kept ones are right {_right(kept['inside'])}, dropped ones"
        yield f"{_right(kept['outside'])}."
    if rules["kept"] and kept["within_chance"]:
        yield "Neither is above chance."
    if (row := kept["difference"]["right_of_answered"]) is not None:
        yield (
            f"Within questions that is a difference of {points(row['difference'])} points "
            f"({points_interval(row['ci95'])}; {_told(kept)})."
        )
    largest = max(numbers["rules"]["by_rule"], key=lambda each: each["dropped_only"], default=None)
    if largest and largest["dropped_only"]:
        yield (
            f"The rule that alone stands in the way of most paths is {largest['rule'].replace('_', ' ')} "
            f"(rules.{largest['setting']} = {_setting(largest['value'])}): {count(largest['dropped_only'])} paths."
        )


def _setting(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool | str) else f"{value:g}"


def _told(row: Row) -> str:
    return {
        "better": "they are right more often",
        "worse": "they are right less often",
        "stated": "they differ in how many state an answer, and no more can be told",
        None: "no difference that can be told",
    }[row["finding"]]


def _looks(numbers: Numbers) -> Iterator[str]:
    rows, found = numbers["looks"], numbers["verdict"]["found"]
    tests = sum(each is not None for row in rows for each in row["difference"].values())
    yield f"{count(len(rows))} looks and {count(tests)} comparisons, corrected together by Holm's procedure."
    for place in found[:_SHOWN_LOOKS]:
        row = rows[place]
        difference = row["difference"]["right_of_answered"]
        yield (
            f"Paths {look_name(row)} are right {_right(row['inside'])} where they state an answer, the others "
            f"{_right(row['outside'])} ({points(difference['difference'])} points within questions)."
        )
    if len(found) > _SHOWN_LOOKS:
        yield f"{count(len(found) - _SHOWN_LOOKS)} more such looks stand in the table."
    direct = [rows[place] for place in numbers["verdict"]["direct"]]
    if direct:
        yield f"Right more often, but mostly without reasoning: {', '.join(map(look_name, direct[:_SHOWN_LOOKS]))}."
    if not found and not direct:
        yield "None tells right paths from wrong ones."
    if formats := sum(row["finding"] == "stated" for row in rows):
        yield f"{counted(formats, 'looks')} differ, as far as can be told, only in how many paths state an answer."


def _passes(numbers: Numbers) -> str:
    rows = {(row["decoding"], row["k"]): row for row in numbers["pass_at_k"]}
    said = []
    for decoding in dict.fromkeys(name for name, _ in rows):
        row = rows[decoding, max(k for name, k in rows if name == decoding)]
        guessed = "" if row["guessing"] is None else f", guessing as often {percent(row['guessing'])} %"
        ends = "" if row["ci95"] is None else f" ({percent_interval(row['ci95'])} %)"
        said.append(f"{decoding}, pass@{row['k']} {percent(row['share'])} %{ends}{guessed}")
    return f"Questions with at least one right path: {'; '.join(said)}."


def _needed(numbers: Numbers) -> str:
    needed = numbers["needed"]
    size = f"{100 * needed['difference']:.0f} points between kept and dropped paths"
    if needed["questions"] is None:
        both = f"{counted(needed['pairs'], 'questions')} have an answer on both sides"
        why = f"only {both}" if needed["too_few"] else f"all {both} and differ alike"
        return f"How many questions would tell a difference of {size} cannot be said: {why}."
    there = numbers["questions"]["drawn_from"]
    more = f" There are {count(there)}." if needed["questions"] > there else ""
    return f"{count(needed['questions'])} questions would be needed to tell a difference of {size}.{more}"


def _cost(cost: Row) -> str:
    parts = [f"mining {count(cost['train_questions'])} train questions takes at most {span(cost['mining_seconds'])}"]
    if cost["training_seconds"] is not None:
        parts.append(f"training on {count(cost['examples'])} kept paths about {span(cost['training_seconds'])}")
    if cost["testing_seconds"] is not None:
        parts.append(
            f"testing one student on {count(cost['test_questions'])} questions {span(cost['testing_seconds'])}"
        )
    said = "; ".join(parts)
    return f"By the rate of this prospect {said}." + ("" if cost["examples"] else " No path is kept to train on.")


def span(seconds: float) -> str:
    """Write how long something takes."""
    if seconds < 90:
        return counted(max(1, round(seconds)), "seconds")
    if seconds < 5400:
        return counted(round(seconds / 60), "minutes")
    return f"{seconds / 3600:,.1f} hours"
