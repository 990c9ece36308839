"""The run folder: what is on disk, safe against being killed at any moment."""
