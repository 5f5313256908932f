"""Starts processes that do the same at one moment."""

import subprocess


def race(commands, **options):
    """Lets processes go at once, when each has printed an empty line; it then reads one.

    Args:
        commands: What each is started with.
        **options: Of `subprocess.Popen`.

    Returns:
        The processes, which have ended, and for each what it printed afterwards, to stdout and to
        stderr.
    """
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    racers = [subprocess.Popen(command, text=True, **pipes, **options) for command in commands]
    for racer in racers:
        assert racer.stdout.readline() == "\n", racer.stderr.read()
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    return racers, [racer.communicate(timeout=400) for racer in racers]
