"""The last good figures, in memory and on disk."""
