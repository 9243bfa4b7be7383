"""The judge of reasoning: its prompt, its replies, and how far it can be trusted."""
