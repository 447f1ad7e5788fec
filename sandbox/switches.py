"""The open questions as switches: what nobody states about PayTabs can be set either way, while the server runs.

Read with `GET /sandbox/switches` (`?describe=1` adds each one's meaning and default), change with `PUT`. The numbers
are those of the open questions in section 10 of the gateway contract, each of which stands here; a dash marks what the
contract knows and a test wants to choose.

| switch | values (default first) | question |
| --- | --- | --- |
| `query_unpaid_page` | `pending`, `error` | 1 |
| `query_cart_shows_unpaid` | false, true | 1 |
| `query_dead_page` | `expired`, `code_113`, `code_2`, `pending` | 1 |
| `query_dead_page_at_once`, `dead_page_notices` | false, true | - |
| `page_finish` | `opened`, `three_ds`, `none` | - |
| `page_finish_seconds`, `method_finish_seconds` | 600, 10800 | - |
| `query_unknown` | `empty`, `error` | 2 |
| `not_found_code` | 2, 113 | 2 |
| `query_lag_seconds` | 0 and more | 3 |
| `duplicate_filter` | true, false | 4, 6 |
| `duplicate_fields` | list of member names; the alternative is `["cart_id"]` | 4 |
| `duplicate_window_seconds` | 120, any above 0 | 4 |
| `duplicate_filter_followups` | true, false | 5 |
| `refused_counts_for_filter` | false, true | 6 |
| `followup_notices` | `own_or_original`, `own_only` | 7 |
| `refused_followup_notices` | true, false | 7 |
| `notify_callback`, `notify_ipn` | true, false | 8 |
| `notice_order` | `random`, `callback_first`, `ipn_first` | 8 |
| `notice_delay_seconds` | 0 and more | 8 |
| `ipn_url` | the command line's, any address, null | 8 |
| `retry_count`, `retry_base_seconds`, `retry_factor`, `retry_scale` | 5, 60, 2, 0.05 | 9 |
| `delivery_timeout_seconds` | 10, any above 0 | 9 |
| `expiry_reference` | `same`, `new` | 10 |
| `refund_approval` | `immediate`, `manual` | 11 |
| `refund_resolution` | `same`, `new` | 11 |
| `void_changes_original` | true, false | 12 |
| `full_refund_changes_original` | false, true | 12 |
| `partial_void` | `release`, `refused` | 13 |
| `capture_reported_as` | `random`, `capture`, `sale` | 14 |
| `void_after_capture` | `refused`, `frees_rest` | 15 |
| `void_of_sale` | `refused`, `allowed` | 16 |
| `followup_refusals` | `answer`, `envelope` | 17 |
| `code2_http_status` | 400, 200, 404 | 18 |
| `server_key_kind` | `server`, `mobile` | - |
| `refused_currencies` | none, any list | - |
| `decimals` | `currency`, `two` | 19 |
| `page_attempts` | `one`, `until_paid` | 20 |
| `url_rules` | `local`, `strict` | 21 |
| `alt_currency_rate` | 0.25, any above 0 | - |
| `notice_extras` | true, false | - |
| `strict_ipn` | false, true | 21 |
| `cut_rate`, `error_rate`, `throttle_rate`, `slow_rate`, `drip_rate` | 0, up to 1, in all at most 1 | 22 |
| `slow_seconds`, `drip_interval_seconds`, `retry_after_seconds` | 15, 0.05, null | 22 |
| `random_faults_on` | `["money", "queries"]`, either alone, none | 22 |
| `notice_drop_rate`, `notice_duplicate_rate`, `notice_reorder_rate` | 0, up to 1, in all at most 1 | 22, 23 |
| `random_seed` | 1, any number | 22 |
| `notice_key` | null, any key | 23 |
| `final_invoices` | `refused`, `allowed` | 24 |
| `invoice_cancel_code` | `zero`, `null` | - |
| `stored_card_with_payer` | `redirect`, `completed` | - |
| `method_flags` | `KARPM`, any of these letters | - |
| `amount_cap`, `merchant_balance` | null, any sum | - |
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.switches_faults import FaultSwitches
from sandbox.switches_notices import NoticeSwitches
from sandbox.switches_pages import PageSwitches

#: The members of a request that may make up its likeness to another.
FilterField = Literal[
    "profile_id",
    "tran_type",
    "tran_class",
    "cart_id",
    "cart_amount",
    "cart_currency",
    "cart_description",
    "tran_ref",
    "token",
]


class AnswerSwitches(BaseModel):
    """What queries, the duplicate filter and error envelopes say."""

    query_unpaid_page: Literal["pending", "error"] = Field(
        "pending",
        description='Query by tran_ref of a page nobody has paid yet: P with code 600, or "not found".',
    )
    query_cart_shows_unpaid: bool = Field(
        default=False,
        description="Whether a page nobody has paid yet appears in the query by cart_id, as P with code 600.",
    )
    query_unknown: Literal["empty", "error"] = Field(
        "empty",
        description='Query of an unknown cart_id: an empty list, or "not found" (always so for a tran_ref).',
    )
    query_lag_seconds: float = Field(
        0, ge=0, description="For so long after a change, queries still show what was before it, or nothing."
    )
    duplicate_filter: bool = Field(default=True, description="Whether a repeated request is refused with 409, code 4.")
    duplicate_fields: list[FilterField] = Field(
        ["profile_id", "tran_type", "cart_id", "cart_amount", "cart_currency", "tran_ref", "token"],
        min_length=1,
        description="Members that make two requests identical; the alternative is cart_id alone.",
    )
    duplicate_window_seconds: float = Field(120, gt=0, description="How long a request is remembered by the filter.")
    duplicate_filter_followups: bool = Field(default=True, description="Whether the filter covers follow-ups.")
    refused_counts_for_filter: bool = Field(
        default=False, description="Whether a request that was refused or declined counts for the filter."
    )
    code2_http_status: Literal[400, 200, 404] = Field(400, description="HTTP status of errors of code 2.")
    server_key_kind: Literal["server", "mobile"] = Field(
        "server", description="Whether the profile's key is a mobile SDK's: every call is then refused with code 2."
    )
    refused_currencies: list[str] = Field(
        [], description="Currencies that the merchant may not take: requests for pages and charges get code 240."
    )
    decimals: Literal["currency", "two"] = Field("currency", description="Decimals of amounts in answers and notices.")
    url_rules: Literal["local", "strict"] = Field(
        "local",
        description="strict refuses http, port numbers and private hosts in callback with code 2; a return may have "
        "them, and over http its payer comes back by GET without any field.",
    )


class MoneySwitches(BaseModel):
    """What may be done with money, and how it shows."""

    expiry_reference: Literal["same", "new"] = Field(
        "same", description="An expiry shows on the transaction itself, or as a new one with previous_tran_ref."
    )
    refund_approval: Literal["immediate", "manual"] = Field(
        "immediate", description="A refund by API is done at once, or answers P until the desk approves or rejects it."
    )
    refund_resolution: Literal["same", "new"] = Field(
        "same", description="A pending refund is decided on its own tran_ref, or by a new one with previous_tran_ref."
    )
    void_changes_original: bool = Field(default=True, description="Whether a void turns the original's status to V.")
    full_refund_changes_original: bool = Field(
        default=False, description="Whether refunds of the whole turn the refunded transaction's status to V."
    )
    partial_void: Literal["release", "refused"] = Field(
        "release", description="A void of less than is held: carried out as a Release, or refused."
    )
    void_after_capture: Literal["refused", "frees_rest"] = Field(
        "refused", description="A void of an Auth of which a part was captured: refused, or it frees the rest."
    )
    void_of_sale: Literal["refused", "allowed"] = Field(
        "refused", description="A void of a Sale by API; set it back to refused to end the day. The desk may always."
    )
    followup_refusals: Literal["answer", "envelope"] = Field(
        "answer", description="A follow-up against the rules: a normal answer of status E, or an error envelope."
    )
    page_attempts: Literal["one", "until_paid"] = Field(
        "one", description="The first result ends a page, or a declined page may be tried again on the same tran_ref."
    )
    stored_card_with_payer: Literal["redirect", "completed"] = Field(
        "redirect", description="A stored card with tran_class ecom: the payer is sent to a page, or it is charged."
    )
    method_flags: str = Field(
        "KARPM",
        pattern="^[KARPM]*$",
        description="What the payer's method allows: K token, A capture, R refund, P partial and M several refunds.",
    )
    amount_cap: float | None = Field(
        None, gt=0, description="A charge above this sum, in whatever currency, is E with code 325; null for no cap."
    )
    alt_currency_rate: float = Field(
        0.25, gt=0, description="What one unit of cart_currency is worth in alt_currency, where a request has one."
    )
    merchant_balance: float | None = Field(
        None, ge=0, description="A refund above this sum, in whatever currency, is D with code 342; null for enough."
    )
    final_invoices: Literal["refused", "allowed"] = Field(
        "refused", description="Cancelling a paid or cancelled invoice, marking a cancelled one as paid."
    )
    invoice_cancel_code: Literal["zero", "null"] = Field(
        "zero", description='The member code of a cancelled invoice\'s answer: the text "0", or null.'
    )


class Switches(FaultSwitches, NoticeSwitches, PageSwitches, MoneySwitches, AnswerSwitches):
    """One setting of all switches."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
