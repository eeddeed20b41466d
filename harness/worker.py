"""`python -m harness.worker` starts a worker: by this name revisions of any age start each other's."""

from harness.measuring.worker import run

if __name__ == "__main__":
    run()
