"""The engine of the workbench: verbs that turn files into files. Rooms are listed in README.md."""
