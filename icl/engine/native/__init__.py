"""The engine's steps between matrix products as compiled kernels, where they could be built.

`library` finds and loads them; the modules beside it are their typed surface, and `src/` their C++. Every
kernel stands for a path in Python that stays: its oracle, and what runs where there are no kernels.
"""
