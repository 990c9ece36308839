"""What a GGUF file says, and what transformers' reader leaves out of it."""
