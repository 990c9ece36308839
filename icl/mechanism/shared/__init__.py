"""What several studies build on."""
