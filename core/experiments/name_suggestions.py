"""What to say of a name that an address or a command gives and that is not there, and what is nearest."""

from dataclasses import dataclass
from pathlib import Path

from core.experiments.archive import archived_experiments, trashed
from core.experiments.experiment import list_experiments
from core.settings import nearest

LONGEST_SHOWN = 80


@dataclass(frozen=True)
class Absent:
    """An experiment that is not in runs/: whether the archive holds it, under which entry the trash does, and
    the experiment of the most similar name."""

    name: str
    archived: bool
    trash_entry: str | None
    nearest: str | None

    @property
    def sentence(self) -> str:
        """What became of it, in words."""
        name = self.name if len(self.name) <= LONGEST_SHOWN else f"{self.name[:LONGEST_SHOWN]}…"
        if self.archived:
            return f"The experiment '{name}' is archived. Restore it to see it."
        if self.trash_entry is not None:
            return f"The experiment '{name}' is in the trash. Restore it to see it."
        hint = f"Did you mean '{self.nearest}'?" if self.nearest else "Choose another one."
        return f"There is no experiment '{name}'. {hint}"


def absent_experiment(root: Path, name: str) -> Absent | None:
    """What became of an experiment that is not in runs/; None where it is there."""
    known = list_experiments(root)
    if name in known:
        return None
    entry = next((one.entry for one in trashed(root) if one.run is None and one.experiment == name), None)
    return Absent(name, name in archived_experiments(root), entry, nearest(name, known))
