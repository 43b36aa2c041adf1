"""Measuring retrieval through the public API: questions with known answers, metrics, comparison, reports."""
