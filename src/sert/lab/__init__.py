"""The embedded lab: a closed world where latent reasoning is real and every step can be verified."""

from pathlib import Path

DEMO_CONFIG = Path(__file__).parent / "demo.toml"
