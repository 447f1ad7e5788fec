"""The PayTabs PT2 gateway in its own words: requests, answers, signatures; free of Celery, MongoDB and events."""
