"""What to do when a board refuses, by the name of its reason. Knows names and sentences, no boards."""

from __future__ import annotations

# The longest name or beginning of a name that fits counts
_ADVICE = {
    "arbiter": "correct the arbiter's settings in model.toml and pack it again",
    "bundle": "the file is damaged or was not made by `sensewell pack`: pack it again",
    "bundle.arch": "pack it for this board's architecture",
    "bundle.board": "pack it for this board: `boards` in model.toml",
    "bundle.channels": "pack it for the channels that /setup.py states, or bring a fitting one with --setup",
    "bundle.clock": 'give the board a clock (now_s in its setup.py), or pack it with `without_clock = "run"`',
    "bundle.device": "it was made for other boards: pack it with this one's --device, or without",
    "bundle.expired": "pack it with a later --expires, and sign it",
    "bundle.memory": "choose a smaller model, or a board with more RAM",
    "bundle.runtime": "update Sensewell here: it brings the board's code along",
    "bundle.schema": "the manifest is not one that this runtime reads: correct model.toml and pack it again",
    "bundle.version": "it is of another format: pack it with this version of Sensewell",
    "channel": "correct the channels in model.toml and pack it again",
    "condition": "correct the conditioning in model.toml and pack it again",
    "features": "correct the features in model.toml, train and pack again",
    "golden": "the board does not compute what the host did: pack it again; if it stays so, report it",
    "guard": "correct the guard's limits in model.toml and pack it again",
    "model": "the model is damaged: train or convert it again",
    "model.absent": "the board lacks the code for this family of models: `sensewell deploy` brings it along",
    "model.outputs": "take a model whose outputs are the manifest's labels",
    "model.schema": "the model was made for other features or classes: train and pack again",
    "neural": "convert the network again, for an engine that this board has",
    "neural.memory": "choose a smaller network, or a board with more RAM",
    "node": "pack it for the sensor that /setup.py names, or bring a fitting one with --setup",
    "probation": "look at what it did with `sensewell run`",
    "rules": "correct the rules in model.toml and pack it again",
    "setup": "correct setup.py and bring it with --setup",
    "signature": "the signature is not sound: sign the bundle again with `sensewell sign`",
    "signature.memory": "reset the board and try again",
    "signature.none": "sign it with `sensewell sign`",
    "signature.revoked_key": "sign it with a key that is not revoked: `sensewell key show` lists them",
    "signature.role": "sign it with a release key: `sensewell key show` lists them",
    "signature.too_few": "have more holders of release keys sign it with `sensewell sign`",
    "signature.unknown_key": "sign it with a key that the board trusts, or bring the newer trust root with --trust",
    "slots": "deploy again",
    "slots.active": "it runs there already",
    "slots.failed_before": "say --again to try it all the same",
    "slots.full": "remove files from the board and try again",
    "slots.journal": "the board's flash does not take what is written: deploy again; if it stays so, replace the board",
    "slots.memory": "choose a smaller model, or a board with more RAM",
    "slots.pinned": "`sensewell slots unpin` first",
    "slots.rollback": "pack it with a higher --release, or set the floor back: `sensewell slots floor`",
    "slots.safe": "`sensewell slots retry` first",
    "slots.space": "remove files from the board and try again",
    "slots.write": "the board's flash does not take what is written: deploy again; if it stays so, replace the board",
    "trust": "make it with `sensewell key rotate`",
    "trust.forgotten": "keep the keys that were revoked: `sensewell key rotate` does",
    "trust.memory": "reset the board and try again",
    "trust.missing": "give the board a trust root with --trust, or choose --unsigned for development",
    "trust.rollback": "bring the newest trust root with --trust",
    "trust.too_few_new": "have the root keys of the new trust root sign it, too: `sensewell key sign`",
    "trust.too_few_old": "have the root keys that the board trusts sign it, too: `sensewell key sign`",
    "window": "correct the window in model.toml and pack it again",
}


def advice(reason: str) -> str:
    """What to do about `reason`: a name, or what a board said that begins with one; "" where nothing is known."""
    name = reason.split(":", 1)[0].strip()
    while name not in _ADVICE and "." in name:
        name = name.rpartition(".")[0]
    return _ADVICE.get(name, "")


def with_advice(said: object, ending: str = "") -> str:
    """What a board said, `ending`, and what to do."""
    return "; ".join(filter(None, (str(said), ending, advice(str(said)))))
