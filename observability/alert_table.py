"""Every alert there is, by name: whatever is raised stands here, and a test finds what does not.

Alerts of a name that is not in the table are another version's: they are shown, and left to a person.
"""

from collections.abc import Mapping
from types import MappingProxyType

from observability.alert_kinds import AlertKind
from observability.alert_rows_database import DATABASE
from observability.alert_rows_payments import GATEWAY, PAYMENTS
from observability.alert_rows_reads import READS
from observability.alert_rows_servers import SERVERS
from observability.alert_rows_work import AUDIT, WORK

#: The table, in the order in which docs/operations.md has it.
ALERTS: Mapping[str, AlertKind] = MappingProxyType(
    {kind.name: kind for kind in (*PAYMENTS, *GATEWAY, *DATABASE, *WORK, *SERVERS, *AUDIT, *READS)}
)
