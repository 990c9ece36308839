"""The words around an answer: what announces it, denies it, joins it to another, and what was only
thought."""
