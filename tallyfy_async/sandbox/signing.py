"""Hidden form fields that nobody but this sandbox can write."""

import base64
import hashlib
import hmac
import json
import secrets

from attrs import define, field

from .records import JsonObject


@define(eq=False)
class Signer:
    """Sign small JSON objects with a key that lives as long as the sandbox's world."""

    key: bytes = field(factory=lambda: secrets.token_bytes(32), repr=False)

    def sign(self, values: JsonObject) -> str:
        """Return the values and their signature as text of URL-safe characters."""
        data = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
        return f"{data}.{self._mac(data)}"

    def read(self, text: str) -> JsonObject | None:
        """Return what was signed; None for anything else."""
        data, _, mac = text.rpartition(".")
        if not hmac.compare_digest(self._mac(data).encode(), mac.encode("utf-8", "replace")):
            return None
        values: JsonObject = json.loads(base64.urlsafe_b64decode(data))
        return values

    def _mac(self, data: str) -> str:
        return hmac.new(self.key, data.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
