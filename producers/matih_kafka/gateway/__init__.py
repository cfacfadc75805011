"""The way to the topic over HTTPS: the API's event gateway, for those who have no route to Kafka."""
