"""Processor time of a process that we started, and of all that it has started itself; those that ended are in it."""

import psutil


def used_s(root: psutil.Process) -> float:
    """In seconds. What ended is its parent's, once that has waited for it. Raises `psutil.Error`."""
    while True:
        ended_s = _ended_s(root)
        used = sum(_used_s(each) + _ended_s(each) for each in (root, *root.children(recursive=True)))
        # One that ends while they are added up would be counted twice or not at all.
        if ended_s == _ended_s(root):
            return used


def _used_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _ended_s(process: psutil.Process) -> float:
    """Of the children that it has waited for."""
    times = process.cpu_times()
    return times.children_user + times.children_system
