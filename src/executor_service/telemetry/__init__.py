"""What the operator sees from outside: JSON logs and Prometheus metrics. No decision reads anything from here."""
