"""What several generators build on."""
