"""The agreements under which partners give to us: our copies of their files."""

from collections.abc import Sequence
from pathlib import Path

from config.schema import PartnerTable
from model.detections import Mode
from sharing.agreement_file import AgreementFile
from sharing.release import Parties


class ReceivedAgreements:
    """Agreement files of the partners that we take from, followed while they change.

    A file that is missing or wrong is no agreement, and no reason for a node not to work.

    Parameters
    ----------
    folder
        From which relative paths count.
    node, mode
        Ours.
    partners
        Tables of the site file.
    """

    def __init__(
        self, folder: Path, node: str, mode: str, partners: Sequence[PartnerTable]
    ) -> None:
        self._files = {
            partner.id: AgreementFile(
                folder / partner.receive_agreement,
                Parties(partner.id, node, Mode[mode.upper()]),
            )
            for partner in partners
            if partner.receive_agreement is not None
        }
        self.look()

    def look(self) -> bool:
        """Read what has changed; returns whether anything has."""
        changed = [file.look() for file in self._files.values()]
        return any(changed)

    @property
    def texts(self) -> dict[str, str]:
        """Texts of those that can be used, by partner."""
        found = {name: file.agreement for name, file in self._files.items()}
        return {name: one.text for name, one in found.items() if one is not None}

    @property
    def problems(self) -> dict[str, str]:
        """Why there is none, by partner."""
        return {
            name: "; ".join(file.problems) for name, file in self._files.items() if file.problems
        }
