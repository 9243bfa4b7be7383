"""What the explorer shows beside the paths: questions, trained examples, outputs of tested students."""

from collections.abc import Mapping, Sequence
from typing import Any

from sert.config.rules import RulesConfig, SelectionConfig
from sert.records import Example, Prediction, Question
from sert.report.explorer.elements import Element, packed_json
from sert.store.artifacts import Artifact
from sert.store.tables import StoredTable

Places = Mapping[str, int]
"""Question id -> its place among those of its set that are shown."""


def questions_element(name: str, questions: Sequence[Question]) -> Element:
    """Write the questions of a set, a list for each column."""
    return packed_json(
        name,
        {
            "id": [each.question_id for each in questions],
            "question": [each.question for each in questions],
            "choices": [each.choices for each in questions],
            "answer": [each.answer for each in questions],
            "context": [each.context for each in questions],
        },
    )


def examples_by_question(filtered: Artifact) -> dict[str, tuple[str, str]]:
    """Read what the selected paths became: question id -> what is learned, and its end that is not of the path.

    Of a question with several selected paths, that is the first one in the order of its paths.
    """
    found: dict[str, tuple[str, str]] = {}
    for each in StoredTable(filtered.file("examples.parquet"), Example):
        found.setdefault(each.question_id, (each.completion, each.conclusion))
    return found


def outputs_element(name: str, predictions: Sequence[Prediction], places: Places) -> Element:
    """Write what a student answered, of the questions that are shown."""
    shown = [each for each in predictions if each.question_id in places]
    return packed_json(
        name,
        {
            "question": [places[each.question_id] for each in shown],
            "completion": [each.completion for each in shown],
            "answer": [each.answer_loose for each in shown],
            "strict": [each.answer_strict for each in shown],
            "correct": [int(each.correct_loose) for each in shown],
            "correct_strict": [int(each.correct_strict) for each in shown],
            "finish": [each.finish for each in shown],
            "num_tokens": [each.num_tokens for each in shown],
            "reasoned": [int(each.reasoned) for each in shown],
            "votes": [each.votes for each in shown],
            "num_outputs": [each.num_outputs for each in shown],
        },
    )


def all_fields(rules: RulesConfig, selection: SelectionConfig) -> dict[str, Any]:
    """Write rules and selection with every field, also those that keys leave out where they are off."""
    plain = {name: getattr(rules, name) for name in RulesConfig.model_fields}
    chosen = {name: getattr(selection, name) for name in SelectionConfig.model_fields}
    return {"rules": plain, "selection": chosen | {"rules": list(selection.rules)}}
