"""Creates applications as Box's developer console does."""

import os
import secrets
import subprocess


def new_application():
    """Returns the configuration that a client downloads, and the application as the emulator registers it."""
    private_key = openssl("genrsa", "2048")
    public_key = openssl("pkey", "-pubout", given=private_key)
    passphrase = secrets.token_hex(16)
    # Box encrypts the key with PBES2, Triple DES and HMAC-SHA1.
    encryption = ["-topk8", "-v2", "des3", "-v2prf", "hmacWithSHA1", "-passout", "env:PASSPHRASE"]
    encrypted = openssl("pkcs8", *encryption, given=private_key, PASSPHRASE=passphrase)
    client_id, client_secret, key_id = (secrets.token_hex(length) for length in (16, 16, 4))
    configuration = {
        "boxAppSettings": {
            "clientID": client_id,
            "clientSecret": client_secret,
            "appAuth": {"publicKeyID": key_id, "privateKey": encrypted, "passphrase": passphrase},
        },
        "enterpriseID": "42",
    }
    application = {
        "client_id": client_id,
        "client_secret": client_secret,
        "enterprise_id": "42",
        "public_keys": {key_id: public_key},
    }
    return configuration, application


def openssl(*arguments, given="", **environment):
    return subprocess.run(
        ["openssl", *arguments],
        input=given,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
