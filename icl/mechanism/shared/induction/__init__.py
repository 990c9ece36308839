"""What the study of induction heads is made of."""
