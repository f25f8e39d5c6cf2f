"""Named entities and other labels of words."""
