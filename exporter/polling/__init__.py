"""What to ask next, and when."""
