/** Runs `work` on each item, at most `width` at once. Errors are the work's own business. */
export async function eachOf<T>(items: Iterable<T>, width: number, work: (item: T) => Promise<void>): Promise<void> {
	const rest = items[Symbol.iterator]();
	const lane = async () => {
		for (let next = rest.next(); !next.done; next = rest.next()) await work(next.value);
	};
	await Promise.all(Array.from({ length: width }, lane));
}
