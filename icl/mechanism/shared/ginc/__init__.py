"""GINC (Xie et al. 2022): a mixture of hidden Markov models, its documents, its prompts, Bayes's answer."""
