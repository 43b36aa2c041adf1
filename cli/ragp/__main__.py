"""``python -m ragp``: how the supervisor starts its own helper processes."""

from ragp.main import app

if __name__ == "__main__":
    app()
