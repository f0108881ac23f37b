"""The HTTP face: requests into orders, rows into answers, errors into RFC 9457 problems.

No decision about actions belongs here.
"""
