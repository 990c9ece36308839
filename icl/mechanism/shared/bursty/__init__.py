"""Bursty and skewed data of many classes (Chan et al. 2022): their draws, the decoder, what is asked of
it."""
