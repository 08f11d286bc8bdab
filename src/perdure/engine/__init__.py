"""What happens when a graph runs: load, plan, execute, apply, commit, publish; then plan again.

    plan.py apply.py    pure: no I/O, no clock, no randomness
    execute.py          the only place where user code runs
    context.py          what a node may ask for
    staged.py           memory writes of tasks
    commit.py           the one place that makes a step durable
    run.py              the loop itself, written once for both colours
    ports.py            how a colour waits: in place (blocking_ports.py), or by suspending (async_ports.py)
    driving.py          who drives the loop, and what it hands out on the way

Not here: how a graph is drawn (`graph`), what a database is (`storage`), the public faces (`pregel`, `checkpoint`).
"""
