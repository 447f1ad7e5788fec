"""The life of a payment: decide, record, react."""
