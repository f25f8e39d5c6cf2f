"""The pictures of a report, one file each. They are drawn by matplotlib's objects, without its global state."""
