"""What an answer may look like, one module a kind of task, and what they share: letters and brackets."""
