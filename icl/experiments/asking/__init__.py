"""The model as an experiment sees it: opened by name, cached, metered, timed, asked side by side."""
