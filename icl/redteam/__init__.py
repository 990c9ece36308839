"""Test questions written by a model, and what the answers to them show."""
