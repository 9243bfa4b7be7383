"""A server that has the student and samples its paths: what is asked of it, what it is, and how far it lies from us."""
