"""Question sets, their prompts, and how their answers are read."""

from sert.config.tree import TaskKind

TASK_KINDS: dict[TaskKind, str] = {
    "strategyqa": "StrategyQA: yes/no, implicit steps (BIG-bench task.json, the release file, or a hub set)",
    "commonsenseqa": "CommonsenseQA: five choices a question (the release's JSONL files, or a hub set)",
    "table": "Your own questions: JSONL, CSV or Parquet, a hub set or a local data set folder",
    "lab_yes_no": "The embedded lab: two-hop yes/no questions, no files needed",
    "lab_choice": "The embedded lab: two-hop questions with five choices, no files needed",
}
"""What each kind of question set is, in one line."""
