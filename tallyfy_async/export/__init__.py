"""Whole organizations out: to a SQLite file or to a directory of NDJSON files.

``await export.to_sqlite(tallyfy.organization(), "organization.db")`` reads every list at once, pages ahead, through the
client's limiter, and can be killed at any moment: called again it goes on where it was, without loss or doubles. A
repeated export writes what differs and removes what is gone.
"""

from tallyfy_async.export.job import to_ndjson, to_sqlite
from tallyfy_async.export.kinds import NAMES as KINDS
from tallyfy_async.export.report import ExportReport, KindReport, Progress

__all__ = ["KINDS", "ExportReport", "KindReport", "Progress", "to_ndjson", "to_sqlite"]
