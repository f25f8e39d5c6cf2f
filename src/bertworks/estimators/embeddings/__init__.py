"""Sentence embeddings: the public class, its folders, quantised vectors, and the verbs."""
