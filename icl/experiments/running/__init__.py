"""Running cells: outcomes come in, are judged, written and counted."""
