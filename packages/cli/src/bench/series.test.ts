import assert from "node:assert/strict";
import { test } from "node:test";
import { quantile } from "./quantile.ts";
import { Series } from "./series.ts";

const rows: [number[], number, number][] = [
	[[5], 0.5, 5],
	[[4, 1, 3, 2], 0.5, 2],
	[[3, 1, 2], 0.5, 2],
	[Array.from({ length: 100 }, (_, i) => i + 1), 0.99, 99],
	[[1, 2, 3], 0.99, 3],
];

for (const [values, q, expected] of rows) {
	test(`quantile ${q} of ${values.length} values`, () => assert.equal(quantile(values, q), expected));
}

test("a ratio is against the median of the baseline, and absent where the baseline was not measured", () => {
	const series = new Series();
	for (const ms of [10, 20, 30]) series.add("slow", ms);
	for (const ms of [4, 5, 6]) series.add("fast", ms);
	const [slow, fast] = series.results({ slow: "fast", fast: "absent" });
	assert.equal(slow?.ratio, 4);
	assert.equal(fast?.ratio, undefined);
});

test("what a row's time was spent on: medians by who did what, of the verbs that belong to it", () => {
	const series = new Series();
	const work = (by: "server" | "engine", verb: string, totalMs: number, stepsMs: Record<string, number>) => ({
		...{ by, verb, totalMs, stepsMs },
	});
	const works = [1, 2, 3].map((ms) => work("engine", "start", ms * 10, { disk: ms, machine: ms * 9 }));
	const wake = work("server", "wake", 40, { start: 33 });
	series.explain("wake", ["wake", "start"], [wake, ...works, work("server", "pause", 1, {})]);
	assert.deepEqual(series.works(), [
		{ row: "wake", n: 1, ...wake },
		{ row: "wake", n: 3, ...work("engine", "start", 20, { disk: 2, machine: 18 }) },
	]);
});

test("a part that fails is told, and the others are measured", async () => {
	const series = new Series();
	const lines: string[] = [];
	await series.part(
		"first",
		(line) => lines.push(line),
		async () => {
			series.add("a", 1);
			throw new Error("no room");
		},
	);
	await series.part(
		"second",
		(line) => lines.push(line),
		async () => series.add("b", 2),
	);
	assert.deepEqual(series.failures, [{ part: "first", error: "no room" }]);
	assert.deepEqual(
		series.results({}).map(({ name }) => name),
		["a", "b"],
	);
	assert.deepEqual(lines, ["first", "first failed: no room", "second"]);
});
