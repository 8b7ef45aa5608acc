"""What a portfolio tells those who follow it: over HTTP, with a push to their webhooks, and over MQTT."""
