"""Dead letters: records that can't be applied as they are, kept with the reason, so that nothing waits for them.

The worker publishes them (publishing.py). People look at them, send them through the worker again or give them up
(`matih dlq`, cli.py): what is in the topic is told by letter.py and register.py, pure.
"""

from matih_workers.dead_letters.publishing import DeadLetter, DeadLetters

__all__ = ["DeadLetter", "DeadLetters"]
