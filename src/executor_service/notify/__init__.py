"""How people are told: the log always, webhooks when configured. Who is told what is decided in `actions`."""
