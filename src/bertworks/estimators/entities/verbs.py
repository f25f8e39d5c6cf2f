"""The verbs for labels of words."""
