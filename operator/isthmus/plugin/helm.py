"""The user's own Helm, with the options that were passed to the plugin for kubectl."""

from __future__ import annotations

import shutil
import subprocess
from argparse import Namespace
from typing import Final

from isthmus.model.text import printable

from .core.refusals import Refused

# What Helm calls the options of kubectl. It has none for another cluster or user of the kubeconfig.
_OPTIONS: Final = {"kubeconfig": "--kubeconfig", "context": "--kube-context", "as": "--kube-as-user"}
_OTHERS: Final = ("cluster", "user")


def is_usable(chosen: Namespace) -> bool:
    """Whether there is a Helm that would reach the same cluster as the same user."""
    return shutil.which("helm") is not None and not any(getattr(chosen, name) for name in _OTHERS)


def uninstall(chosen: Namespace, release: str, namespace: str, seconds: int) -> None:
    """Uninstall a release, and wait until its objects are gone. Raises Refused."""
    passed = [f"{option}={value}" for name, option in _OPTIONS.items() if (value := getattr(chosen, name))]
    passed += [f"--kube-as-group={group}" for group in chosen.as_group or ()]
    command = ["helm", "uninstall", release, "-n", namespace, "--wait", f"--timeout={seconds}s", *passed]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)
    except OSError as error:
        raise Refused(f"helm cannot be run: {error.strerror}") from None
    if done.returncode:
        lines = [printable(line).strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise Refused(f"helm has not uninstalled {release}: {lines[-1] if lines else 'no message'}")
