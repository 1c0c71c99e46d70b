import { parseArgs } from "node:util";
import { torture } from "./torture.ts";

const USAGE = `npm run torture -- [--minutes N] [--seed S] [--subjects K] [--memory MIB]

Random operations, crashes and damage on real sandboxes, each checked against a model. Needs root, and DORMICE_DATA: a
data directory that was set up (dormice setup --data DIR) and holds nothing of worth.`;

const { values } = parseArgs({
	options: {
		minutes: { type: "string", default: "5" },
		seed: { type: "string", default: String(Date.now() % 1_000_000) },
		subjects: { type: "string", default: "2" },
		memory: { type: "string", default: "64" },
		help: { type: "boolean", default: false },
	},
});

if (values.help) {
	console.log(USAGE);
} else {
	const [minutes, seed, subjects, memoryMiB] = [values.minutes, values.seed, values.subjects, values.memory].map(
		Number,
	) as [number, number, number, number];
	if (!(minutes > 0) || !Number.isInteger(seed) || !(subjects >= 1) || !(memoryMiB >= 1)) {
		console.error(USAGE);
		process.exit(2);
	}
	const what = `torture: seed ${seed}, ${minutes} minutes`;
	try {
		const passed = await torture({ minutes, seed, subjects, memoryMiB, say: (line) => console.log(line) });
		console.log(`${what}: ${passed} operations, nothing lost, nothing left over`);
	} catch (error) {
		console.error(error);
		console.log(`${what}: FAILED; the same seed tries the same again`);
		process.exitCode = 1;
	}
}
