"""When open payments are looked at."""

from schedules.entries import Entry

ENTRIES = (
    Entry(
        name="sweep-operations",
        task="maintenance.sweep_operations",
        every="sweep_seconds",
        missed="level",
        why="an accepted operation whose message was lost would never be sent, an unanswered one never settled",
    ),
    Entry(
        name="sweep-documents",
        task="maintenance.sweep_documents",
        every="sweep_seconds",
        missed="level",
        why="what the CMS writes into our fields, or a contract's payments, would go unnoticed with a lost message",
    ),
)
