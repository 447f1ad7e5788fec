"""What gunicorn loads in the tests of the receiver's own process: the real receiver on a Celery app without tasks."""

from celery import Celery

from config.celeryconfig import celery_config
from config.settings import load_settings
from workers import wsgi

_settings = load_settings()
_celery_app = Celery("receiver-process")
_celery_app.conf.update(celery_config(_settings))
app = wsgi.build(_settings, _celery_app)
