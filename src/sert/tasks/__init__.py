"""Question sets, their prompts, and how their answers are read."""
