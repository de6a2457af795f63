"""Long mixed work by many threads over a bad network."""
