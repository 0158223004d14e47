"""``xenp2m rule``: the pages of the rules of ``xenp2m check``."""

from __future__ import annotations

import click


@click.command(name="rule")
@click.argument("codes", nargs=-1, metavar="[CODE]...")
@click.option("--markdown", is_flag=True, help="Print the documentation page of all rules.")
def command(codes: tuple[str, ...], markdown: bool) -> None:
    """What a rule of check finds, why, under which kernels, an example and the remedy.

    CODE is a code or the beginning of codes (XP1). Without one, the list of all rules.

    \b
      xenp2m rule XP101
      xenp2m rule
    """
    from xenp2m.check.findings import all_rules, chosen_rules
    from xenp2m.draw.console import stdout
    from xenp2m.draw.rulepages import print_rule, print_rules, rules_page

    if markdown and codes:
        raise click.UsageError("--markdown prints the page of all rules and takes no codes")
    if markdown:
        click.echo(rules_page(all_rules()), nl=False)
        return
    console = stdout()
    if not codes:
        print_rules(all_rules(), console)
        return
    for number, page in enumerate(chosen_rules(codes)):
        if number:
            console.print()
        print_rule(page, console)
