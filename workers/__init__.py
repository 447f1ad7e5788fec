"""The processes: Celery app, receiver door, local stack, command line."""
