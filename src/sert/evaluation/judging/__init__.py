"""What an LLM judge of reasoning is asked, how its replies are read, and how far it can be trusted; pure functions."""
