"""`write_report`: the page of a campaign."""

from pathlib import Path

from benchmarks.chaos.campaign import Campaign


def write_report(campaign: Campaign) -> Path:
    """Write ``report.html``; returns its path."""
    return campaign.folder / "report.html"
