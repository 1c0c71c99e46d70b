import { readFileSync } from "node:fs";
import { DormiceError } from "@dormice/protocol";

/**
 * Named points where a test makes the engine fail or die. The file that `DORMICE_FAULTS` names is read at each point:
 * one line a point, `name fail` or `name kill`. Without the variable a point costs nothing.
 */
export class Faults {
	readonly #file: string | undefined;

	constructor(file: string | undefined) {
		this.#file = file;
	}

	at(name: string): void {
		if (this.#file === undefined) return;
		const lines = readOrEmpty(this.#file).split("\n");
		if (lines.includes(`${name} kill`)) process.kill(process.pid, "SIGKILL");
		if (lines.includes(`${name} fail`)) throw new DormiceError("command_failed", `${name} was told to fail`);
	}
}

function readOrEmpty(file: string): string {
	try {
		return readFileSync(file, "utf8");
	} catch {
		return "";
	}
}
