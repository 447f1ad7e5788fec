"""The alerts about payments, about PayTabs and about what PayTabs sends."""

from datetime import timedelta
from typing import Final

from observability.alert_kinds import AlertKind

PAYMENTS: Final = (
    AlertKind(
        name="ledger_behind",
        means="a copy outside knows of sends that this database does not: it was restored to an earlier state. Nothing "
        "is sent until somebody says so; callers hear `queued`",
        key="ledger: replica set, database and profile",
        closes="with `nestcms-workers restored`, and in no other way",
        to_do="see docs/restore.md: put everything back that belongs together, then `nestcms-workers restored --reason "
        "…`. Where nobody has restored anything, find out first who writes into the database, or into its copies",
        by_hand=False,
    ),
    AlertKind(
        name="payment_review",
        means="a payment has cases for a human",
        key="payment with an open case",
        closes="with the payment's last case, and in no other way",
        to_do='`review list`, `review show`, `review settle`: see "Cases for a human"',
        by_hand=False,
    ),
    AlertKind(
        name="page_left_open",
        means="another page may still be paid beside money that was taken, or that the CMS says was taken; no refund "
        "goes out meanwhile",
        key="payment with such a page",
        closes="when no page of the payment is open beside the money any more: PayTabs says that it has ended, or an "
        "operator sets it aside",
        to_do="`review override-page` sets the page aside",
    ),
    AlertKind(
        name="projection_missing",
        means="the CMS's document of a payment, or a contract, is not there to be written; the history stands, and it "
        "is looked for again after 5 s to an hour",
        key="`payments` and `contracts`, with the last ones in it",
        closes="when each was written, or a person has said that it is gone",
        to_do="restore the document, or the collection, and it is written by itself. If the CMS meant to delete it: "
        "`review document-gone ID --note WHY`",
        by_hand=False,
    ),
    AlertKind(
        name="projection_newer",
        means="the CMS's document of a payment names a later version than its history has: events were lost, by a "
        "restore for example; it is left alone",
        key="one for all, with the last payments in it",
        closes="after a week without another",
        to_do="`audit verify`, and restore the events; `payments.verify` then shows what PayTabs has",
        quiet=timedelta(days=7),
    ),
    AlertKind(
        name="cms_changed_gateway",
        means="somebody other than us has written `payments.gateway`; it was written over",
        key="one for all, with the last payments in it",
        closes="after a week without another",
        to_do="find out which code of the CMS writes it, and stop that: one that saves whole documents, for example",
        quiet=timedelta(days=7),
    ),
    AlertKind(
        name="cms_document_fails",
        means="a payment or a contract that the CMS has changed cannot be looked at; it is tried again every minute",
        key="`payment` and `contract`, with the last ones in it",
        closes="when none of its kind waits any more",
        to_do="mend what the sentence names; of an unknown event run the version that wrote it",
    ),
    AlertKind(
        name="card_key_missing",
        means="stored cards wait for their token, and no key is set: their payments are booked, the cards cannot be "
        "charged",
        key="one",
        closes="when no card waits, or a key is set",
        to_do="set `CARD_KEYS` (`nestcms-workers cards new-key` prints one): the tokens are picked up by themselves",
    ),
    AlertKind(
        name="operation_given_up",
        means="an operation ended unsent: it could not be sent within its time, or not at all",
        key="kind of operation, with the last ones in it",
        closes="when no dead letter of such an operation waits any more",
        to_do="ask again under a new `operation_id` where it is still wanted, then `dead-letters close` the letter",
    ),
    AlertKind(
        name="operation_unanswered",
        means="PayTabs has answered no query about an operation in doubt for more than a day",
        key="kind of operation, with the last ones in it",
        closes="when no operation of the kind is in doubt for so long any more",
        to_do="look for its cart in PayTabs' dashboard; ask PayTabs why queries are not answered",
    ),
)

GATEWAY: Final = (
    AlertKind(
        name="gateway_configuration",
        means="PayTabs refuses our key or profile: nothing is sent. Under a key that ends in `kind`: pages are refused "
        "with code 2 as if the key were a mobile SDK's, and nothing is stopped for it",
        key="profile and key that a process has, and one more for its kind",
        closes="when PayTabs answers under this key; another key's once that key was not refused for a minute; of the "
        "kind with the next request that PayTabs takes; each after an hour without another",
        to_do="set the right `PAYTABS_SERVERK`, `PAYTABS_PROFILE` and `PAYTABS_REGION`, and restart. Of the kind: "
        "compare `PAYTABS_SERVERK` with the server key in PayTabs' dashboard; if it is right, look at what PayTabs "
        "says of the pages",
        quiet=timedelta(hours=1),
    ),
    AlertKind(
        name="gateway_refusal_unexplained",
        means="a charge, capture, refund, void or release was answered with a code that is not listed: it may have "
        "been carried out",
        key="kind of operation",
        closes="by the sweep, once no such operation is in doubt",
        to_do="ask PayTabs with the `trace`; look for the cart in the dashboard; `review settle … --not-happened` when "
        "it is not there",
    ),
    AlertKind(
        name="callback_left_out",
        means="PayTabs would refuse our callback address, so none is sent",
        key="profile",
        closes="when a process starts with an address that PayTabs takes",
        to_do="set a public https address without a port in `PAYTABS_CALLBACK_URL`",
    ),
    AlertKind(
        name="gateway_not_called",
        means="the breaker has opened: nothing is sent to PayTabs until it answers again",
        key="profile and key that a process has; a key that is not used any more has none for longer than an hour",
        closes="when the breaker closes, whoever closes it; that of another key than ours after an hour",
        to_do="see whether PayTabs is reached at all, and `gateway_configuration` beside it; what is parked goes out "
        "by itself",
    ),
    AlertKind(
        name="unknown_payment",
        means="notices of transactions that nobody here asked for: another system uses the profile, or a payment is "
        "not ours any more",
        key="`our_profile`, `another_profile`, and `not_taken_over` for a payment of the CMS that cannot be read, with "
        "the last references in it",
        closes="after three days without another",
        to_do="look the references up in PayTabs' dashboard. Another shop on the profile: give it one of its own. Of "
        "`not_taken_over` correct the document that the sentence names; the next notice takes it over",
        quiet=timedelta(days=3),
    ),
    AlertKind(
        name="delivery_fails",
        means="an error of ours while a notice was applied; it is tried again by itself",
        key="sort of error, with the last deliveries in it",
        closes="when no delivery waits over this error any more",
        to_do="report the error with the log of `webhooks.process`; the next version applies what waits",
    ),
)
