"""`nestcms-workers review document-gone`: a person's word that the CMS has deleted a payment or a contract for good.

Nothing is deleted by it: the history stays, and a document that comes back all the same is written.
"""

import click

from config.redaction import redact_text
from payments.errors import InvalidArgument
from workers.cli_audit_entry import by_option, operator_action, worded
from workers.cli_enqueue import to_text
from workers.cli_errors import DocumentNotGone
from workers.cli_payment import check_id
from workers.cli_settings import client_settings
from workers.cli_world import opened_world

#: What the command is called in the audit trail.
COMMAND = "review document-gone"


@click.command("document-gone")
@click.argument("document_id", metavar="ID", callback=check_id)
@click.option("--note", required=True, callback=worded, help="Why; it is kept.")
@by_option()
def document_gone(*, document_id: str, note: str, by: str) -> None:
    """Say that the CMS's payment or contract ID is gone for good, so that it is not looked for any more.

    Its history stays as it is. If the document is there again one day, it is written with its next event.
    """
    with opened_world(client_settings(["mongo_uri"])) as world:
        try:
            about = {"id": document_id}
            with operator_action(world.db, command=COMMAND, by=by, reason=note, arguments=about) as action:
                kind = world.owed.gone(document_id, by=redact_text(by), why=redact_text(note))
                action.outcome = f"done: not looked for in {kind} any more"
        except InvalidArgument as error:
            raise DocumentNotGone(document_id, str(error)) from error
    click.echo(to_text({"id": document_id, "collection": str(kind), "by": by}))
