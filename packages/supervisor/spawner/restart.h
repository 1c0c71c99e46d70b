#pragma once

/* `reboot`, `poweroff` and `halt`: writes what is in memory to the disk and ends the machine. Returns an exit code. */
int restart(const char *called);
