"""What runs the layers of a decoder over packed rows: any transformers model, or packed weights on CPU."""
