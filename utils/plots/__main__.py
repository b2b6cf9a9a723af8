"""Draw a run's pictures again: python -m utils.plots RUN_FOLDER."""

from utils.plots.draw import main

if __name__ == "__main__":
    main()
