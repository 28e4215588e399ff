"""Makes the keys internal tokens are signed with; imports no web framework, as tools use it."""

import json

from joserfc.jwk import OKPKey


def generate_key() -> tuple[str, dict[str, str]]:
    """A new (private JWK as JSON, public JWK)."""
    key = OKPKey.generate_key("Ed25519", private=True)
    private = {k: str(v) for k, v in key.as_dict(private=True).items()}
    public = {k: str(v) for k, v in key.as_dict(private=False).items()}
    return json.dumps(private), public
