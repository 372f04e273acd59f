"""Search source trees for old endpoints and client mistakes: ``python -m tallyfy_async endpoints check PATH``."""

from tallyfy_async.scan.findings import RULES, Edit, Finding, Rule
from tallyfy_async.scan.fix import fix
from tallyfy_async.scan.tree import EXCLUDED, Tally, scan

__all__ = ["EXCLUDED", "RULES", "Edit", "Finding", "Rule", "Tally", "fix", "scan"]
