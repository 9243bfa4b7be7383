"""The student: loading, decoding, batching, and the one training loop."""
