"""Requests as token ids, and errors that name the request they belong to."""
