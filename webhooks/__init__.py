"""The receiver of what PayTabs and its payers send: check, record, hand over, answer."""
