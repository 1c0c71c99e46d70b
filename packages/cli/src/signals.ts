/** Aborts when this process is asked to end: Ctrl-C, `kill`, or the terminal going away. */
export function endSignal(): AbortSignal {
	const controller = new AbortController();
	for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => controller.abort());
	return controller.signal;
}
