"""The one training loop, and the stage around it."""
