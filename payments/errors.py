"""What can go wrong in the life of a payment, in its own words."""


class PaymentsError(Exception):
    """Raised when a payment's life cannot go on as asked; the root of this package's errors."""


class InboxUnavailable(PaymentsError):
    """Raised when a delivery may or may not have been stored: the sender must deliver it again.

    Attributes:
        delivery_id: The delivery whose fate is unknown.
        reason: The driver's error class, for logs and counters.
    """

    def __init__(self, delivery_id: str, reason: str) -> None:
        self.delivery_id = delivery_id
        self.reason = reason
        super().__init__(f"delivery {delivery_id} could not be stored for certain ({reason})")


class DeliveryLost(PaymentsError):
    """Raised when a worker finishes a delivery that another worker has taken over since: its write was not made.

    Attributes:
        delivery_id: The delivery that is no longer this worker's.
        fence: The number under which this worker held it.
    """

    def __init__(self, delivery_id: str, fence: int) -> None:
        self.delivery_id = delivery_id
        self.fence = fence
        super().__init__(f"delivery {delivery_id} is no longer held under fence {fence}")
