"""Training: a file is one method; what several build on is in `shared`."""
