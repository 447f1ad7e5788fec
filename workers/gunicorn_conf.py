"""How gunicorn runs the receiver: ``gunicorn workers.wsgi:app -c workers/gunicorn_conf.py``."""

import sys

from config.networks import bind_address
from config.settings import SettingsError, load_settings
from workers.gunicorn_logger import StructuredLogger

try:
    _settings = load_settings()
except SettingsError as error:
    sys.exit(str(error))

proc_name = "nestcms-receiver"
bind = bind_address(_settings.receiver_host, _settings.receiver_port)
workers = _settings.receiver_workers
worker_class = "gthread"
threads = _settings.receiver_threads

# Without it, keep-alive connections can all end up with one process.
reuse_port = True

# A process is replaced when it hangs for longer than any request may take, and ends its requests before it stops.
timeout = 30
graceful_timeout = 15
keepalive = 5

# Each process makes its own clients, since sockets must not cross a fork.
preload_app = False

# More than PayTabs sends, less than a nuisance needs; bodies are limited by the application.
limit_request_line = 8190
limit_request_fields = 50
limit_request_field_size = 8190

# By default whoever comes from this machine may claim TLS. The application decides whom it believes: TRUSTED_PROXIES.
forwarded_allow_ips = ""

# The default is a socket in somebody's home directory.
control_socket_disable = True

logger_class = StructuredLogger
