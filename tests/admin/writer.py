"""A program that talks and remembers until its standard input ends: `python writer.py URL PAUSE_SECONDS`, with `tests` on the path."""

from __future__ import annotations

import sys
import threading
import time

import perdure
from admin.rooms import talk


def main() -> None:
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    with perdure.connect(sys.argv[1]) as db:
        number = 0
        while not ended.is_set():
            talk(db, threads=1, turns=2, begin=number % 7)
            db.store.put(("busy", f"n{number % 3}"), f"k{number % 11}", {"n": number})
            if number % 5 == 4:
                db.store.delete(("busy", "n1"), f"k{(number - 3) % 11}")
            if number % 9 == 8:
                db.checkpointer.delete_thread(f"t{number % 7}")
            number += 1
            time.sleep(float(sys.argv[2]))
            if number == 3:
                print("writing", flush=True)
    print(number)


if __name__ == "__main__":
    main()
