"""Inspection of labelled texts before a training: what they are like, and what would spoil it."""

from bertworks.data.inspection.findings import Finding, Inspection
from bertworks.data.inspection.inspection import inspect_rows
from bertworks.data.inspection.near_duplicates import NearDuplicates, near_duplicates
from bertworks.data.inspection.rows import TextRows

__all__ = ["Finding", "Inspection", "NearDuplicates", "TextRows", "inspect_rows", "near_duplicates"]
