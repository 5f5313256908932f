"""Numbers of things, in words."""


def plural(count: int, noun: str) -> str:
    """Returns a number with its noun, whose plural is made by an s.

    >>> plural(1, "trial"), plural(1200, "trial")
    ('1 trial', '1,200 trials')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
