"""Readers: one function a kind of decoder, from the modules of transformers to blocks."""
