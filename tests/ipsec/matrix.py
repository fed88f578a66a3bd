"""The rows of the matrix."""

from plan import Row

ROWS = [
    Row("first", "aes128gcm16", "aes-gcm-16 128"),
]
