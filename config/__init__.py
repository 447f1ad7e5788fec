"""What the system is set to; imports nothing else of ours."""
