/** At most `length` bytes from `at` of what the pieces are together. */
export function slice(pieces: readonly Buffer[], at: number, length: number): Buffer {
	const found: Buffer[] = [];
	let skip = at;
	let left = length;
	for (const piece of pieces) {
		if (left <= 0) break;
		const part = piece.subarray(skip, skip + left);
		skip = Math.max(0, skip - piece.length);
		left -= part.length;
		if (part.length > 0) found.push(part);
	}
	return found.length === 1 && found[0] ? found[0] : Buffer.concat(found);
}

/** The pieces without their first `length` bytes. */
export function drop(pieces: readonly Buffer[], length: number): Buffer[] {
	let left = length;
	const whole = pieces.findIndex((piece) => {
		if (piece.length > left) return true;
		left -= piece.length;
		return false;
	});
	if (whole < 0) return [];
	return pieces.slice(whole).map((piece, index) => (index === 0 ? piece.subarray(left) : piece));
}
