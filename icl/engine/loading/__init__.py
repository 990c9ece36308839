"""From a name to a model: where it comes from, its tokenizer, its weights."""
