"""The decisions of CHANNELS.md, Verification: every refusal is one of these names."""

MALFORMED = "ErrMalformed"
TOO_LARGE = "ErrTooLarge"
LIMIT = "ErrLimit"
NAME = "ErrName"
SIGNATURE = "ErrSignature"
NOT_AUTHORIZED = "ErrNotAuthorized"
EXPIRED = "ErrExpired"
CHAIN = "ErrChain"
VERSION = "ErrVersion"
READ_KEY = "ErrReadKey"


class Refused(Exception):
    """Input that must be refused: error is the name from the table, the text says why."""

    def __init__(self, error, why):
        super().__init__("%s: %s" % (error, why))
        self.error = error


def need(ok, error, why):
    if not ok:
        raise Refused(error, why)
