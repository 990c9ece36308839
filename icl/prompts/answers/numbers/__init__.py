"""Numbers in running text: in digits, in words, and all of them in order."""
