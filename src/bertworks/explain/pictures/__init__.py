"""Pictures of an explanation, one file a kind. They are drawn by matplotlib's objects, without its global state."""
