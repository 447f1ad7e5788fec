"""The demo: the main job of the system on real parts, through its public interface, each promise checked."""

import time
from functools import partial

from rich.console import Console

from config.connections import database, mongo_client
from config.settings import Settings
from workers.cli_enqueue import caller
from workers.demo_cms import CmsEyes, seed
from workers.demo_desk import SandboxDesk
from workers.demo_outside import Outside, outside
from workers.demo_report import Report
from workers.demo_scenes import Scene
from workers.demo_stack import DemoStack, demo_stack, logs_of, survivors
from workers.demo_steps import STEPS


def run_demo(settings: Settings, console: Console) -> None:
    """Start everything, take every step, stop everything, and see that nothing is left.

    Raises:
        DemoFailed: a step failed; its text names it and where the logs are.
        StackError: the servers cannot be had.
    """
    began = time.monotonic()
    report = Report(console, logs_of(settings))
    console.print(
        "[bold]nestcms-workers demo[/bold]: a CMS's payments through a PayTabs sandbox, every part a real one"
    )
    with (
        outside() as told,
        demo_stack(settings.model_copy(update=told.settings()), partial(_announce, console)) as stack,
    ):
        console.print(f"   everything is ready after {time.monotonic() - began:.1f} s")
        play(stack, told, report)
        stopping = time.monotonic()
    with report.step("Everything is stopped"):
        report.tell(f"stopping took {time.monotonic() - stopping:.1f} s")
        left = survivors(stack.started)
        promise = f"none of the {len(stack.started)} processes it started is alive"
        report.check(promise, not left, ", ".join(f"{one.name()} ({one.pid})" for one in left))
    console.print(f"\n[bold green]Done[/bold green]: {report.checks} checks in {time.monotonic() - began:.1f} s.")


def play(stack: DemoStack, told: Outside, report: Report) -> None:
    """Take every step on a stack that serves."""
    settings = stack.settings
    with mongo_client(settings) as client, caller(settings) as app:
        db = database(client, settings)
        scene = Scene(
            report=report,
            settings=settings,
            app=app,
            cms=CmsEyes(db),
            desk=SandboxDesk(settings.paytabs_base_url or ""),
            seeded=seed(db),
            told=told,
        )
        for title, step in STEPS.items():
            with report.step(title):
                step(scene)
    with report.step("The processes, after all that"):
        report.check(f"{', '.join(stack.processes)} still run", not stack.ended(), f"{', '.join(stack.ended())} ended")


def _announce(console: Console, name: str, seconds: float) -> None:
    console.print(f"   [dim]{seconds:6.2f} s[/dim]    {name} ready")
