"""The words in which the sandbox says no: to the merchant, to the payer, and to whoever sits at the desk."""

#: Code, message and HTTP status of a wrong key, or one of another profile or region.
AUTH_FAILED = (1, "Authentication failed. Check authentication header.", 401)

#: The same of a mobile SDK's key where a server's was meant.
MOBILE_KEY = (2, "Unable to process the request: application/octet-stream has an invalid block size", 400)

#: The same of a currency that is a good one but not open to the merchant; no list of codes has it.
CURRENCY_UNAVAILABLE = (240, "Currency not available", 400)

#: The message of code 113, as captured.
NOT_FOUND_113 = "ErrorCode = 2000, ErrorMessage=Transaction not found"


class SandboxError(Exception):
    """Root of every refusal of the sandbox."""


class GatewayRefusal(SandboxError):
    """Raised when an API call is answered with an error envelope instead of a transaction.

    Attributes:
        code: PayTabs' error code; 2 stands for many different messages.
        message: The text of the envelope; no contract.
        http_status: The status it travels with; None lets the switch for code 2 decide.
    """

    def __init__(self, code: int, message: str, http_status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_status = http_status


class DeskRefusal(SandboxError):
    """Raised when a request to the desk (`/sandbox/...`) cannot be carried out.

    Attributes:
        message: What was wrong and what was expected.
        http_status: 400 for a bad request, 404 for an unknown thing, 409 for a thing in the wrong state.
    """

    def __init__(self, message: str, http_status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.http_status = http_status


class UnknownTransaction(DeskRefusal):
    """Raised when no transaction bears the given reference."""

    def __init__(self, tran_ref: str) -> None:
        super().__init__(f"no transaction {tran_ref!r}", 404)


class PageClosed(DeskRefusal):
    """Raised when a payer acts on a page that already has its final result: nothing is charged again."""

    def __init__(self, tran_ref: str) -> None:
        super().__init__(f"the page of {tran_ref} already has its result", 409)


class PageEnded(PageClosed):
    """Raised when a payer acts on a page whose time is over: nothing is charged."""

    def __init__(self, tran_ref: str) -> None:
        super().__init__(tran_ref)
        self.message = f"the page of {tran_ref} has ended"


class CardFieldError(SandboxError):
    """Raised when the card form cannot be taken as it is; nothing happened to the payment.

    Attributes:
        field: The form's field: `card-number`, `expiry` or `cvv`.
        text_key: The key of the sentence shown beside it.
    """

    def __init__(self, field: str, text_key: str) -> None:
        super().__init__(f"{field}: {text_key}")
        self.field = field
        self.text_key = text_key


class ConnectionDropped(ConnectionAbortedError):
    """Raised when a fault has closed the caller's socket, so that the server writes nothing more to it."""


class RuleBroken(SandboxError):
    """Raised when an act upon an earlier transaction breaks a rule; the API answers E, the desk 409.

    Attributes:
        code: `response_code` of the answer.
        message: `response_message`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
