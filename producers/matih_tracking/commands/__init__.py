"""What the SDK's commands do: `matih run`, `sync` and `status`; cli.py has their arguments."""
