"""Thin Celery entry points grouped by domain; their names are the public API."""
