"""Functions that are learned in context (Garg et al. 2022): their draws, estimators to compare with, their
errors."""
