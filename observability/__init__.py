"""Metrics, alerts and health."""
