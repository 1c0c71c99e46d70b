import type { Result } from "./series.ts";

const WIDTH = 860;
const LEFT = 210;
const ROW = 22;
const DECADES = [1, 10, 100, 1_000, 10_000];
const COLORS = { ours: "#3a6ea5", baseline: "#b0b7bf" };

/** Medians as bars on a logarithmic scale of milliseconds, each with its 99th percentile: an SVG document. */
export function plot(results: readonly Result[], title: string): string {
	const baselines = new Set(results.flatMap(({ baseline }) => baseline ?? []));
	const height = 70 + results.length * ROW;
	const bars = results.map((result, i) => bar(result, 50 + i * ROW, baselines.has(result.name)));
	const grid = DECADES.map((ms) => {
		const at = x(ms);
		return `<line x1="${at}" x2="${at}" y1="40" y2="${height - 20}" stroke="#e3e6ea"/><text x="${at}" y="${height - 6}" text-anchor="middle">${ms} ms</text>`;
	});
	return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12" fill="#222">
<title>${escaped(title)}</title>
<rect width="100%" height="100%" fill="#fff"/>
<text x="12" y="22" font-size="15">${escaped(title)}</text>
${[...grid, ...bars].join("\n")}
</svg>
`;
}

function bar({ name, p50Ms, p99Ms }: Result, y: number, isBaseline: boolean): string {
	const [from, to, end] = [LEFT, x(p50Ms), x(p99Ms)];
	const middle = y + ROW / 2 - 4;
	return [
		`<text x="${LEFT - 8}" y="${middle + 4}" text-anchor="end">${escaped(name)}</text>`,
		`<rect x="${from}" y="${y}" width="${Math.max(1, to - from)}" height="14" fill="${isBaseline ? COLORS.baseline : COLORS.ours}"/>`,
		`<line x1="${to}" x2="${end}" y1="${middle}" y2="${middle}" stroke="#555"/>`,
		`<text x="${end + 6}" y="${middle + 4}">${p50Ms < 10 ? p50Ms.toFixed(1) : Math.round(p50Ms)}</text>`,
	].join("");
}

function x(ms: number): number {
	const [first = 1, last = 1] = [DECADES[0], DECADES.at(-1)];
	const share = (Math.log10(Math.max(ms, first)) - Math.log10(first)) / (Math.log10(last) - Math.log10(first));
	return Math.round(LEFT + share * (WIDTH - LEFT - 70));
}

function escaped(text: string): string {
	return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
