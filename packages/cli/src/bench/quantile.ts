/** The smallest of the values that at least the share `q` of all does not exceed. */
export function quantile(values: readonly number[], q: number): number {
	const sorted = values.toSorted((a, b) => a - b);
	const at = Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1));
	return round(sorted[at] ?? 0);
}

export function round(value: number): number {
	return Math.round(value * 1000) / 1000;
}
