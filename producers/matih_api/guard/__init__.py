"""What stands before the routes: limits, quotas, request ids, logs, metrics and traces, as pure ASGI middlewares."""
