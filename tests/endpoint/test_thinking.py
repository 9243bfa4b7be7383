import time

import pytest

from sert.endpoint.thinking import Split, split_thinking


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("Fish swim.", "", "Fish swim."),
        (" Fish swim.\n", "", " Fish swim.\n"),
        ("<think>Hm.</think>Fish swim.", "Hm.", "Fish swim."),
        ("<think>\n\n</think>\n\nFish swim.", "", "Fish swim."),
        ("Hm.</think>Fish swim.", "Hm.", "Fish swim."),
        ("Look: <think>Hm.</think> Fish swim.", "Hm.", "Look:\nFish swim."),
        ("<think>Hm.</think>Fish swim.<think>Or?</think>They do.", "Hm.\nOr?", "Fish swim.\nThey do."),
        ("<think>A <think>B</think> C</think>Fish swim.", "A <think>B\nC", "Fish swim."),
        ("Hm.</think>No.</think>Fish swim.", "Hm.\nNo.", "Fish swim."),
        ("<THINK>Hm.</Think>Fish swim.", "Hm.", "Fish swim."),
        ("<think>Is <reasoning> closed by </reasoning>?</think>Yes.", "Is <reasoning> closed by </reasoning>?", "Yes."),
        ("<thinking>Hm.</thinking>Fish swim.", "Hm.", "Fish swim."),
        ("<thought>Hm.</thought><answer>Fish swim.</answer>", "Hm.", "Fish swim."),
        ("<answer>Fish swim.</answer>", "", "<answer>Fish swim.</answer>"),
        ("<|START_THINKING|>Hm.<|END_THINKING|><|START_RESPONSE|>Yes.<|END_RESPONSE|>", "Hm.", "Yes."),
        ("<|begin_of_thought|>Hm.<|end_of_thought|><|begin_of_solution|>Yes.<|end_of_solution|>", "Hm.", "Yes."),
        ("<|channel>thought\nHm.<channel|>Yes.", "Hm.", "Yes."),
        ("[THINK]Hm.[/THINK]Yes.", "Hm.", "Yes."),
        ("I [think] that <b>fish</b> swim, <thinker>.", "", "I [think] that <b>fish</b> swim, <thinker>."),
        (
            "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary<|message|>So.<|end|>"
            "<|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
            "Hm.\nSo.",
            "Yes.",
        ),
        ("<|channel|>final<|message|>Yes.", "", "Yes."),
        ("<|channel|>final <|constrain|>json<|message|>{}", "", "{}"),
        ("analysisHm.assistantcommentarySo.assistantfinalYes.", "Hm.assistantcommentarySo.", "Yes."),
        ("analysis of fish: they swim.", "", "analysis of fish: they swim."),
    ],
)
def test_thinking_is_told_from_the_answer(text: str, thinking: str, answer: str) -> None:
    assert split_thinking(text) == Split(thinking, answer, closed=True)


@pytest.mark.parametrize(
    ("text", "thinking", "answer"),
    [
        ("<think>Hm.", "Hm.", ""),
        ("<think>Hm.</think>Yes.<think>Or", "Hm.\nOr", "Yes."),
        ("[THINK]Hm.</think>", "Hm.</think>", ""),
        ("<|channel|>analysis<|message|>Hm.", "Hm.", ""),
    ],
)
def test_what_is_never_closed_goes_on_to_the_end(text: str, thinking: str, answer: str) -> None:
    assert split_thinking(text) == Split(thinking, answer, closed=False)


@pytest.mark.parametrize(
    "unit",
    [
        "<think>",
        "</think>",
        "<think></think>",
        "<|channel|>",
        "<|channel|>a<|message|>",
        "<|channel|>a ",
        "assistantfinal",
    ],
)
def test_a_long_text_takes_no_longer_than_its_length(unit: str) -> None:
    text = f"analysis{unit * (200_000 // len(unit))}"
    started = time.process_time()
    split_thinking(text)
    split_thinking(f"<|channel|>{'a' * 1_000_000}")
    assert time.process_time() - started < 10  # 2 s on a slow processor; a quadratic one takes many minutes
