export function printJson(value: unknown): void {
	process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}

export function printLine(line: string): void {
	process.stdout.write(`${line}\n`);
}

/** Bytes as people read them. */
export function size(bytes: number): string {
	if (bytes < 1 << 10) return `${bytes} B`;
	const exponent = Math.min(4, Math.floor(Math.log2(bytes) / 10));
	return `${(bytes / 2 ** (10 * exponent)).toFixed(1)} ${["", "KiB", "MiB", "GiB", "TiB"][exponent]}`;
}

/** A guest's words, in which nothing can move the cursor or colour the terminal of whoever reads them. */
export function harmless(text: string): string {
	return text.replace(/[\p{C}\u2028\u2029]/gu, (character) => `\\x{${character.codePointAt(0)?.toString(16)}}`);
}

/** Columns as wide as their widest cell. */
export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
	for (const line of tableLines(header, rows)) printLine(line);
}

export function tableLines(header: readonly string[], rows: readonly (readonly string[])[]): string[] {
	const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
	return [header, ...rows].map((row) =>
		row
			.map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
			.join("  ")
			.trimEnd(),
	);
}

const UNITS = [
	["d", 86_400_000],
	["h", 3_600_000],
	["min", 60_000],
	["s", 1_000],
] as const;

/** `1.5 s`, `12 min`: in the largest unit that it is one of. */
export function duration(ms: number): string {
	const [unit, size] = UNITS.find(([, size]) => Math.abs(ms) >= size) ?? ["ms", 1];
	const value = ms / size;
	return `${unit === "ms" || Math.abs(value) >= 10 ? Math.round(value) : Number(value.toFixed(1))} ${unit}`;
}
