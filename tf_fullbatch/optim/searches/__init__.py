"""How far to go along a direction: line searches, of numbers alone."""
