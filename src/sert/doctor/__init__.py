"""Looking at a machine and at an endpoint before work is begun."""
