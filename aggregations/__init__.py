"""Heavy reads: describe, run, remember."""
