"""Writing texts: the loop, its memory of keys and values, one step, the next token, when a text ends."""
