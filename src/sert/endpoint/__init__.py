"""Calls to OpenAI-compatible endpoints: paced, paid for once, and kept whatever happens."""
