/**
 * One request at a time: two at once could overtake each other. What is given while one is under way goes together in
 * the next. After one has failed there is no other: what came later would have a hole before it.
 */
export function inOrder(send: (data: Uint8Array) => Promise<unknown>): (data: Uint8Array) => Promise<void> {
	let waiting: Uint8Array[] = [];
	let sending: Promise<void> | undefined;
	let failed = false;
	const drain = async () => {
		while (waiting.length > 0) {
			const batch = concat(waiting);
			waiting = [];
			await send(batch);
		}
	};
	return (data) => {
		if (failed && sending !== undefined) return sending;
		waiting.push(data);
		sending ??= drain().then(
			() => {
				sending = undefined;
			},
			(error: unknown) => {
				failed = true;
				throw error;
			},
		);
		return sending;
	};
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
	const whole = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.length, 0));
	let offset = 0;
	for (const chunk of chunks) {
		whole.set(chunk, offset);
		offset += chunk.length;
	}
	return whole;
}
