/** Waits for work that somebody else owns. The signal ends the waiting, never the work. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
	if (signal === undefined) return await work;
	const { promise: aborted, reject } = Promise.withResolvers<never>();
	const stop = () => reject(signal.reason);
	signal.addEventListener("abort", stop, { once: true });
	if (signal.aborted) stop();
	try {
		return await Promise.race([aborted, work]);
	} finally {
		signal.removeEventListener("abort", stop);
	}
}
