"""The main job, guided, on real input: every line that begins with `$` is a command that ran.

The whole life of secrets first, then what no secret store does.  Each step says what it expects, and
the demo fails if anything is otherwise.  It works in a temporary folder that it removes.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

import click

from cli.command import command
from cli.demo_evidence import evidence
from cli.demo_leak import leak
from cli.session import Session

_RUN = "import sys; from cli.main import main; sys.exit(main())"


class DemoFailed(click.ClickException):
    """Something was not as the demo says."""


class Elsewhere(TypedDict):
    """Another store, asked from an account that has seen nothing yet."""

    home: str
    state: str


class Stage:
    """A folder where commands run, and a voice that says why."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands = 0
        self._environment = _clean_environment(folder)

    def title(self, text: str) -> None:
        click.echo()
        click.secho(text, bold=True)

    def say(self, text: str) -> None:
        click.echo(f"  {text}")

    def run(
        self,
        line: str,
        *,
        stdin: str | None = None,
        status: int = 0,
        shown: Callable[[str], str] | None = None,
        home: str = "",
        state: str = "",
        quiet: bool = False,
    ) -> str:
        """Run `muniment LINE`, show it and what it printed; its exit status must be *status*.

        A *quiet* one shows neither, and gives standard output alone.
        """
        other = {"MUNIMENT_HOME": home, "MUNIMENT_STATE": state}
        environment = {name: value for name, value in other.items() if value}
        before = "".join(f"{name}={value} " for name, value in environment.items())
        feed = f"printf '%s' '{stdin}' | " if stdin is not None else ""
        self._say_command(f"{feed}{before}muniment {line}", quiet)
        done = self._run(["-c", _RUN, *shlex.split(line)], stdin or "", environment, quiet)
        return self._judge(done, status, shown, quiet)

    def python(
        self, line: str, *, status: int = 0, shown: Callable[[str], str] | None = None
    ) -> str:
        """Run a script that stands in the folder, and show the last line it printed, or *shown*."""
        self._say_command(f"python {line}", False)
        done = self._run(shlex.split(line), "", {}, False)
        return self._judge(done, status, shown or _last, False)

    def program(self, line: str) -> str:
        """Run a program that is not ours, and show the last line it printed."""
        self._say_command(line, False)
        done = self._run(shlex.split(line), "", {}, False, before=())
        return self._judge(done, 0, _last, False)

    def _say_command(self, line: str, quiet: bool) -> None:
        if not quiet:
            click.secho(f"$ {line}", fg="cyan")

    def _run(
        self,
        arguments: list[str],
        stdin: str,
        environment: dict[str, str],
        quiet: bool,
        before: tuple[str, ...] = (sys.executable,),
    ) -> subprocess.CompletedProcess[bytes]:
        self.commands += 1
        return subprocess.run(
            [*before, *arguments],
            cwd=self.folder,
            env={**self._environment, **environment},
            input=stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL if quiet else subprocess.STDOUT,
            check=False,
        )

    def _judge(
        self,
        done: subprocess.CompletedProcess[bytes],
        status: int,
        shown: Callable[[str], str] | None,
        quiet: bool,
    ) -> str:
        text = done.stdout.decode(errors="replace")
        for printed in [] if quiet else (shown(text) if shown else text).splitlines():
            click.echo(f"    {printed}")
        if status and done.returncode == status:
            click.secho(f"    [exit status {done.returncode}]", fg="yellow")
        if done.returncode != status:
            raise DemoFailed(f"expected exit status {status}, got {done.returncode}:\n{text}")
        return text

    def expect(self, truth: bool, text: str) -> None:
        """Say *text* with a mark, or fail."""
        if not truth:
            raise DemoFailed(f"not so: {text}")
        click.secho(f"  ok  {text}", fg="green")


def _clean_environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MUNIMENT_")}
    return {
        **kept,
        "HOME": os.fspath(folder),
        "MUNIMENT_HOME": "vaults",
        "MUNIMENT_PRINCIPAL": "alice@shop.example",
        "COLUMNS": "110",
        "NO_COLOR": "1",
    }


def _last(text: str) -> str:
    return text.strip().split("\n")[-1]


def _head(count: int) -> Callable[[str], str]:
    def shown(text: str) -> str:
        lines = text.splitlines()
        more = [f"... {len(lines) - count} more lines"] if len(lines) > count else []
        return "\n".join(lines[:count] + more)

    return shown


def _material(stage: Stage) -> None:
    from cli.demo_material import make

    stage.title("1. Real material, made on the spot")
    make(stage.folder)
    for path in sorted(stage.folder.iterdir()):
        if path.is_file():
            stage.say(f"{path.name:14} {path.stat().st_size:>7,} bytes")


def _begin(stage: Stage) -> None:
    stage.title("2. A store, and a vault whose administrator is alice")
    stage.run("init shop")
    stage.run("secret set tls-key --file tls.key --content-type application/x-pem-file -o none")
    stage.run("secret set tls-cert --file tls.crt --content-type application/x-pem-file -o none")
    stage.run("secret set tls-bundle --file tls.p12 --encoding base64 --tags use=ingress -o none")
    stage.run("secret set deploy-key --file deploy.key --expires 90d -o none")
    stage.run("secret set large --file large.txt -o none")
    stage.run("secret import app.env")
    stage.run("secret list")


def _life(stage: Stage) -> None:
    stage.title("3. The whole life of a secret")
    stage.run("secret download tls-bundle --encoding base64 --file back.p12 -o none")
    same = (stage.folder / "back.p12").read_bytes() == (stage.folder / "tls.p12").read_bytes()
    stage.expect(same, "the PKCS#12 bundle came back byte for byte")
    stage.run("secret set api-token --tags owner=billing -o none", stdin="first-token")
    stage.run("secret set api-token --tags owner=billing -o none", stdin="second-token")
    stage.run("secret show api-token --query value -o tsv")
    stage.run("secret list-versions api-token")
    stage.run("secret set-attributes api-token --enabled false -o none")
    stage.run("secret show api-token", status=4)
    stage.run("secret set-attributes api-token --enabled true --expires 2030-01-01 -o none")
    stage.run("secret backup api-token --file api-token.backup -o none")
    stage.run("secret delete api-token -o none")
    stage.run("secret set api-token -o none", stdin="third-token", status=5)
    stage.run("secret recover api-token -o none")
    stage.run("secret show api-token --query value -o tsv")


def _refusals(stage: Stage) -> None:
    stage.title("4. Refusals: each has a code and an exit status, and each is on record")
    stage.run("policy set --object-id ci@shop.example --secret-permissions get list -o none")
    stage.run("secret show DATABASE-URL -o none --as ci@shop.example")
    stage.run("secret delete DATABASE-URL --as ci@shop.example", status=4)
    stage.run("secret show DATABASE-URL --as mallory@elsewhere.example", status=4)
    stage.run("secret show no-such-secret", status=3)
    stage.run("secret set too-large --file too-large.txt", status=2)
    stage.run("secret set oops --value hunter2", status=2)


def _trail(stage: Stage) -> None:
    stage.title("5. Who did what: changes, reads and refusals, in order")
    stage.run("log DATABASE-URL")
    stage.run("log --outcome refused")


def _whole(stage: Stage) -> Path:
    stage.title("6. The history verifies with public keys only; a checkpoint is kept elsewhere")
    stage.run("verify --every-signature")
    kept = stage.run("checkpoint show")
    (stage.folder / "kept.checkpoint").write_text(kept)
    stage.say("kept.checkpoint is a C2SP signed note: three lines that pin the whole history.")
    old = stage.folder / "old-copy"
    shutil.copytree(stage.folder / "vaults", old)
    stage.say("A full copy of the store is put aside as old-copy.")
    return old


def _flip(stage: Stage) -> None:
    stage.title("7. One byte is flipped in a copy: refused, and the position is named")
    from cli.demo_attack import flip_one_byte

    copy = stage.folder / "flipped"
    shutil.copytree(stage.folder / "vaults", copy)
    position = flip_one_byte(copy)
    text = stage.run("verify", status=20, home="flipped")
    stage.expect(f"#{position}" in text, f"the altered record #{position} is named")


def _rollback(stage: Stage) -> None:
    stage.title(
        "8. An old copy is put back: whole by itself, and refused by what was seen and kept"
    )
    stage.run("secret set after-copy -o none", stdin="written after old-copy was taken")
    kept = stage.run("checkpoint show", shown=_head(2))
    (stage.folder / "newer.checkpoint").write_text(kept)
    stage.run("verify --log changes --without-seen", home="old-copy")
    stage.say("This account has seen more of that log than the copy holds:")
    stage.run("verify --log changes", status=20, home="old-copy")
    stage.say("And so has whoever kept a checkpoint, on any machine:")
    against = "verify --log changes --without-seen --against newer.checkpoint"
    stage.run(against, status=20, home="old-copy")


def _purge(stage: Stage, old: Path) -> None:
    stage.title("10. A purge reaches every old copy")
    stage.run("secret delete api-token -o none")
    stage.run("secret purge api-token --yes")
    stage.say("Its records stay and verify.  The backup of step 3 is named as still open.")
    stage.run("verify")
    stage.say(
        "Now the worst case: a thief with the old copy of the whole log, and the current keys."
    )
    thief = Elsewhere(home="old-copy", state="thief")
    shutil.rmtree(old / "keyring")
    shutil.copytree(stage.folder / "vaults" / "keyring", old / "keyring")
    shutil.copytree(stage.folder / "vaults.key", stage.folder / "old-copy.key")
    stage.run("secret show deploy-key --query value -o tsv", shown=_head(1), **thief)
    stage.run("secret show api-token", status=3, **thief)
    stage.say("What was not purged opens.  What was purged stays closed.")
    stage.say(
        "The issued backup could still bring it back, as the receipt says; so purge that too."
    )
    stage.run("secret restore --file api-token.backup -o none")
    stage.run("secret delete api-token -o none")
    stage.run("secret purge api-token --yes --backups -o none")
    stage.run("secret restore --file api-token.backup", status=3)


SCENES = (_material, _begin, _life, _refusals, _trail)


@command("demo")
def demo(session: Session) -> None:
    """Show the main job, guided, on real input.

    Everything happens in a temporary folder; your own store is not touched.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="muniment-demo-") as name:
        stage = Stage(Path(name))
        for scene in SCENES:
            scene(stage)
        old = _whole(stage)
        _flip(stage)
        _rollback(stage)
        leak(stage)
        _purge(stage, old)
        stage.title("11. All is well")
        stage.run("rebuild")
        stage.run("doctor")
        evidence(stage)
    seconds = time.monotonic() - began
    click.echo()
    click.secho(f"{stage.commands} commands, all as expected, in {seconds:.0f} s.", bold=True)
