import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { DormiceError } from "@dormice/protocol";

/**
 * Named points where a test makes the engine fail, die or wait. The file that `DORMICE_FAULTS` names is read at each
 * point: one line a point, `name fail`, `name kill` or `name hold`. At the last the whole engine stands still until the
 * line is gone, with the file `<faults>.held` to tell. Without the variable a point costs nothing.
 */
export class Faults {
	readonly #file: string | undefined;

	constructor(file: string | undefined) {
		this.#file = file;
	}

	at(name: string): void {
		if (this.#file === undefined) return;
		const lines = linesOf(this.#file);
		if (lines.includes(`${name} kill`)) process.kill(process.pid, "SIGKILL");
		if (lines.includes(`${name} fail`)) throw new DormiceError("command_failed", `${name} was told to fail`);
		if (lines.includes(`${name} hold`)) hold(this.#file, `${name} hold`);
	}
}

const HOLD_MS = 30_000;

function hold(file: string, line: string): void {
	writeFileSync(`${file}.held`, line);
	const pause = new Int32Array(new SharedArrayBuffer(4));
	for (const deadline = Date.now() + HOLD_MS; Date.now() < deadline && linesOf(file).includes(line); )
		Atomics.wait(pause, 0, 0, 10);
	rmSync(`${file}.held`, { force: true });
}

function linesOf(file: string): string[] {
	try {
		return readFileSync(file, "utf8").split("\n");
	} catch {
		return [];
	}
}
