"""What requests and answers look like: the platform's names and limits."""
