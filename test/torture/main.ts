import { parseArgs } from "node:util";
import { isIsolation } from "@dormice/protocol";
import { cycle } from "./cycles.ts";
import { torture } from "./torture.ts";

const USAGE = `npm run torture -- [--minutes N] [--seed S] [--subjects K] [--sandbox MIB] [--filled PERCENT] [--forks N] [--only WORDS]
npm run torture -- --cycles N [--sandbox MIB] [--filled PERCENT]

Random operations, crashes and damage on real sandboxes, each checked against a model; or one sandbox put to sleep and
woken N times, with what that takes at the start, in the middle and at the end. Needs root, and DORMICE_DATA: a data
directory that was set up (dormice setup --data DIR) and holds nothing of worth.

  --minutes   how long (5); --seed  the same dice again; --subjects  sandboxes at the same time (2)
  --sandbox   the memory of each, in MiB (320); --filled  how much of it holds random bytes that are summed, in percent (60)
  --forks     how many forks of one state are made, all there at once (64)
  --only      the operations whose names have these words in them
  --driver    what runs the sandboxes: gvisor or microvm (the platform's choice). Emulated microVMs want
              DORMICE_ALLOW_EMULATION=1, --sandbox 256 --filled 20 --forks 6, and patience`;

const { values } = parseArgs({
	options: {
		minutes: { type: "string", default: "5" },
		seed: { type: "string", default: String(Date.now() % 1_000_000) },
		subjects: { type: "string", default: "2" },
		sandbox: { type: "string", default: "320" },
		filled: { type: "string", default: "60" },
		forks: { type: "string", default: "64" },
		cycles: { type: "string", default: "0" },
		only: { type: "string" },
		driver: { type: "string" },
		help: { type: "boolean", default: false },
	},
});

if (values.help) {
	console.log(USAGE);
} else {
	const [minutes, seed, subjects] = [values.minutes, values.seed, values.subjects].map(Number) as [
		number,
		number,
		number,
	];
	const [sandboxMiB, filledPercent] = [values.sandbox, values.filled].map(Number) as [number, number];
	const [forks, cycles] = [values.forks, values.cycles].map(Number) as [number, number];
	const driven = values.driver === undefined || isIsolation(values.driver);
	const whole = [seed, subjects, sandboxMiB, forks, cycles].every(Number.isInteger);
	if (
		!driven ||
		!whole ||
		!(minutes > 0) ||
		subjects < 1 ||
		sandboxMiB < 64 ||
		!(filledPercent > 0) ||
		forks < 1 ||
		cycles < 0
	) {
		console.error(USAGE);
		process.exit(2);
	}
	const say = (line: string) => console.log(line);
	const common = { sandboxMiB, filledPercent, isolation: values.driver, say };
	const what = cycles > 0 ? `torture: ${cycles} cycles` : `torture: seed ${seed}, ${minutes} minutes`;
	try {
		if (cycles > 0) {
			await cycle({ ...common, cycles });
			console.log(`${what}: nothing lost, nothing grown`);
		} else {
			const passed = await torture({ ...common, minutes, seed, subjects, forks, only: values.only });
			console.log(`${what}: ${passed} operations, nothing lost, nothing left over`);
		}
	} catch (error) {
		console.error(error);
		console.log(`${what}: FAILED; the same seed tries the same again`);
		process.exitCode = 1;
	}
}
