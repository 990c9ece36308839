"""Parts of several tuners."""
