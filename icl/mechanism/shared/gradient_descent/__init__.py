"""Parts of the study of gradient descent."""
