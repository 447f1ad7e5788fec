"""A PayTabs that runs on your desk: the gateway's HTTP contract, hosted page, signed notices and moods.

It is started as a process (`python -m sandbox`) and shares no code with the client it stands opposite to, so that a
misreading of the contract has to be made twice before it goes unseen. Everything lives in memory.
"""
